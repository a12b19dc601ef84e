"""The whole deployment as Dagster loads it: names, the chain of each lane, and the gate in front of publishing."""

from collections.abc import Iterable, Iterator

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.execution.api import create_execution_plan
from definitions_picture import PICTURE, as_text, picture_of

from assets.ingest.pull import FEEDS
from assets.publish import build_published
from assets.resources import House, Turn
from data.lake.writer import LakeWriter
from data.operations import publications
from data.settings import PROJECT_ROOT
from orchestration.checks import CHECKS, every_known_session_is_a_fact
from orchestration.jobs import LANES, LONGEST_RUN_SECONDS

SESSIONS = dg.AssetKey(["core", "fct_sessions"])
PUBLICATIONS = "operations__publications"
LEFT_BY_ANOTHER_LANE = {
    dg.AssetKey(["ml", "demand_forecasts"]),
    dg.AssetKey(["ml", "supply_demand_risks"]),
    dg.AssetKey(["marts", "fct_demand_forecasts"]),
    dg.AssetKey(["marts", "fct_tutor_scores"]),
    dg.AssetKey(["marts", "rpt_recommendations"]),
}
"""Forecasts and scores are read as the slower lane left them: their age is checked where they are used."""
PUBLISHING = ("fast", "scores", "nightly")


def ancestors(graph: AssetGraph, key: dg.AssetKey, *, inside: Iterable[dg.AssetKey]) -> set[dg.AssetKey]:
    """Everything that an asset waits for, along some of the assets only."""
    allowed = set(inside)
    found: set[dg.AssetKey] = set()
    waiting = [key]
    while waiting:
        for parent in graph.get(waiting.pop()).parent_keys:
            if parent not in found and parent in allowed:
                found.add(parent)
                waiting.append(parent)
    return found


def lane_keys(definitions: dg.Definitions, lane: str) -> set[dg.AssetKey]:
    return set(definitions.resolve_job_def(lane).asset_layer.executable_asset_keys)


def steps_before(definitions: dg.Definitions, lane: str, step: str) -> set[str]:
    """Every step that has to succeed before a step of a lane begins."""
    plan = create_execution_plan(definitions.resolve_job_def(lane))
    direct = plan.get_executable_step_deps()
    found: set[str] = set()
    waiting = [step]
    while waiting:
        for before in direct[waiting.pop()]:
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found


def test_every_name_is_known(definitions: dg.Definitions) -> None:
    now = as_text(picture_of(definitions))
    assert now == PICTURE.read_text(), (
        "the deployment differs from its picture; if that is meant, run: "
        "python tests/orchestration/definitions_picture.py"
    )


