"""The ingestion assets: read from a source, take in, report. The thinking is in pull, messages and files."""

import dagster as dg

from assets.ingest.messages import take_messages
from assets.ingest.pull import FEEDS, Account, Feed, pull
from assets.ingest.rails import PassingFailure, PermanentFailure, RailsClient
from assets.resources import House

GROUP = "ingest"
PREVIEW_ROWS = 5


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


def _pull_asset(feed: Feed) -> dg.AssetsDefinition:
    @dg.asset(
        key=["raw_marketplace", feed.kind],
        group_name=GROUP,
        kinds={"python", "ducklake"},
        # Messages of the landing end in the same tables, so they are taken in before the pull reads its cursor.
        deps=[["landing", "messages"]] if feed.kind == "sessions" else None,
        description=f"{feed.kind} as the API gave them, one row per version. Append-only; a rerun adds nothing.",
    )
    def pulled(context: dg.AssetExecutionContext, house: dg.ResourceParam[House]) -> dg.MaterializeResult:
        if not house.settings.rails_url:
            return dg.MaterializeResult(
                metadata={"skipped": "CHALKLINE_RAILS_URL is empty: nothing to pull from"}
            )
        try:
            with house.lake() as lake, RailsClient(house.settings, house.clock) as client:
                account = pull(
                    lake,
                    client,
                    feed,
                    clock=house.clock,
                    time_zone=house.settings.business_time_zone,
                    corrections=house.corrections,
                )
        except PermanentFailure as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except PassingFailure as error:
            if not error.is_worth_waiting:
                raise dg.Failure(str(error), allow_retries=False) from error
            raise dg.RetryRequested(max_retries=2, seconds_to_wait=10) from error
        context.log.info(f"{feed.kind}: {account.total('read')} read, {account.total('loaded')} new")
        return dg.MaterializeResult(metadata=account_metadata(account))

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


INGEST_ASSETS: list[dg.AssetsDefinition] = [landing_messages, *map(_pull_asset, FEEDS.values())]
