"""Upkeep of the lake as an asset."""

from dataclasses import asdict
from datetime import timedelta

import dagster as dg

from assets.resources import WRITER_POOL, House, Turn
from data.lake.upkeep import keep_up
from data.operations import publications

KEEP_ALL = timedelta(days=3)
"""Every published version stays readable this long: enough to undo a bad weekend."""
KEEP_DAILY = timedelta(days=400)
"""The last version of each day stays readable this long: "as it was a year ago" works."""


@dg.asset(
    key=["lake", "upkeep"],
    group_name="upkeep",
    pool=WRITER_POOL,
    kinds={"ducklake"},
    description="The lake, compacted. Published versions stay readable; a rerun changes nothing.",
)
def lake_upkeep(house: dg.ResourceParam[House], turn: dg.ResourceParam[Turn]) -> dg.MaterializeResult:
    """Flush rows that wait in the catalogue, merge small files, expire what nobody can open any more."""
    with house.operations.session() as session:
        retained = publications.retained_snapshots(
            session, now=house.clock.now(), keep_all=KEEP_ALL, keep_daily=KEEP_DAILY
        )
    with house.lake() as lake:
        report = keep_up(lake, retained_snapshots=retained)
    return dg.MaterializeResult(metadata=asdict(report))
