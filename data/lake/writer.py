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

from data.lake.connection import PERSONAL_SCHEMA, SCHEMAS, attach_address, connect, quote
from data.postgres import Postgres, advisory_lock, engine_for, open_postgres
from data.settings import Settings

INLINE_ROWS = 100
"""Writes of up to this many rows wait in the catalogue until upkeep flushes them: no tiny Parquet files."""


class LakeWriter:
    """One connection that may change the lake. Not thread-safe; close it, or use it as a context manager."""

    def __init__(self, settings: Settings, postgres: Postgres) -> None:
        self._postgres = postgres
        if "://" not in settings.lake_path:
            Path(settings.lake_path).mkdir(parents=True, exist_ok=True)
        self.connection = connect(settings, memory_limit=settings.writer_memory_limit)
        self.connection.execute(
            f"attach {quote(attach_address(postgres, reader=False))} as lake "
            f"(data_path {quote(settings.lake_path)}, data_inlining_row_limit {INLINE_ROWS})"
        )

    def __enter__(self) -> LakeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what was not committed is gone."""
        self.connection.close()

    def prepare(self) -> None:
        """Create schemas and Python-written tables that are missing. Safe to run twice and side by side."""
        with advisory_lock(engine_for(self._postgres.url("lake")), "lake.prepare"):
            for schema in SCHEMAS:
                self.connection.execute(f"create schema if not exists lake.{schema}")
            # Personal rows must never sit in the catalogue, which every reader may read.
            self.connection.execute(
                f"call lake.set_option('data_inlining_row_limit', 0, schema => '{PERSONAL_SCHEMA}')"
            )
            for statement in Path(__file__).with_name("tables.sql").read_text().split(";"):
                if statement.strip():
                    self.connection.execute(statement)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Hold a lock among all writers of this lake, for what must look before it writes."""
        with advisory_lock(engine_for(self._postgres.url("lake")), f"lake.{name}"):
            yield

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commit all that is written inside, or nothing of it."""
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
            self.connection.execute(f"delete from lake.{relation} where {column} = $day", {"day": day})
            self.append(relation, rows)

    def replace_all(self, relation: str, rows: pl.DataFrame) -> None:
        """Replace a small table wholly, in one transaction."""
        with self.transaction():
            self.connection.execute(f"delete from lake.{relation}")
            self.append(relation, rows)

    def _insert(self, relation: str, rows: pl.DataFrame) -> None:
        self.connection.register("incoming_rows", rows)
        try:
            self.connection.execute(f"insert into lake.{relation} by name select * from incoming_rows")
        finally:
            self.connection.unregister("incoming_rows")

    def snapshot_id(self) -> int:
        """Return the newest snapshot of the lake: what a publication names."""
        row = self.connection.execute("select max(snapshot_id) from lake.snapshots()").fetchone()
        assert row is not None
        return int(row[0])


def open_writer(settings: Settings) -> LakeWriter:
    """Open the write gate, with all Python-written tables in place."""
    writer = LakeWriter(settings, open_postgres(settings))
    writer.prepare()
    return writer
