"""A database built beside the lake, to be asked and thrown away. It is one DuckDB file; the lake never knows of it.

What belongs here: opening such a file for reading. What does not: what is built into it (assets/recompute.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from data.lake.connection import quote
from data.lake.guard import check_query
from data.settings import Settings

NAME = "recomputed"
"""What the file is called as a database: dbt_project/profiles.yml builds into a database of this name."""


class ScratchReader:
    """A read-only connection to one such file. No other file, database or setting can be reached from it."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self._connection = duckdb.connect(
            ":memory:",
            config={"memory_limit": settings.reader_memory_limit, "threads": str(settings.threads)},
        )
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(f"attach {quote(str(file))} as {NAME} (read_only)")
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")
        self._connection.execute(f"use {NAME}")

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of one query. Raises LakeError when it is anything but a SELECT of the file's tables."""
        check_query(self._connection, sql, personal=False)
        return self._connection.execute(sql, parameters or {}).pl()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
