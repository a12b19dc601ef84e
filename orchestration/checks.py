"""Asset checks of structure, volume, shape and freshness. Content is checked by dbt tests beside the models.

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


FRESHNESS = ["marts", "rpt_source_freshness"]


def _warning(house: House, feeds_sql: str) -> dg.AssetCheckResult:
    """Pass if a query finds no feed; else warn and name each. The query gives the columns feed and detail."""
    with house.lake() as lake:
        found = lake.read(feeds_sql)
    named = "; ".join(f"{feed}: {detail}" if detail else feed for feed, detail in found.iter_rows())
    return dg.AssetCheckResult(
        passed=found.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=named or None,
        metadata={"feeds": named or "none"},
    )


def _feed_check(name: str, flag: str, *, detail: str, told: str) -> dg.AssetChecksDefinition:
    """Make the check that warns of each feed that has a flag on the newest day. detail: SQL for the words beside it."""

    @dg.asset_check(asset=FRESHNESS, name=name, description=told)
    def feed_check(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
        return _warning(
            house,
            f"select source || ' ' || kind as feed, {detail} as detail from lake.marts.rpt_source_freshness "
            f"where {flag} and as_of_date = (select max(as_of_date) from lake.marts.rpt_source_freshness) "
            "order by feed",
        )

    return feed_check


FEED_CHECKS = (
    _feed_check(
        "no_live_feed_is_silent",
        "is_silent",
        detail="null::varchar",
        told="Warn when a feed that is pulled brought nothing new for longer than the rulebook allows (feed_limits).",
    ),
    _feed_check(
        "no_live_feed_is_late",
        "is_late",
        detail="'last read ' || last_read_at::varchar || ' UTC'",
        told="Warn when a feed that is pulled was last read well longer ago than the rulebook allows (feed_limits).",
    ),
    _feed_check(
        "every_feed_can_be_read",
        "is_failing",
        detail="last_outcome || ', ' || last_reason",
        told="Warn when a feed is held, or its tries have failed for too long: the lane goes on with what there is.",
    ),
    _feed_check(
        "every_source_knows_the_time",
        "is_clock_off",
        detail="round(source_ahead_seconds)::bigint || ' s ahead of us'",
        told="Warn when the clock of a source is further off than the rulebook tolerates: its times cannot be trusted.",
    ),
)


@dg.asset_check(asset=["marts", "rpt_feed_volume"], name="no_feed_has_an_unusual_volume")
def no_feed_has_an_unusual_volume(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Warn when a feed brought far more or fewer new records today than on this weekday (quality_limits)."""
    return _warning(
        house,
        "select source || ' ' || kind as feed, record_count || ' new records so far, usually ' || usual_count || "
        "', between ' || low_count || ' and ' || high_count as detail from lake.marts.rpt_feed_volume "
        "where is_unusual and as_of_date = (select max(as_of_date) from lake.marts.rpt_feed_volume) order by feed",
    )


@dg.asset_check(asset=["marts", "rpt_contract_drift"], name="no_contract_has_drifted")
def no_contract_has_drifted(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Warn when what a source sends has changed its shape: a field that is new, gone or of another type."""
    return _warning(
        house,
        "select source || ' ' || kind as feed, string_agg(field || ' is ' || change, ', ' order by field, change) "
        "as detail from lake.marts.rpt_contract_drift group by source, kind order by feed",
    )


@dg.asset_check(asset=["marts", "rpt_source_quality"], name="no_feed_refuses_much")
def no_feed_refuses_much(house: dg.ResourceParam[House]) -> dg.AssetCheckResult:
    """Warn when more of a feed's records of today are refused than the rulebook allows (quality_limits)."""
    return _warning(
        house,
        "select source || ' ' || kind as feed, quarantined_count || ' of ' || read_count || ' refused today' as detail "
        "from lake.marts.rpt_source_quality where is_refusing_much "
        "and as_of_date = (select max(as_of_date) from lake.marts.rpt_source_quality) order by feed",
    )


CHECKS = [
    every_known_session_is_a_fact,
    every_record_is_accounted_for,
    *FEED_CHECKS,
    no_feed_has_an_unusual_volume,
    no_contract_has_drifted,
    no_feed_refuses_much,
]
