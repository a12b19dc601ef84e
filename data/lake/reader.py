"""The read gate of the lake: pinned to one published version, and hardened.

A reader sees a whole run or the one before, never a half. It cannot touch files, settings or other
databases. Personal data is a catalogue of its own, attached only if the caller may see it, and always at its
newest: no history of it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from data.lake.connection import (
    PERSONAL,
    SCHEMAS,
    LakeError,
    attach_address,
    attach_personal,
    connect,
    quote,
)
from data.lake.guard import check_query
from data.postgres import open_postgres
from data.settings import Settings

INTERRUPT_AGAIN_SECONDS = 0.05


class ReaderTimeout(LakeError):
    """A query ran longer than this deployment allows."""


class LakeReader:
    """A read-only connection that sees the lake as it was at one snapshot. Safe to share between threads."""

    def __init__(self, settings: Settings, *, snapshot_id: int, personal: bool = False) -> None:
        self.snapshot_id = snapshot_id
        self._timeout = settings.reader_timeout_seconds
        self._personal = personal
        self._connection = connect(settings, memory_limit=settings.reader_memory_limit)
        postgres = open_postgres(settings)
        address = attach_address(postgres, reader=True)
        self._connection.execute(
            f"attach {quote(address)} as lake (read_only, snapshot_version {int(snapshot_id)})"
        )
        if personal:
            attach_personal(self._connection, settings, postgres, reader=True)
        self._harden(settings, personal=personal)

    def _harden(self, settings: Settings, *, personal: bool) -> None:
        folders = [f"{settings.lake_path}{schema}/" for schema in SCHEMAS]
        if personal:
            folders.append(settings.personal_path)
        self._connection.execute(f"set allowed_directories = [{', '.join(map(quote, folders))}]")
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of one query, within the time limit.

        Raises ReaderTimeout when it takes too long and LakeError when it is anything but a query of the lake.
        """
        cursor = self._connection.cursor()
        done = threading.Event()
        watch = threading.Thread(target=_interrupt_late, args=(cursor, self._timeout, done), daemon=True)
        watch.start()
        try:
            check_query(cursor, sql, personal=self._personal)
            cursor.execute("use lake")
            return self._answer(cursor, sql, parameters or {})
        except duckdb.InterruptException as error:
            raise ReaderTimeout(f"the query took longer than {self._timeout:g} s; narrow it down") from error
        finally:
            done.set()
            watch.join()
            cursor.close()

    def personal_snapshot_id(self) -> int:
        """Return the newest snapshot of personal data: what was read before it may have been erased."""
        with self._connection.cursor() as cursor:
            row = cursor.execute(f"select id from ducklake_current_snapshot('{PERSONAL}')").fetchone()
        assert row is not None
        return int(row[0])

    def _answer(
        self, cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]
    ) -> pl.DataFrame:
        try:
            return cursor.execute(sql, parameters).pl()
        except duckdb.IOException:
            if not self._personal:
                raise
            # Personal files are removed as soon as they are rewritten, readers or not: the newest ones are there.
            return cursor.execute(sql, parameters).pl()


def _interrupt_late(cursor: duckdb.DuckDBPyConnection, seconds: float, done: threading.Event) -> None:
    # Again and again: an interruption between two statements is lost when the second one starts.
    wait = seconds
    while not done.wait(wait):
        cursor.interrupt()
        wait = INTERRUPT_AGAIN_SECONDS
