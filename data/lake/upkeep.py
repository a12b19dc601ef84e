"""Upkeep of the lake's files: compaction and expiry. What is published stays readable.

Nobody is pinned to a snapshot of personal data, so of it only the newest is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from data.lake.personal import forget_history, sweep_orphans
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
    swept_texts: int
    removed_personal_files: int


def keep_up(lake: LakeWriter, *, retained_snapshots: Collection[int]) -> UpkeepReport:
    """Flush rows that wait in the catalogue, merge small files, expire what nobody can open any more.

    Of personal data, texts that a killed intake left without a record are swept too. Safe to run twice. Call only
    while no run builds the lake.
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
    return UpkeepReport(
        expired_snapshots=len(expirable),
        flushed_tables=len(flushed),
        merged_files=len(merged),
        removed_files=len(removed),
        swept_texts=sweep_orphans(lake),
        removed_personal_files=_keep_up_personal(lake),
    )


def _keep_up_personal(lake: LakeWriter) -> int:
    lake.connection.execute("call ducklake_merge_adjacent_files('pii')")
    return forget_history(lake, is_alone=False)


def _expirable(lake: LakeWriter, retained: Collection[int]) -> list[int]:
    rows = lake.connection.execute(
        f"select snapshot_id from lake.snapshots() where snapshot_time < now() - interval '{GRACE}' "
        "and snapshot_id < (select max(snapshot_id) from lake.snapshots()) order by 1"
    ).fetchall()
    return [snapshot for (snapshot,) in rows if snapshot not in retained]
