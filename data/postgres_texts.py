"""Texts in a database, whatever the table: where some of them stand, and taking them out.

What belongs here: looking at every column that can hold words. What does not: what the tables mean.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from data.traces import Traces

_CASTS = {"jsonb": "jsonb", "json": "json", "ARRAY": "text[]", "bytea": "bytea"}


@dataclass(frozen=True)
class TextTable:
    """A table and its columns that can hold words, with the type of each."""

    name: str
    columns: tuple[tuple[str, str], ...]

    def holding(self) -> str:
        """Return the condition that one of :texts stands in a row."""
        return " or ".join(
            f"exists (select 1 from unnest(cast(:texts as text[])) as one where {_stands(column, kind)})"
            for column, kind in self.columns
        )


def _stands(column: str, kind: str) -> str:
    if kind == "bytea":
        return f"position(convert_to(one, 'UTF8') in \"{column}\") > 0"
    return f'strpos("{column}"::text, one) > 0'


def text_tables(
    connection: Connection, *, schemas: Sequence[str] = ("public",), leave_out: Collection[str] = ()
) -> list[TextTable]:
    """Return every table of these schemas with a column that can hold words."""
    rows = connection.execute(
        sa.text(
            "select format('%I.%I', c.table_schema, c.table_name), c.table_name, c.column_name, c.data_type "
            "from information_schema.columns as c join information_schema.tables as t "
            "using (table_schema, table_name) where c.table_schema = any(:schemas) and t.table_type = 'BASE TABLE' "
            "and (c.data_type in ('text', 'character varying', 'jsonb', 'json', 'bytea') or c.udt_name = '_text') "
            "order by 1, c.ordinal_position"
        ),
        {"schemas": list(schemas)},
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for name, table, column, kind in rows:
        if table not in leave_out:
            found.setdefault(name, []).append((column, kind))
    return [TextTable(name, tuple(columns)) for name, columns in found.items()]


def count_rows(engine: Engine, traces: Traces, **where: Any) -> dict[str, int]:
    """Return by table how many rows hold a text; tables without any are left out. where: as text_tables has it."""
    counted = {}
    with engine.connect() as connection:
        for table in text_tables(connection, **where):
            rows = connection.scalar(
                sa.text(f"select count(*) from {table.name} where {table.holding()}"),
                {"texts": list(traces.spelled)},
            )
            if rows:
                counted[table.name] = int(rows)
    return counted


def replace_texts(engine: Engine, traces: Traces, **where: Any) -> dict[str, int]:
    """Write the identifier wherever a text stands, in one transaction, then remove what the rows were before.

    Returns the changed rows by table. Safe to repeat. Histories that refuse changes let this one through, if their
    trigger knows the setting chalkline.erasing.
    """
    with engine.begin() as connection:
        connection.execute(sa.text("set local chalkline.erasing = 'on'"))
        tables = text_tables(connection, **where)
        changed = {table.name: _replace_in(connection, table, traces) for table in tables}
    # All of them: one that was killed just here has changed rows and left what they were.
    rewrite_tables(engine, changed)
    return {table: rows for table, rows in changed.items() if rows}


def rewrite_tables(engine: Engine, tables: Collection[str]) -> None:
    """Write tables anew, so that no page of theirs holds what a row was before."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(sa.text(f"vacuum (full) {table}"))


def tables_of(engine: Engine, schema: str) -> list[str]:
    """Return the tables of a schema, ready for a statement."""
    with engine.connect() as connection:
        return list(
            connection.scalars(
                sa.text(
                    "select format('%I.%I', table_schema, table_name) from information_schema.tables "
                    "where table_schema = :schema and table_type = 'BASE TABLE' order by 1"
                ),
                {"schema": schema},
            )
        )


def _replace_in(connection: Connection, table: TextTable, traces: Traces) -> int:
    columns = [(column, kind) for column, kind in table.columns if kind != "bytea"]
    if not columns:
        return 0
    listed = ", ".join(f'"{column}"' for column, _ in columns)
    rows = connection.execute(
        sa.text(f"select ctid::text, {listed} from {table.name} where {table.holding()} for update"),
        {"texts": list(traces.spelled)},
    ).all()
    assigned = ", ".join(
        f'"{column}" = cast(:v{number} as {_CASTS.get(kind, "text")})'
        for number, (column, kind) in enumerate(columns)
    )
    for place, *values in rows:
        told = {
            f"v{number}": _written(_replaced(value, traces), kind)
            for number, (value, (_, kind)) in enumerate(zip(values, columns, strict=True))
        }
        connection.execute(
            sa.text(f"update {table.name} set {assigned} where ctid = cast(:place as tid)"),
            told | {"place": place},
        )
    return len(rows)


def _replaced(value: Any, traces: Traces) -> Any:
    if isinstance(value, str):
        return traces.replaced_in(value)
    if isinstance(value, list):
        return [_replaced(part, traces) for part in value]
    if isinstance(value, dict):
        return {traces.replaced_in(name): _replaced(part, traces) for name, part in value.items()}
    return value


def _written(value: Any, kind: str) -> Any:
    return json.dumps(value) if kind in ("jsonb", "json") and value is not None else value
