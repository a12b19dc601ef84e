"""How far each feed has been read. Append-only: the newest word wins."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from data.clock import naive_utc
from data.contracts import Kind
from data.lake.writer import LakeWriter


def cursor_of(
    lake: LakeWriter, *, source: str, kind: Kind, not_after: datetime | None = None
) -> datetime | None:
    """Return how far a feed has been read (naive UTC), or None when it never was.

    With not_after, cursors that lie behind that instant are passed over.
    """
    row = lake.connection.execute(
        "select cursor_at from lake.raw_quality.pull_cursors where source = $source and kind = $kind "
        "and ($not_after is null or cursor_at <= $not_after) order by saved_at desc, cursor_at desc limit 1",
        {"source": source, "kind": kind, "not_after": not_after},
    ).fetchone()
    return row[0] if row else None


def save_cursor(
    lake: LakeWriter, *, source: str, kind: str, cursor_at: datetime, batch_id: str, saved_at: datetime
) -> None:
    """Say how far a feed has been read (naive UTC), in the caller's transaction."""
    row = {"source": source, "kind": kind, "cursor_at": cursor_at, "batch_id": batch_id, "saved_at": saved_at}
    lake.append("raw_quality.pull_cursors", pl.DataFrame([row]))


def set_cursor(lake: LakeWriter, *, source: str, kind: Kind, cursor_at: datetime, saved_at: datetime) -> None:
    """Say that a feed is known up to an instant: after history came in by file, the pull goes on from there."""
    save_cursor(
        lake,
        source=source,
        kind=kind,
        cursor_at=naive_utc(cursor_at),
        batch_id="set by hand",
        saved_at=naive_utc(saved_at),
    )
