"""Publishing as an asset: the pointer moves only after the checks in front of it have passed."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster import DagsterEventType
from sqlalchemy.orm import Session

from assets.days import as_of_range, daily_partitions
from assets.resources import WRITER_POOL, House, Turn
from data.failpoints import failpoint
from data.operations import publications
from data.operations.publications import Held
from data.operations.tables import Publication


def newest_day(session: Session, *, lane: str | None = None) -> date | None:
    """Return the latest business date ever published, by any lane or by one of them; None before the first."""
    query = sa.select(sa.func.max(Publication.as_of_date))
    return session.scalar(query if lane is None else query.where(Publication.lane == lane))


def verdicts(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """Return what a run's checks have said so far: how many were run, and the names of those that did not pass.

    Checks that do not block may fail and be published all the same: readers of the version can see which.
    """
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
    said = [record.event_log_entry.get_dagster_event().asset_check_evaluation_data for record in records]
    failed = sorted(f"{one.asset_key.to_user_string()}: {one.check_name}" for one in said if not one.passed)
    return {"run_id": run_id, "run_count": len(said), "failed": failed}


def build_published(time_zone: str, marts: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the asset that names the newest snapshot of the lake as what readers see.

    It depends on every mart, so a failed blocking check or model leaves the pointer where it was.
    """

    @dg.asset(
        key=["operations", "publications"],
        deps=list(marts),
        group_name="publish",
        pool=WRITER_POOL,
        kinds={"postgres"},
        partitions_def=daily_partitions(time_zone),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="Which lake snapshot readers see. One row per publication; a held pointer is left alone.",
    )
    def published(
        context: dg.AssetExecutionContext, house: dg.ResourceParam[House], turn: dg.ResourceParam[Turn]
    ) -> dg.MaterializeResult:
        _, last = as_of_range(context)
        lane = context.run.tags.get("chalkline/lane", context.job_name)
        with house.lake() as lake:
            snapshot = lake.snapshot_id()
        failpoint("publish.before_pointer")
        with house.operations.session() as session:
            outcome = publications.publish(
                session,
                snapshot_id=snapshot,
                lane=lane,
                as_of_date=last,
                checks=verdicts(context.instance, context.run_id),
                now=house.clock.now(),
            )
            if isinstance(outcome, Held):
                context.log.warning(outcome.text)
                return dg.MaterializeResult(metadata={"held": outcome.text, "lake_snapshot": snapshot})
            version = outcome.publication_id
        failpoint("publish.after_pointer")
        return dg.MaterializeResult(metadata={"version": version, "lake_snapshot": snapshot})

    return published
