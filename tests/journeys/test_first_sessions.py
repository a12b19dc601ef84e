"""First sessions are told by their dates, and by them alone: right for every customer, where the source's flag lies."""

import json
from datetime import datetime

import polars as pl
import pytest

from app.mock_rails.world.days import build_days
from app.mock_rails.world.demand import build_demand
from app.mock_rails.world.people import build_customers, build_tutors
from app.mock_rails.world.plan import build_plan
from app.mock_rails.world.recipe import PROFILES, Recipe
from app.mock_rails.world.simulate import Simulation
from app.mock_rails.world.timeline import build_sessions
from tests.reliability.deployment import Deployment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(day: Deployment) -> pl.DataFrame:
    """What the world planted: session_id, is_first (nobody was held before it), and the source's own flag.

    Nobody has a session before the world begins, so the whole history of each customer is in it.
    """
    card = json.loads((day.settings.world_path / "world.json").read_text())
    recipe = Recipe(PROFILES[card["profile"]], card["seed"], datetime.fromisoformat(card["anchor"]))
    days = build_days(recipe)
    plan = build_plan(recipe, days)
    demand = build_demand(recipe, days, plan)
    tutors, people = build_tutors(recipe, days, demand, plan), build_customers(recipe, days, demand)
    happened = Simulation(recipe, days, demand, plan, tutors, people).run()
    sessions, order = build_sessions(recipe, days, plan, tutors, people, happened)
    assert sessions.equals(pl.read_parquet(day.settings.world_path / "sessions.parquet")), "the same world"
    return sessions.select(
        "session_id", is_first=pl.Series(happened.sessions["first"][order]), flag="is_first_session"
    )


@pytest.fixture(scope="module")
def facts(day: Deployment, planted: pl.DataFrame) -> pl.DataFrame:
    """The completed sessions of the warehouse beside what the world planted."""
    with day.reader() as reader:
        completed = reader.query(
            "select session_id, source, customer_id, is_first_for_customer, is_first_reported "
            "from core.fct_sessions where status = 'completed' and not starts_with(session_id, 'ses_hook_')"
        )
    day.let_go()
    joined = completed.join(planted, on="session_id")
    assert joined.height == completed.height > 300
    return joined


def test_the_derived_flag_is_the_planted_truth_for_every_customer(facts: pl.DataFrame) -> None:
    assert facts.filter(pl.col("is_first_for_customer") != pl.col("is_first")).is_empty()
    assert facts.filter("is_first")["customer_id"].n_unique() == facts["customer_id"].n_unique() > 30


def test_the_sources_flag_is_kept_as_it_was_told_also_where_it_lies(
    day: Deployment, planted: pl.DataFrame
) -> None:
    """Of all sessions that took place or were missed: a world this small may lie about one of the missed ones only."""
    with day.reader() as reader:
        told = reader.query(
            "select session_id, is_first_reported from core.fct_sessions "
            "where status not in ('scheduled', 'cancelled') and not starts_with(session_id, 'ses_hook_')"
        ).join(planted, on="session_id")
    day.let_go()
    assert told.filter(pl.col("is_first_reported") != pl.col("flag")).is_empty()
    assert 0 < told.filter(pl.col("flag") != pl.col("is_first")).height < 0.02 * told.height


def test_the_derived_flag_differs_from_the_sources_where_that_one_lies(facts: pl.DataFrame) -> None:
    """A world this small may tell no lie about a completed session: test_known_then tells one."""
    assert facts.filter(pl.col("is_first_reported") != pl.col("flag")).is_empty()
    lies = facts.filter(pl.col("flag") != pl.col("is_first"))
    told_apart = facts.filter(pl.col("is_first_reported") != pl.col("is_first_for_customer"))
    assert lies.height < 0.02 * facts.height
    assert sorted(told_apart["session_id"]) == sorted(lies["session_id"])


def test_the_report_counts_the_lies_of_every_source(day: Deployment, facts: pl.DataFrame) -> None:
    with day.reader() as reader:
        report = reader.query("select * from marts.rpt_first_session_flags where source <> 'rails.webhook'")
    day.let_go()
    flag, first = pl.col("flag"), pl.col("is_first")
    expected = facts.group_by("source").agg(
        finished_sessions=pl.len(),
        reported_first_sessions=flag.sum(),
        derived_first_sessions=first.sum(),
        agreed_first_sessions=(flag & first).sum(),
        only_reported_sessions=(flag & ~first).sum(),
        only_derived_sessions=(first & ~flag).sum(),
        agreement_rate=(flag == first).mean().round(6),
    )
    assert report.height > 0
    counted = report.select(expected.columns).sort("source").to_dicts()
    assert counted == expected.sort("source").to_dicts()
