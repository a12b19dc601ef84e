"""Asset checks of structure and volume. Content is checked by dbt tests beside the models.

A blocking check stands in front of publishing. What only warns reaches the engineers by sensor, since a failed
check does not fail a run.
"""

import dagster as dg

from assets.resources import House

STALE_AFTER_HOURS = 26.0
"""A live feed that brought nothing for this long is silent, whatever its usual rhythm."""


@dg.asset_check(asset=["core", "fct_sessions"], name="every_known_session_is_a_fact", blocking=True)
def every_known_session_is_a_fact(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Compare the distinct sessions that came in with the facts: none lost, none doubled."""
    with house.lake() as lake:
        row = lake.read(
            "select (select count(distinct session_id) from lake.raw_marketplace.sessions) as known, "
            "(select count(*) from lake.core.fct_sessions) as facts"
        ).row(0, named=True)
    return dg.AssetCheckResult(passed=row["known"] == row["facts"], metadata=row)


@dg.asset_check(asset=["marts", "rpt_ingestion_quality"], name="every_record_is_accounted_for", blocking=True)
def every_record_is_accounted_for(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Check read = loaded + duplicate + quarantined for each batch ever taken in."""
    with house.lake() as lake:
        broken = lake.read(
            "select batch_id from lake.raw_quality.ingestion_batches "
            "where read_count != loaded_count + duplicate_count + quarantined_count"
        )
    return dg.AssetCheckResult(passed=broken.is_empty(), metadata={"broken_batches": broken.height})


@dg.asset_check(asset=["marts", "rpt_source_freshness"], name="no_live_feed_is_silent")
def no_live_feed_is_silent(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Warn when a feed that is pulled brought no new record for more than a day. History imports are exempt."""
    with house.lake() as lake:
        feeds = lake.read(
            "select source, kind, max(finished_at) filter (loaded_count > 0) as last_news_at "
            "from lake.raw_quality.ingestion_batches where source = 'rails.pull' and kind = 'sessions' group by 1, 2"
        )
    now = house.clock.now().replace(tzinfo=None)
    silent = [
        f"{row['source']} {row['kind']}"
        for row in feeds.to_dicts()
        if row["last_news_at"] is None
        or (now - row["last_news_at"]).total_seconds() > STALE_AFTER_HOURS * 3600
    ]
    return dg.AssetCheckResult(
        passed=not silent,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"silent_feeds": ", ".join(silent) or "none"},
    )


CHECKS = [every_known_session_is_a_fact, every_record_is_accounted_for, no_live_feed_is_silent]
