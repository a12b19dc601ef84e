"""When the lanes run. Order inside a lane comes from its assets, never from staggered clocks."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.days import AS_OF_FROM_TAG
from assets.publish import newest_day
from assets.resources import House
from orchestration.jobs import Lane, is_under_way

CRON: dict[Lane, str] = {
    "fast": "*/5 * * * *",
    "hourly": "7 * * * *",
    "scores": "0 */6 * * *",
    "nightly": "0 2 * * *",
    "upkeep": "30 3 * * *",
}


def build_schedules(
    jobs: Mapping[Lane, UnresolvedAssetJobDefinition], time_zone: str
) -> list[dg.ScheduleDefinition]:
    """Return one schedule per lane, in the business time zone."""
    return [_schedule(lane, cron, jobs[lane], time_zone) for lane, cron in CRON.items()]


def _schedule(
    lane: Lane, cron: str, job: UnresolvedAssetJobDefinition, time_zone: str
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{lane}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone=time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(
        context: dg.ScheduleEvaluationContext, house: dg.ResourceParam[House]
    ) -> dg.RunRequest | dg.SkipReason:
        # Lanes of one kind do not queue behind each other: the next tick does the same work.
        if is_under_way(context.instance, lane):
            return dg.SkipReason(f"the {lane} lane is already under way")
        return dg.RunRequest(
            run_key=f"{lane}:{context.scheduled_execution_time.isoformat()}",
            partition_key=house.today().isoformat() if lane in ("fast", "scores", "nightly") else None,
            tags=_unfinished_days(house) if lane == "nightly" else {},
        )

    return tick


def _unfinished_days(house: House) -> dict[str, str]:
    """Return the tag that makes a night build the days since the last one, which it left unfinished.

    The last hours of yesterday came in after any lane of yesterday; after an outage it is more than one day.
    """
    today = house.today()
    with house.operations.session() as session:
        last = newest_day(session, lane="nightly") or today - timedelta(days=1)
    return {AS_OF_FROM_TAG: last.isoformat()} if last < today else {}
