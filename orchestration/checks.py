"""Asset checks of structure and volume. Content is checked by dbt tests beside the models.

A blocking check stands in front of publishing. What only warns reaches the engineers by sensor, since a failed
check does not fail a run.
"""

import dagster as dg

from assets.resources import House


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
    """Warn when a feed that is pulled brought nothing new for longer than the rulebook allows (feed_limits)."""
    with house.lake() as lake:
        silent = lake.read(
            "select source || ' ' || kind as feed from lake.marts.rpt_source_freshness where is_silent order by 1"
        )["feed"]
    return dg.AssetCheckResult(
        passed=silent.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"silent_feeds": ", ".join(silent) or "none"},
    )


CHECKS = [every_known_session_is_a_fact, every_record_is_accounted_for, no_live_feed_is_silent]
