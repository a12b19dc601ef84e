"""A whole build: dbt's own tests pass, scores explain themselves, and the receiver would judge alike."""

from __future__ import annotations

import duckdb
import jinja2
import pytest

from data.lake.waiting import Scope, waiting_list
from tests.dbt_project.lake import PROJECT, Lake, day_vars, days, deliver_days
from tests.dbt_project.world import World

pytestmark = pytest.mark.slow

DAYS = days(16)


@pytest.fixture(scope="module")
def built(lake: Lake) -> Lake:
    deliver_days(lake, World(seed=11), len(DAYS))
    lake.log = lake.dbt("build", run_vars=day_vars(DAYS[13], DAYS[15]))
    return lake


def test_models_data_tests_and_unit_tests_pass(built: Lake) -> None:
    assert "ERROR=0" in built.log
    assert "WARN=0" in built.log


def test_a_run_that_does_not_say_its_day_stops(built: Lake) -> None:
    with pytest.raises(AssertionError, match="as_of_to is missing"):
        built.dbt("run", "--select", "fct_daily_kpis", run_vars={"as_of_from": "", "as_of_to": ""})


@pytest.mark.parametrize("relation", ["marts.fct_tutor_scores", "marts.fct_customer_scores"])
def test_the_points_of_a_score_add_up_to_it(built: Lake, relation: str) -> None:
    broken = built.read(
        f"select scores.* from lake.{relation} as scores "
        "inner join lake.rulebook.score_definitions as definitions using (score_code, formula_version) "
        "where abs(score - greatest(range_min, least(range_max, base + list_sum(list_transform("
        "components, lambda part : part.points))))) > 1e-6"
    )
    assert broken.height == 0


@pytest.mark.parametrize("relation", ["marts.fct_tutor_scores", "marts.fct_customer_scores"])
def test_what_is_not_scored_says_why_and_what_is_scored_has_every_part(built: Lake, relation: str) -> None:
    broken = built.read(
        f"select * from lake.{relation} where (score is null) = (not_scored_reason is null) "
        "or (score is not null and len(list_filter(components, lambda part : part.value is null)) > 0)"
    )
    assert broken.height == 0
    assert built.read(f"select * from lake.{relation} where score is null").height > 0


def test_weighted_means_weigh_one(built: Lake) -> None:
    sums = built.read(
        "select round(sum(weight), 9) as total from lake.rulebook.score_weights "
        "inner join lake.rulebook.score_definitions using (score_code, formula_version) "
        "where combine_rule = 'weighted_mean' group by score_code, formula_version"
    )
    assert sums["total"].to_list() == [1.0]


def test_tiers_begin_at_the_bottom_of_the_range(built: Lake) -> None:
    lowest = built.read(
        "select min(lower_bound) - any_value(range_min) as gap from lake.rulebook.score_tiers "
        "inner join lake.rulebook.score_definitions using (score_code, formula_version) "
        "group by score_code, formula_version"
    )
    assert set(lowest["gap"].to_list()) == {0.0}


def test_a_ticket_queue_is_never_scored_by_what_it_does_not_report(built: Lake) -> None:
    reasons = built.read(
        "select distinct not_scored_reason from lake.marts.fct_tutor_scores "
        "where tutor_id like 'agent_%' and score_code = 'THS' "
        "union all select distinct not_scored_reason from lake.marts.fct_customer_scores "
        "where customer_id like 'caller_%'"
    )
    assert sorted(reasons["not_scored_reason"].to_list()) == [
        "source has no attendance",
        "source has no ratings",
    ]


def test_sessions_without_a_tutor_are_nobodys(built: Lake) -> None:
    unowned = built.read("select count(*) as n from lake.core.fct_sessions where tutor_id is null").item()
    assert unowned > 0
    assert (
        built.read("select * from lake.core.dim_tutors where tutor_id is null or tutor_id = ''").height == 0
    )


def test_every_record_read_is_in_the_ingestion_report(built: Lake) -> None:
    report = built.read(
        "select sum(read_count) as n, bool_and(is_conserved) as conserved from lake.marts.rpt_ingestion_quality"
    ).row(0)
    batches = built.read("select sum(read_count) as n from lake.raw_quality.ingestion_batches").item()
    assert report == (batches, True)


def test_what_waits_is_the_same_for_the_warehouse_and_for_a_replay(built: Lake) -> None:
    waiting = waiting_list(built.writer.read, Scope()).group_by("source", "kind", "field", "reason").len()
    report = built.read(
        "select source, kind, field, reason, waiting_count from lake.marts.rpt_quarantine where waiting_count > 0"
    )
    assert waiting.height > 0
    assert sorted(waiting.rows()) == sorted(report.rows())


def test_documented_columns_are_the_columns(built: Lake) -> None:
    """Contracts hold for core, features and marts; this holds the views and seeds to their documents too."""
    import yaml

    for path in [*PROJECT.glob("models/*/_*.yml"), *PROJECT.glob("seeds/*/_*.yml")]:
        text = yaml.safe_load(path.read_text())
        for node in [*text.get("models", []), *text.get("seeds", [])]:
            schema = path.parent.name
            actual = built.read(f"describe lake.{schema}.{node['name']}")["column_name"].to_list()
            assert [column["name"] for column in node["columns"]] == actual, node["name"]


def test_the_receiver_flags_sessions_as_the_warehouse_does(built: Lake) -> None:
    """The receiver renders the macro with plain Jinja and runs it in a DuckDB of its own."""
    source = (PROJECT / "macros" / "session_truths.sql").read_text()
    macros = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(source).module
    alone = duckdb.connect(":memory:")
    sessions = built.read(
        "select raw.*, facts.is_first_for_customer as is_first from lake.raw_marketplace.sessions as raw "
        "inner join lake.core.fct_sessions as facts using (session_id) where raw.status <> 'scheduled'"
    )
    rules = built.read("select * from lake.rulebook.session_flag_rules")
    alone.register("incoming", sessions)
    alone.register("rules", rules)
    truths = macros.session_truths("incoming", 5)  # type: ignore[attr-defined]
    flags = macros.session_flags("truths", "rules")  # type: ignore[attr-defined]
    judged = alone.execute(
        f"with truths as ({truths}) select session_id, rule_code, severity, value from ({flags}) order by all"
    ).fetchall()
    known = built.read(
        "select session_id, rule_code, severity, value from lake.marts.fct_session_flags order by all"
    ).rows()
    assert judged == known
    assert {row[1] for row in known} == set(rules["rule_code"])
