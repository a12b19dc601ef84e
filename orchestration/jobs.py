"""The lanes: which assets run together, in one process and in one run. When they run is in schedules and sensors."""

from __future__ import annotations

from typing import Literal

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster_dbt import build_dbt_asset_selection

from assets.ingest.pull import FEEDS
from orchestration.checks import CHECKS

Lane = Literal["fast", "hourly", "scores", "nightly", "announce", "replay", "upkeep"]
LANES: tuple[Lane, ...] = ("fast", "hourly", "scores", "nightly", "announce", "replay", "upkeep")

LONGEST_RUN_SECONDS: dict[Lane, int] = {
    "fast": 900,
    "hourly": 900,
    "scores": 1800,
    "nightly": 7200,
    "announce": 300,
    "replay": 1800,
    "upkeep": 3600,
}
"""After this a run is stuck, not slow; the monitor ends it and frees its turn."""

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]

PUBLISH = dg.AssetSelection.assets(["operations", "publications"])
EPISODES = dg.AssetSelection.assets(["operations", "alert_episodes"], ["operations", "alert_mails"])
DIGESTS = dg.AssetSelection.assets(["operations", "digests"])
SNAPSHOTS = dg.AssetSelection.assets(["raw_operations", "alert_episodes"], ["raw_operations", "roster"])
DEMAND = dg.AssetSelection.assets(
    ["ml", "demand_forecasts"], ["ml", "supply_demand_risks"], ["ml", "forecast_refusals"]
)


def _pulls(*kinds: str) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(["raw_marketplace", kind] for kind in kinds))


def is_under_way(instance: dg.DagsterInstance, lane: str) -> bool:
    """Tell whether a run of a lane waits, starts or runs. What it does a second one need not do again."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=lane, statuses=UNDER_WAY), limit=1))


def build_jobs(warehouse: dg.AssetsDefinition) -> dict[Lane, UnresolvedAssetJobDefinition]:
    """Return the job of every lane."""
    tagged = {
        tag: build_dbt_asset_selection([warehouse], dbt_select=f"tag:{tag}") for tag in ("fast", "scores")
    }
    everything = build_dbt_asset_selection([warehouse], dbt_select="fqn:*")
    # A dbt selection brings dbt's own tests only: without these a lane would publish unchecked.
    act = dg.AssetSelection.checks(*CHECKS) | PUBLISH | EPISODES
    selections: dict[Lane, dg.AssetSelection] = {
        "fast": dg.AssetSelection.assets(["landing", "messages"])
        | _pulls("sessions", "inbound_calls", "reschedules", "engagement_events")
        | SNAPSHOTS
        | tagged["fast"]
        | act,
        "hourly": _pulls("customers", "tutors"),
        "scores": SNAPSHOTS | tagged["scores"] | tagged["fast"] | act,
        # All feeds, further back than by day: what appeared late is in the night's tables.
        "nightly": _pulls(*FEEDS) | SNAPSHOTS | everything | DEMAND | act | DIGESTS,
        "announce": dg.AssetSelection.assets(["operations", "alert_mails"]),
        "replay": dg.AssetSelection.assets(["raw_quality", "replays"]),
        "upkeep": dg.AssetSelection.assets(["lake", "upkeep"]),
    }
    return {lane: _job(lane, selection) for lane, selection in selections.items()}


def _job(lane: Lane, selection: dg.AssetSelection) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        lane,
        selection=selection,
        executor_def=dg.in_process_executor,
        tags={"chalkline/lane": lane, "dagster/max_runtime": str(LONGEST_RUN_SECONDS[lane])},
    )
