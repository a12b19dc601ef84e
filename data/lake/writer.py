"""The write gate of the lake: whole frames in and out, each change one transaction.

Only assets and orchestration hold a writer; doors never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import sqlalchemy as sa

from data.lake.connection import (
    PERSONAL,
    SCHEMAS,
    LakeError,
    attach_address,
    attach_personal,
    connect,
    quote,
)
from data.postgres import Postgres, advisory_lock, engine_for, open_postgres
from data.settings import Settings

_prepared: set[str] = set()
"""Addresses of lakes that this process has prepared: a lane opens the gate some twenty times."""
INLINE_ROWS = 100
"""Writes of up to this many rows wait in the catalogue until upkeep flushes them: no tiny Parquet files."""


class LakeWriter:
    """One connection that may change the lake. Not thread-safe; close it, or use it as a context manager."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, postgres: Postgres) -> None:
        self.connection = connection
        self._postgres = postgres

    @classmethod
    def attach(cls, settings: Settings, postgres: Postgres) -> LakeWriter:
        """Return a writer of a lake that is there, in a DuckDB of its own."""
        for path in (settings.lake_path, settings.personal_path):
            if "://" not in path:
                Path(path).mkdir(parents=True, exist_ok=True)
        connection = connect(settings, memory_limit=settings.writer_memory_limit)
        connection.execute(
            f"attach {quote(attach_address(postgres, reader=False))} as lake "
            f"(data_path {quote(settings.lake_path)}, data_inlining_row_limit {INLINE_ROWS})"
        )
        attach_personal(connection, settings, postgres, reader=False)
        return cls(connection, postgres)

    def again(self) -> LakeWriter:
        """Return a writer with a connection of its own to the DuckDB of this one."""
        return LakeWriter(self.connection.cursor(), self._postgres)

    def __enter__(self) -> LakeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        self.connection.close()

    def prepare(self) -> None:
        """Create schemas and Python-written tables that are missing. Safe to run twice and side by side."""
        ours = [f"create schema if not exists lake.{schema}" for schema in SCHEMAS]
        personal: list[str] = []
        for statement in filter(str.strip, Path(__file__).with_name("tables.sql").read_text().split(";")):
            (personal if f"exists {PERSONAL}." in statement else ours).append(statement)
        with advisory_lock(engine_for(self._postgres.url("lake")), "lake.prepare"):
            self._refuse_older_state()
            # One commit for each catalogue, not one for each table: a first start waits two seconds less.
            for statements in (ours, personal):
                with self.transaction():
                    for statement in statements:
                        self.connection.execute(statement)

    def _refuse_older_state(self) -> None:
        # Asked of Postgres: DuckDB's own list of schemas takes a second, for it looks through the catalogue's tables.
        asked = sa.text("select 1 from ducklake_schema where schema_name = :name and end_snapshot is null")
        with engine_for(self._postgres.url("lake")).connect() as connection:
            older = connection.execute(asked, {"name": PERSONAL}).first()
        if older:
            raise LakeError(
                "this state keeps personal data inside the lake, as older versions did; "
                "choose another CHALKLINE_STATE and take the history in again"
            )

    def answers(self) -> bool:
        """Return whether the catalogue is reached over this connection."""
        try:
            self.snapshot_id()
        except duckdb.Error:
            return False
        return True

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold a lock among all writers of this lake, for what must look before it writes."""
        with advisory_lock(engine_for(self._postgres.url("lake")), f"lake.{name}"):
            yield

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commit all that is written inside, or nothing of it. It writes the lake or personal data, never both."""
        self.connection.execute("begin")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def read(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of a query. Named parameters ($name) only; never build values into the text."""
        return self.connection.execute(sql, parameters or {}).pl()

    def append(self, relation: str, rows: pl.DataFrame) -> None:
        """Add rows to a table by column name."""
        if rows.is_empty():
            return
        self._insert(relation, rows)

    def replace_day(self, relation: str, rows: pl.DataFrame, *, column: str, day: date) -> None:
        """Replace the rows of one day by these, in one transaction. A rerun leaves the same rows."""
        with self.transaction():
            self.connection.execute(f"delete from {qualified(relation)} where {column} = $day", {"day": day})
            self.append(relation, rows)

    def replace_all(self, relation: str, rows: pl.DataFrame) -> None:
        """Replace a small table wholly, in one transaction."""
        with self.transaction():
            self.connection.execute(f"delete from {qualified(relation)}")
            self.append(relation, rows)

    def _insert(self, relation: str, rows: pl.DataFrame) -> None:
        self.connection.register("incoming_rows", rows)
        try:
            self.connection.execute(f"insert into {qualified(relation)} by name select * from incoming_rows")
        finally:
            self.connection.unregister("incoming_rows")

    def snapshot_id(self) -> int:
        """Return the newest snapshot of the lake: what a publication names."""
        row = self.connection.execute("select max(snapshot_id) from lake.snapshots()").fetchone()
        assert row is not None
        return int(row[0])


def qualified(relation: str) -> str:
    """Return the whole name of a relation: pii.customers is one already, core.fct_sessions is one of the lake."""
    return relation if relation.startswith(f"{PERSONAL}.") else f"lake.{relation}"


def open_writer(settings: Settings) -> LakeWriter:
    """Open the write gate, with all Python-written tables in place."""
    postgres = open_postgres(settings)
    writer = LakeWriter.attach(settings, postgres)
    address = f"{postgres.url('lake')} {settings.lake_path}"
    if address not in _prepared:
        writer.prepare()
        _prepared.add(address)
    return writer


class KeptLake:
    """The lake attached once for many writers in turn: attaching costs more than most steps of a run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first: LakeWriter | None = None

    def writer(self) -> LakeWriter:
        """Return a writer. The lake is attached when the first one asks, and anew if it went away since the last."""
        if self._first is not None and not self._first.answers():
            self.close()
        if self._first is None:
            self._first = open_writer(self._settings)
        return self._first.again()

    def close(self) -> None:
        """Detach the lake."""
        if self._first is not None:
            self._first.close()
        self._first = None
