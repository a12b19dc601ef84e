"""Acting as assets: each reads what is published or decided, calls a function, and writes the operations store."""

import dagster as dg
import polars as pl
from sqlalchemy.orm import Session

from assets.act.candidates import read_candidates, read_rules
from assets.act.digests import enqueue_digest, gather, key_metrics, readers
from assets.act.mails import announce, send_due, unannounced_episodes
from assets.act.names import read_names
from assets.publish import newest_day
from assets.resources import House
from data.operations import feedback, publications
from data.operations.observe import observe
from data.operations.tables import Publication

GROUP = "act"


def news(session: Session) -> Publication | None:
    """Return the published version if it tells something new, else None.

    A version that is held shows the past, and so does a backfill of days before the newest one: nobody is
    alerted to what was the case then.
    """
    published = publications.current(session)
    if published is None or publications.hold_in_force(session) is not None:
        return None
    newest = newest_day(session)
    return None if newest is not None and published.as_of_date < newest else published


@dg.asset(
    key=["operations", "alert_episodes"],
    deps=[["operations", "publications"]],
    group_name=GROUP,
    kinds={"postgres"},
    description="Alert episodes, in line with the candidates of the published version. A rerun changes nothing.",
)
def alert_episodes(context: dg.AssetExecutionContext, house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    """Open, update and close episodes. Nothing happens for a version that is not published."""
    with house.operations.session() as session:
        published = news(session)
    if published is None:
        context.log.warning("nothing new is published, so no alert is opened or closed")
        return dg.MaterializeResult(metadata={"opened": 0, "reason": "nothing new is published"})
    with house.lake() as lake:
        candidates, rules = read_candidates(lake, published.as_of_date), read_rules(lake)
    with house.operations.session() as session:
        report = observe(
            session,
            candidates,
            rules,
            as_of_date=published.as_of_date,
            publication_id=published.publication_id,
            now=house.clock.now(),
            compose=lambda _: (),
        )
    return dg.MaterializeResult(
        metadata={
            "candidates": len(candidates),
            "opened": report.count("opened"),
            "updated": report.count("updated"),
            "auto_resolved": report.count("auto_resolved"),
            "held_by_cooldown": len(report.held),
        }
    )


@dg.asset(
    key=["operations", "alert_mails"],
    deps=[["operations", "alert_episodes"]],
    group_name=GROUP,
    kinds={"postgres"},
    description="Mail about alerts that their people have not been told of. Each change is told once.",
)
def alert_mails(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    """Compose what is due, freeze it in the outbox, send it. A rerun sends nothing twice."""
    now = house.clock.now()
    queued = 0
    with house.operations.session() as session:
        plan = unannounced_episodes(session, house.settings, now=now)
        if plan.deliveries:
            with house.lake() as lake:
                names = read_names(lake, plan.episodes.values())
            queued = announce(session, plan, names, house.settings, now=now)
    report = send_due(house)
    return dg.MaterializeResult(metadata={"queued": queued, "sent": report.sent})


@dg.asset(
    key=["operations", "digests"],
    deps=[["operations", "alert_episodes"]],
    group_name=GROUP,
    kinds={"postgres"},
    description="The daily short list of each coach and of the operations desk, one per reader and day.",
)
def digests(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    """Gather, compose and queue the digests of the published day, for each reader's hour."""
    now = house.clock.now()
    queued = 0
    with house.operations.session() as session:
        published = news(session)
        if published is None:
            return dg.MaterializeResult(metadata={"queued": 0, "reason": "nothing new is published"})
        gathered = [gather(session, reader, now=now) for reader in readers(session, house.settings, now=now)]
        with house.lake() as lake:
            names = read_names(lake, [episode for digest in gathered for episode in digest.all()])
            metrics = key_metrics(lake, published.as_of_date)
        for digest in gathered:
            queued += enqueue_digest(
                session, digest, names, metrics, house.settings, day=published.as_of_date, now=now
            )
    report = send_due(house)
    return dg.MaterializeResult(metadata={"queued": queued, "sent": report.sent})


def _snapshot_asset(name: str) -> dg.AssetsDefinition:
    # No upstream asset: decisions are made by people at any time, and an edge back would be a circle.
    @dg.asset(
        key=["raw_operations", name],
        group_name=GROUP,
        kinds={"ducklake"},
        description=f"A full copy of {name.replace('_', ' ')} as the operations store has it now.",
    )
    def snapshot(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
        read = feedback.episodes_frame if name == "alert_episodes" else feedback.roster_frame
        with house.operations.session() as session:
            rows = read(session, now=house.clock.now())
        with house.lake() as lake:
            lake.replace_all(f"raw_operations.{name}", pl.DataFrame(rows, infer_schema_length=None))
        return dg.MaterializeResult(metadata={"dagster/row_count": len(rows)})

    return snapshot


ACT_ASSETS: list[dg.AssetsDefinition] = [
    alert_episodes,
    alert_mails,
    digests,
    _snapshot_asset("alert_episodes"),
    _snapshot_asset("roster"),
]
