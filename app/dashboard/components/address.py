"""What a page shows is in its address, so that a link shows somebody else the same.

What belongs here: reading and writing query parameters, and paging by them. What does not: what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

T = TypeVar("T")
PAGE_SIZE = 25


def value_of(name: str, default: str = "") -> str:
    """Return one query parameter."""
    return str(st.query_params.get(name, default))


def choice_of(name: str, allowed: Sequence[str], default: str) -> str:
    """Return one query parameter if it is among the allowed words, else the default."""
    found = value_of(name)
    return found if found in allowed else default


def put(name: str, value: str | None) -> None:
    """Set one query parameter, or remove it; a change of filter goes back to the first page."""
    if name != "page":
        st.query_params.pop("page", None)
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def opener(name: str) -> Callable[[str], None]:
    """Return a callback that opens the detail of an id on the same page."""

    def open_it(identifier: str) -> None:
        st.query_params[name] = identifier

    return open_it


def sorter(default: str) -> tuple[str, bool, Callable[[str], None]]:
    """Return the sort key, whether it descends, and the callback of a table's header."""
    raw = value_of("sort", default)
    key, descending = (raw[1:], False) if raw.startswith("-") else (raw, True)

    def sort_by(chosen: str) -> None:
        put("sort", f"-{chosen}" if chosen == key and descending else chosen)

    return key, descending, sort_by


def back(text: str, *names: str) -> None:
    """Draw the way back from a detail to its list."""

    def leave() -> None:
        for name in names:
            st.query_params.pop(name, None)

    st.button(text, icon=":material/arrow_back:", type="tertiary", on_click=leave, key=f"back.{names[0]}")


def page_of(rows: Sequence[T]) -> tuple[Sequence[T], int, int]:
    """Return the rows of the chosen page, its number from 1, and the number of pages."""
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    raw = value_of("page", "1")
    number = min(pages, max(1, int(raw))) if raw.isdigit() else 1
    return rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE], number, pages


def pager(total: int, number: int, pages: int, *, noun: str) -> None:
    """Draw which rows are shown, and the buttons to the next and previous ones."""
    if total == 0:
        return
    first, last = (number - 1) * PAGE_SIZE + 1, min(total, number * PAGE_SIZE)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{first:,}–{last:,} of {total:,} {noun}", width="content")
        if pages > 1:
            with st.container(horizontal=True, width="content", gap="small"):
                st.button(
                    "Previous",
                    disabled=number <= 1,
                    on_click=lambda: put("page", str(number - 1)),
                    key="pager.previous",
                )
                st.button(
                    "Next",
                    disabled=number >= pages,
                    on_click=lambda: put("page", str(number + 1)),
                    key="pager.next",
                )
