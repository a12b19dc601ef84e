"""Upkeep of the lake's files: compaction and expiry. What is published stays readable."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data.lake.writer import LakeWriter

GRACE = "1 hour"
"""Snapshots and files younger than this may belong to a reader or a run that is still at work."""


@dataclass(frozen=True)
class UpkeepReport:
    """What one upkeep did, in counts."""

    expired_snapshots: int
    flushed_tables: int
    merged_files: int
    removed_files: int


def keep_up(lake: LakeWriter, *, retained_snapshots: Collection[int]) -> UpkeepReport:
    """Flush rows that wait in the catalogue, merge small files, expire what nobody can open any more.

    Safe to run twice. Call only while no run builds the lake.
    """
    connection = lake.connection
    flushed = connection.execute("call ducklake_flush_inlined_data('lake')").fetchall()
    merged = connection.execute("call ducklake_merge_adjacent_files('lake')").fetchall()
    expirable = _expirable(lake, retained_snapshots)
    if expirable:
        connection.execute(
            f"call ducklake_expire_snapshots('lake', versions => [{', '.join(map(str, expirable))}])"
        )
    removed = connection.execute(
        f"call ducklake_cleanup_old_files('lake', older_than => now() - interval '{GRACE}')"
    ).fetchall()
    removed += connection.execute(
        f"call ducklake_delete_orphaned_files('lake', older_than => now() - interval '{GRACE}')"
    ).fetchall()
    return UpkeepReport(len(expirable), len(flushed), len(merged), len(removed))


def _expirable(lake: LakeWriter, retained: Collection[int]) -> list[int]:
    rows = lake.connection.execute(
        f"select snapshot_id from lake.snapshots() where snapshot_time < now() - interval '{GRACE}' "
        "and snapshot_id < (select max(snapshot_id) from lake.snapshots()) order by 1"
    ).fetchall()
    return [snapshot for (snapshot,) in rows if snapshot not in retained]
