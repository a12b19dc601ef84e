"""What the commands about ingestion share: a state to throw away, a lake to empty, a clock that is set by hand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data.lake.writer import LakeWriter
from data.settings import Settings


@contextmanager
def scratch_settings() -> Iterator[Settings]:
    """Give the settings of a state folder that is thrown away."""
    # A short path: that of the server's socket has a limit. Open, since the embedded server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="chalk-"))
    folder.chmod(0o755)
    try:
        yield Settings(_env_file=None, state=folder)  # type: ignore[call-arg]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty(lake: LakeWriter) -> None:
    """Empty the tables that ingestion writes: the raw ones of the lake, and the personal ones beside it."""
    for catalogue in ("lake", "pii"):
        names = lake.read(
            "select database_name || '.' || schema_name || '.' || table_name as name from duckdb_tables() "
            "where database_name = $catalogue and (database_name = 'pii' or schema_name like 'raw_%')",
            {"catalogue": catalogue},
        )["name"]
        with lake.transaction():
            for name in names:
                lake.connection.execute(f"delete from {name}")


@dataclass
class Hands:
    """A clock that stands where it is put."""

    instant: datetime

    def now(self) -> datetime:
        """Return the instant."""
        return self.instant
