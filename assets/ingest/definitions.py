"""The ingestion assets: read from a source, take in, report. The thinking is in tries, messages, replay and files."""

from datetime import UTC

import dagster as dg

from assets.ingest.budget import Budget
from assets.ingest.messages import take_messages
from assets.ingest.pull import FEEDS, Account, Feed
from assets.ingest.replay import carry_out_waiting
from assets.ingest.tries import Tried, try_feed
from assets.resources import House
from data.contracts import Kind
from data.settings import Settings

GROUP = "ingest"
PREVIEW_ROWS = 5
TOLD_BY_MESSAGES: frozenset[Kind] = frozenset({"sessions", "reschedules", "engagement_events"})
"""Kinds that webhooks bring too."""


def account_metadata(account: Account) -> dict[str, dg.MetadataValue]:
    """Return what a data engineer wants to see of a pull: counts, and a table of its batches."""
    records = [
        dg.TableRecord(
            {
                "source": batch.source,
                "kind": batch.kind,
                "read": batch.read_count,
                "loaded": batch.loaded_count,
                "duplicate": batch.duplicate_count,
                "quarantined": batch.quarantined_count,
            }
        )
        for batch in account.batches[-50:]
    ]
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(account.total(name))
        for name in ("read", "loaded", "duplicate", "quarantined")
    }
    metadata["dagster/row_count"] = dg.MetadataValue.int(account.total("loaded"))
    if records:
        metadata["batches"] = dg.MetadataValue.table(records)
    return metadata


def try_metadata(tried: Tried) -> dict[str, dg.MetadataValue]:
    """Return what a data engineer wants to see of a try: how it ended and why, then what it brought."""
    told: dict[str, dg.MetadataValue] = {"outcome": dg.MetadataValue.text(tried.outcome)}
    attempt = tried.attempt
    reason = tried.skipped if attempt is None else attempt.reason
    if reason is not None:
        told["reason"] = dg.MetadataValue.text(reason)
    if attempt is not None and attempt.next_try_at is not None:
        told["next_try_at"] = dg.MetadataValue.timestamp(attempt.next_try_at.replace(tzinfo=UTC))
    if attempt is not None and attempt.source_ahead_seconds is not None:
        told["source_ahead_seconds"] = dg.MetadataValue.float(attempt.source_ahead_seconds)
    return told | account_metadata(tried.account)


def pull_seconds(settings: Settings, lane: str) -> float:
    """Return how long a lane gives to one feed. A pull by hand has the patience of the hourly lane."""
    seconds = {"fast": settings.fast_pull_seconds, "nightly": settings.nightly_pull_seconds}
    return seconds.get(lane, settings.hourly_pull_seconds)


def _pull_asset(feed: Feed) -> dg.AssetsDefinition:
    @dg.asset(
        key=["raw_marketplace", feed.kind],
        group_name=GROUP,
        kinds={"python", "ducklake"},
        # Messages of the landing end in the same tables, so they are taken in before the pull reads its cursor.
        deps=[["landing", "messages"]] if feed.kind in TOLD_BY_MESSAGES else None,
        description=f"{feed.kind} as the API gave them, one row per version. Append-only; a rerun adds nothing.",
    )
    def pulled(context: dg.AssetExecutionContext, house: dg.ResourceParam[House]) -> dg.MaterializeResult:
        if not house.settings.rails_url:
            return dg.MaterializeResult(
                metadata={"skipped": "CHALKLINE_RAILS_URL is empty: nothing to pull from"}
            )
        lane = context.run.tags.get("chalkline/lane", "")
        with house.lake() as lake:
            tried = try_feed(
                lake,
                feed,
                settings=house.settings,
                clock=house.clock,
                budget=Budget(pull_seconds(house.settings, lane)),
                is_night=lane == "nightly",
                released_at=house.feed_released_at(feed.kind),
                corrections=house.corrections,
            )
        # However it ended, the lane builds with what there is; the marts and a check tell the engineers.
        context.log.info(
            f"{feed.kind}: {tried.outcome}, {tried.account.total('read')} read, {tried.account.total('loaded')} new"
        )
        return dg.MaterializeResult(metadata=try_metadata(tried))

    return pulled


@dg.asset(
    key=["landing", "messages"],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    description="Webhook messages, taken from the landing into raw_marketplace. A message taken twice is a duplicate.",
)
def landing_messages(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    """Take the waiting webhook messages in. Grain: one row per message; a rerun takes only what is left."""
    with house.lake() as lake:
        account = take_messages(
            lake, house.landing, house.settings, clock=house.clock, corrections=house.corrections
        )
    return dg.MaterializeResult(metadata=account_metadata(account))


@dg.asset(
    key=["raw_quality", "replays"],
    group_name=GROUP,
    kinds={"python", "ducklake"},
    description="What people decided about the quarantine, carried out: records judged again, or given up.",
)
def replays(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    """Carry out the waiting decisions. Grain: one row per batch judged again; a rerun does only what is left."""
    with house.lake() as lake:
        outcomes = carry_out_waiting(
            lake,
            house.operations,
            clock=house.clock,
            time_zone=house.settings.business_time_zone,
            corrections=house.corrections,
        )
    told: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(sum(int(one.get(name, 0)) for one in outcomes))
        for name in ("tried", "loaded", "duplicate", "discarded")
    }
    return dg.MaterializeResult(metadata={"requests": dg.MetadataValue.int(len(outcomes)), **told})


INGEST_ASSETS: list[dg.AssetsDefinition] = [landing_messages, *map(_pull_asset, FEEDS.values()), replays]