def test_everything_that_is_named_can_be_loaded(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


@pytest.mark.parametrize("lane", LANES)
def test_an_asset_of_a_lane_waits_for_all_that_it_is_made_of_in_that_lane(
    definitions: dg.Definitions, lane: str
) -> None:
    """A gap in the chain would let a table be built before the table it is made of."""
    graph = definitions.resolve_asset_graph()
    keys = lane_keys(definitions, lane)
    fresh = {key for key in graph.get_all_asset_keys() if key in keys or key not in LEFT_BY_ANOTHER_LANE}
    gaps = {
        key.to_user_string(): sorted(missed.to_user_string() for missed in lacking)
        for key in keys
        if (lacking := (ancestors(graph, key, inside=fresh) & keys) - ancestors(graph, key, inside=keys))
    }
    assert gaps == {}


def test_the_fast_lane_takes_messages_in_and_pulls_before_it_builds_facts(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    before = ancestors(graph, SESSIONS, inside=lane_keys(definitions, "fast"))
    assert {dg.AssetKey(["landing", "messages"]), dg.AssetKey(["raw_marketplace", "sessions"])} <= before
    calls = ancestors(
        graph, dg.AssetKey(["core", "fct_inbound_calls"]), inside=lane_keys(definitions, "fast")
    )
    assert dg.AssetKey(["raw_marketplace", "inbound_calls"]) in calls


@pytest.mark.parametrize("lane", PUBLISHING)
def test_a_lane_publishes_after_its_marts_and_acts_after_it_published(
    definitions: dg.Definitions, lane: str
) -> None:
    graph, keys = definitions.resolve_asset_graph(), lane_keys(definitions, lane)
    marts = {key for key in keys if key.path[0] in ("marts", "core", "rulebook")}
    published = dg.AssetKey(["operations", "publications"])
    assert marts
    assert marts <= ancestors(graph, published, inside=keys)
    assert published in ancestors(graph, dg.AssetKey(["operations", "alert_episodes"]), inside=keys)
    assert published in ancestors(graph, dg.AssetKey(["operations", "alert_mails"]), inside=keys)


@pytest.mark.parametrize("lane", PUBLISHING)
def test_peoples_decisions_are_copied_before_marts_read_them(definitions: dg.Definitions, lane: str) -> None:
    graph, keys = definitions.resolve_asset_graph(), lane_keys(definitions, lane)
    copied = dg.AssetKey(["raw_operations", "alert_episodes"])
    assert copied in keys
    assert copied in ancestors(graph, dg.AssetKey(["operations", "publications"]), inside=keys)


def test_every_table_is_built_by_some_lane(definitions: dg.Definitions) -> None:
    built = set().union(*(lane_keys(definitions, lane) for lane in LANES))
    assert set(definitions.resolve_asset_graph().executable_asset_keys) - built == set()


@pytest.mark.parametrize("lane", PUBLISHING)
def test_blocking_checks_stand_in_front_of_publishing(definitions: dg.Definitions, lane: str) -> None:
    before = steps_before(definitions, lane, PUBLICATIONS)
    assert {step for step in before if "every_known_session_is_a_fact" in step}
    assert {step for step in before if "every_record_is_accounted_for" in step}
    assert {step for step in before if step.startswith("warehouse")}


@pytest.fixture
def facts(lake: LakeWriter) -> LakeWriter:
    """One session came in; the table of facts is made by hand."""
    lake.connection.execute("create or replace table lake.core.fct_sessions (session_id varchar)")
    lake.connection.execute("insert into lake.raw_marketplace.sessions (session_id) values ('S-1'), ('S-1')")
    return lake


def publish_behind_the_check(house: House, *facts: str) -> dg.ExecuteInProcessResult:
    @dg.asset(key=SESSIONS)
    def sessions() -> None:
        with house.lake() as lake:
            for one in facts:
                lake.connection.execute("insert into lake.core.fct_sessions values (?)", [one])

    chain = dg.Definitions(
        assets=[sessions, build_published("America/New_York", [SESSIONS])],
        asset_checks=[every_known_session_is_a_fact],
        resources={"house": house, "turn": Turn()},
        jobs=[dg.define_asset_job("lane", executor_def=dg.in_process_executor)],
    )
    return chain.resolve_job_def("lane").execute_in_process(
        partition_key="2026-03-02", raise_on_error=False, instance=dg.DagsterInstance.ephemeral()
    )


def published(house: House) -> bool:
    with house.operations.session() as session:
        return publications.current(session) is not None


@pytest.mark.parametrize(
    ("rows", "passes"), [((), False), (("S-1",), True), (("S-1", "S-1"), False), (("S-1", "S-2"), False)]
)
def test_a_lake_that_lost_or_doubled_a_session_is_not_published(
    facts: LakeWriter, house: House, rows: tuple[str, ...], passes: bool
) -> None:
    result = publish_behind_the_check(house, *rows)
    facts.connection.execute("drop table lake.core.fct_sessions")
    assert result.success is passes
    assert published(house) is passes


def test_a_batch_that_does_not_add_up_fails_its_check(lake: LakeWriter, house: House) -> None:
    check = next(one for one in CHECKS if "every_record_is_accounted_for" in str(one.check_key))
    assert check(house=house).passed
    lake.connection.execute(
        "insert into lake.raw_quality.ingestion_batches (batch_id, read_count, loaded_count, duplicate_count, "
        "quarantined_count) values ('b1', 3, 1, 1, 1), ('b2', 3, 1, 1, 0)"
    )
    outcome = check(house=house)
    assert not outcome.passed
    assert outcome.metadata["broken_batches"].value == 1


WARNINGS = {
    "no_live_feed_is_silent": ("is_silent", "rails.pull sessions"),
    "no_live_feed_is_late": ("is_late", "rails.pull sessions: last read 2026-03-02 09:00:00 UTC"),
    "every_feed_can_be_read": ("is_failing", "rails.pull sessions: held, answered 401"),
    "every_source_knows_the_time": ("is_clock_off", "rails.pull sessions: -93600 s ahead of us"),
}


@pytest.fixture
def freshness(lake: LakeWriter) -> Iterator[LakeWriter]:
    """Two feeds that are well; the table is made by hand."""
    lake.connection.execute(
        "create or replace table lake.marts.rpt_source_freshness as select 'rails.pull' as source, "
        "unnest(['sessions', 'tutors']) as kind, date '2026-03-02' as as_of_date, "
        "timestamp '2026-03-02 09:00' as last_read_at, "
        "'held' as last_outcome, 'answered 401' as last_reason, -93600.2::double as source_ahead_seconds, "
        "false as is_silent, false as is_late, false as is_failing, false as is_clock_off"
    )
    yield lake
    lake.connection.execute("drop table lake.marts.rpt_source_freshness")


@pytest.mark.parametrize("name", WARNINGS)
def test_a_feed_that_needs_somebody_is_warned_of_by_name(
    freshness: LakeWriter, house: House, name: str
) -> None:
    check = next(one for one in CHECKS if name in str(one.check_key))
    column, words = WARNINGS[name]
    assert check(house=house).passed
    freshness.connection.execute(
        f"update lake.marts.rpt_source_freshness set {column} = true where kind = 'sessions'"
    )
    outcome = check(house=house)
    assert not outcome.passed
    assert outcome.severity == dg.AssetCheckSeverity.WARN
    assert outcome.metadata["feeds"].value == words


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_about_a_feed_does_not_stand_in_front_of_publishing(
    definitions: dg.Definitions, name: str
) -> None:
    assert not {step for step in steps_before(definitions, "fast", PUBLICATIONS) if name in step}


def test_the_night_pulls_every_feed_and_builds_after_it(definitions: dg.Definitions) -> None:
    keys = lane_keys(definitions, "nightly")
    pulled = {dg.AssetKey(["raw_marketplace", kind]) for kind in FEEDS}
    assert pulled <= keys
    graph = definitions.resolve_asset_graph()
    assert pulled <= ancestors(graph, dg.AssetKey(["operations", "publications"]), inside=keys)


def test_the_rulebook_has_limits_for_every_feed() -> None:
    file = PROJECT_ROOT / "dbt_project" / "seeds" / "rulebook" / "feed_limits.csv"
    assert set(pl.read_csv(file)["kind"]) == set(FEEDS)


def test_every_job_says_which_lane_it_is_and_when_it_is_stuck(definitions: dg.Definitions) -> None:
    for lane in LANES:
        tags = definitions.resolve_job_def(lane).tags
        assert tags["chalkline/lane"] == lane
        assert tags["dagster/max_runtime"] == str(LONGEST_RUN_SECONDS[lane])
