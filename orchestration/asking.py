"""Answers for the command line: published marts through the hardened reader, and lists of what was done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data.lake.connection import LakeError
from data.lake.reader import LakeReader
from data.operations import publications
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.settings import Settings

if TYPE_CHECKING:
    from assets.resources import House

MOST_ROWS_PRINTED = 200
WIDEST_CELL = 60


def ask(
    settings: Settings, query: str, parameters: Mapping[str, Any] | None = None, *, version: int | None = None
) -> pl.DataFrame:
    """Run one query on a published version, the current one by default. Raises LakeError if none is published."""
    operations = open_operations(open_postgres(settings))
    with operations.session() as session:
        row = publications.publication(session, version) if version else publications.current(session)
        if row is None:
            raise LakeError("nothing is published yet; run `make day` or `chalkline run nightly`")
        snapshot = row.lake_snapshot_id
    reader = LakeReader(settings, snapshot_id=snapshot)
    try:
        return reader.query(query, parameters)
    finally:
        reader.close()


def print_rows(rows: pl.DataFrame, *, format: Literal["table", "csv", "json"], console: Console) -> None:
    """Print a frame as a table, CSV or one JSON object per line."""
    if format == "json":
        print(rows.write_ndjson(), end="")
        return
    if format == "csv":
        flat = rows.with_columns(
            pl.Series(name, [_written(value) for value in rows[name].to_list()], dtype=pl.String)
            for name, kind in rows.schema.items()
            if kind.is_nested()
        )
        print(flat.write_csv(), end="")
        return
    shown = rows.head(MOST_ROWS_PRINTED)
    if _fits(shown, console.width):
        _print_table(shown, console)
    else:
        _print_records(shown, console)
    hidden = rows.height - MOST_ROWS_PRINTED
    console.print(f"{rows.height} rows" + (f", {hidden} not shown; use --format csv" if hidden > 0 else ""))


def _written(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _fits(rows: pl.DataFrame, width: int) -> bool:
    widest = [
        max([len(name), *(min(len(_text(value)), WIDEST_CELL) for value in rows[name].to_list())])
        for name in rows.columns
    ]
    return sum(widest) + 3 * len(widest) <= width


def _print_table(rows: pl.DataFrame, console: Console) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for name in rows.columns:
        table.add_column(name, overflow="fold")
    for row in rows.iter_rows():
        table.add_row(*(Text(_text(value)) for value in row))
    console.print(table)


def _print_records(rows: pl.DataFrame, console: Console) -> None:
    # A row that is wider than the screen reads better from top to bottom.
    label = max(map(len, rows.columns), default=0)
    for number, row in enumerate(rows.iter_rows(named=True), start=1):
        console.rule(f"row {number}", align="left", style="dim")
        for name, value in row.items():
            console.print(f"{name:<{label}}  {_text(value)}", highlight=False, markup=False, soft_wrap=True)


def published_versions(house: House, *, limit: int) -> pl.DataFrame:
    """Return the publications, newest first."""
    with house.operations.session() as session:
        rows = publications.history(session, limit=limit)
        return pl.DataFrame(
            [
                {
                    "version": row.publication_id,
                    "as_of_date": row.as_of_date,
                    "lane": row.lane,
                    "published_at": row.published_at,
                    "lake_snapshot": row.lake_snapshot_id,
                    "shows_again": row.rolled_back_to,
                }
                for row in rows
            ]
        )
