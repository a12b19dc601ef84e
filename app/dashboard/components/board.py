"""Tables and tiles: the two things a page is made of besides charts.

What belongs here: turning plain values into what draw.js draws. What does not: formatting (wording.py) and
colours (palette.py). Values reach the browser as text nodes, so nothing in the data can become markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

FOLDER = Path(__file__).parent
NAME = "chalkline.board"


@dataclass(frozen=True)
class Column:
    """One column of a table. wide: shown only where there is room. sort: the key its header sorts by."""

    label: str
    right: bool = False
    wide: bool = False
    tight: bool = False
    first: bool = False
    sort: str | None = None
    width: str | None = None


@dataclass(frozen=True)
class Cell:
    """One cell: text with an optional second line, chip, tone, meter from 0 to 1, or small line."""

    text: str = ""
    sub: str | None = None
    tone: str = ""
    chip: bool = False
    bar: float | None = None
    spark: list[float | None] | None = None


@dataclass(frozen=True)
class Row:
    """One row. With an id and a table that opens, the whole row is a link."""

    cells: Sequence[Cell | str]
    id: str | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Tile:
    """One figure: what it is, how much, how sure, how it moved. tone_text says what the colour means."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    tone_text: str = ""
    spark: list[float | None] | None = None
    goal: float | None = None
    id: str | None = None
    chosen: bool = False
    hint: str = ""


def table(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    key: str,
    label: str,
    nothing: str = "Nothing to show.",
    on_open: Callable[[str], None] | None = None,
    sort: str | None = None,
    descending: bool = True,
    on_sort: Callable[[str], None] | None = None,
) -> None:
    """Draw a table. on_open is called with a row's id when it is chosen, on_sort with a column's key."""
    data = {
        "kind": "rows",
        "label": label,
        "columns": [asdict(column) for column in columns],
        "rows": [
            {"id": row.id, "chosen": row.chosen, "cells": [_plain(cell) for cell in row.cells]}
            for row in rows
        ],
        "nothing": nothing,
        "open": on_open is not None,
        "sort": sort,
        "descending": descending,
    }
    _mount(data, key=key, on_open=on_open, on_sort=on_sort)


def tiles(
    items: Sequence[Tile],
    *,
    key: str,
    size: Literal["", "three", "five", "six"] = "",
    on_open: Callable[[str], None] | None = None,
) -> None:
    """Draw figures side by side. on_open is called with a tile's id when it is chosen."""
    data = {
        "kind": "tiles",
        "size": size,
        "tiles": [asdict(item) for item in items],
        "open": on_open is not None,
    }
    _mount(data, key=key, on_open=on_open)


def _plain(cell: Cell | str) -> dict[str, Any]:
    if isinstance(cell, str):
        return {"text": cell}
    return {name: value for name, value in asdict(cell).items() if value not in (None, "", False)} | {
        "text": cell.text
    }


def _mount(
    data: dict[str, Any],
    *,
    key: str,
    on_open: Callable[[str], None] | None,
    on_sort: Callable[[str], None] | None = None,
) -> None:
    def opened() -> None:
        chosen = getattr(st.session_state.get(key), "opened", None)
        if on_open is not None and chosen:
            on_open(str(chosen))

    def sorted_by() -> None:
        chosen = getattr(st.session_state.get(key), "sorted", None)
        if on_sort is not None and chosen:
            on_sort(str(chosen))

    _renderer()(key=key, data=data, on_opened_change=opened, on_sorted_change=sorted_by)


@lru_cache(maxsize=1)
def _renderer() -> Any:
    return st.components.v2.component(
        NAME,
        html='<div class="board"></div>',
        css=(FOLDER / "style.css").read_text(encoding="utf-8"),
        js=(FOLDER / "draw.js").read_text(encoding="utf-8"),
    )
