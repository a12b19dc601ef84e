"""The incremental law: however the days are cut into runs, the tables come out the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.dbt_project.lake import Lake, day_vars, days, deliver_day
from tests.dbt_project.world import FIRST_DAY, Delivery, World, instant

pytestmark = pytest.mark.slow

HISTORY, SPAN = 12, 6
ALL_DAYS = days(HISTORY + SPAN)
RUN_DAYS = ALL_DAYS[HISTORY:]
WITHOUT_VIEWS = ("--exclude", "path:models/staging")
"""The views on raw tables are made once: they do not hold rows."""


@pytest.fixture(scope="module")
def day_by_day(lake: Lake) -> dict[str, str]:
    """Six days, each delivered and built on its own, with a fast run in the middle of one of them."""
    world = World()
    lake.deliver(world.registers(), at=instant(FIRST_DAY, -10), day=FIRST_DAY)
    for day in ALL_DAYS[:HISTORY]:
        deliver_day(lake, world, day)
    for day in RUN_DAYS:
        if day == RUN_DAYS[2]:
            noon = instant(day, 12).isoformat()
            lake.dbt("run", "--select", "tag:fast", run_vars=day_vars(day, as_of_instant=noon))
        deliver_day(lake, world, day)
        if day == RUN_DAYS[0]:
            lake.dbt("seed", run_vars=day_vars(day))
            lake.dbt("run", run_vars=day_vars(day))
        else:
            lake.dbt("run", *WITHOUT_VIEWS, run_vars=day_vars(day))
    return lake.digests()


@pytest.fixture(scope="module")
def in_one_run(lake: Lake, day_by_day: dict[str, str]) -> dict[str, str]:
    """The same days from nothing, in one backfill."""
    lake.forget()
    lake.dbt("run", *WITHOUT_VIEWS, run_vars=day_vars(RUN_DAYS[0], RUN_DAYS[-1]))
    return lake.digests()


def differing(one: dict[str, str], other: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = one.keys() | other.keys()
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def test_daily_runs_equal_one_backfill(day_by_day: dict[str, str], in_one_run: dict[str, str]) -> None:
    assert differing(day_by_day, in_one_run) == {}


def test_no_relation_is_empty(in_one_run: dict[str, str]) -> None:
    empty = {name for name, digest in in_one_run.items() if digest.startswith("0 rows")}
    assert empty <= {"marts.fct_alert_episodes", "marts.rpt_contract_drift"}, (
        "nobody acted, and no feed changed its shape"
    )


def test_running_a_day_again_changes_nothing(lake: Lake, in_one_run: dict[str, str]) -> None:
    lake.dbt("run", *WITHOUT_VIEWS, run_vars=day_vars(RUN_DAYS[-1]))
    assert differing(in_one_run, lake.digests()) == {}


def test_a_late_record_reaches_the_facts_of_its_old_days(lake: Lake, in_one_run: dict[str, str]) -> None:
    last = RUN_DAYS[-1]
    old = lake.read(
        "select * from lake.core.fct_sessions where status = 'completed' and tutor_id = 'tut_00' "
        f"and subject_id = 'algebra' and session_date < '{last - timedelta(days=4)}' order by session_id limit 1"
    ).row(0, named=True)
    moved_to = old["session_date"] + timedelta(days=2)
    start = instant(moved_to, 11)
    late = {
        "session_id": old["session_id"],
        "tutor_id": "tut_01",
        "customer_id": old["customer_id"],
        "subject_id": "spanish",
        "status": "finished",
        "scheduled_start_at": start,
        "scheduled_end_at": start + timedelta(hours=1),
        "tutor_joined_at": start + timedelta(minutes=25),
        "tutor_left_at": start + timedelta(hours=1),
        "customer_joined_at": start,
        "updated_at": instant(last, 23),
    }
    day_before = _tutor_day(lake, "tut_00", old["session_date"])
    day_after = _tutor_day(lake, "tut_01", moved_to)
    lake.deliver([Delivery("rails.pull", "sessions", [late])], at=instant(last, 23.7), day=last)
    lake.dbt("run", *WITHOUT_VIEWS, run_vars=day_vars(last))

    fact = lake.read(f"select * from lake.core.fct_sessions where session_id = '{old['session_id']}'")
    new = fact.row(0, named=True)
    assert (new["tutor_id"], new["session_date"], new["late_minutes"]) == ("tut_01", moved_to, 25.0)
    assert new["student_rating"] == old["student_rating"], "a rating that was known stays known"
    assert _tutor_day(lake, "tut_00", old["session_date"]) == day_before - 1
    assert _tutor_day(lake, "tut_01", moved_to) == day_after + 1
    flags = lake.read(
        f"select rule_code, severity from lake.marts.fct_session_flags where session_id = '{old['session_id']}'"
    )
    assert ("tutor_late", "high") in flags.rows()

    # Past scores are what was known when they were made; everything that has no day of its own is as if new.
    built = lake.digests()
    lake.dbt("run", *WITHOUT_VIEWS, "--full-refresh", run_vars=day_vars(RUN_DAYS[0], last))
    dated = {"marts.fct_tutor_scores", "marts.fct_customer_scores", "marts.fct_alert_candidates"}
    dated |= {"marts.fct_daily_kpis", "marts.fct_tutor_flags", "marts.rpt_recommendations"}
    dated |= {"marts.fct_forecast_accuracy"}
    assert differing(built, lake.digests()).keys() <= dated


def test_a_move_that_comes_before_its_session_learns_its_subject_later(
    lake: Lake, in_one_run: dict[str, str]
) -> None:
    last = RUN_DAYS[-1]
    start = instant(last, 20)
    session = {"session_id": "ses_early_news", "tutor_id": "tut_01", "customer_id": "cus_01"}
    move = session | {
        "reschedule_id": "rsc_early_news",
        "rescheduled_by": "tutor",
        "original_start_at": start - timedelta(hours=3),
        "new_start_at": start,
        "rescheduled_at": start - timedelta(hours=5),
        "updated_at": start - timedelta(hours=5),
    }
    booked = session | {
        "subject_id": "spanish",
        "status": "scheduled",
        "scheduled_start_at": start,
        "updated_at": start - timedelta(hours=9),
    }
    subjects = []
    for kind, record in (("reschedules", move), ("sessions", booked)):
        lake.deliver([Delivery("rails.pull", kind, [record])], at=instant(last, 23.8), day=last)  # type: ignore[arg-type]
        models = ("int_sessions", "fct_sessions", "fct_reschedules")
        lake.dbt("run", "--select", *models, run_vars=day_vars(last))
        row = lake.read(
            "select subject_id, notice_hours, moved_hours, is_tutor_initiated from lake.core.fct_reschedules "
            "where reschedule_id = 'rsc_early_news'"
        ).row(0)
        subjects.append(row[0])
        assert row[1:] == (2.0, 3.0, True)
    assert subjects == [None, "spanish"]


def test_the_flag_of_a_first_session_goes_and_comes_with_its_place(
    lake: Lake, in_one_run: dict[str, str]
) -> None:
    last = RUN_DAYS[-1]

    def session(
        session_id: str, customer_id: str, *, days_ago: int, changed_hour: float
    ) -> dict[str, object]:
        start = instant(last - timedelta(days=days_ago), 15)
        return {
            "session_id": session_id,
            "tutor_id": "tut_01",
            "customer_id": customer_id,
            "subject_id": "spanish",
            "status": "finished",
            "scheduled_start_at": start,
            "scheduled_end_at": start + timedelta(hours=1),
            "tutor_joined_at": start,
            "tutor_left_at": start + timedelta(hours=1),
            "customer_joined_at": start,
            "student_rating": 1 if session_id == "ses_poor" else 5,
            "updated_at": instant(last, changed_hour),
        }

    def flagged_after(record: dict[str, object], hour: float) -> bool:
        lake.deliver([Delivery("rails.pull", "sessions", [record])], at=instant(last, hour), day=last)
        models = ("int_sessions", "fct_session_versions", "fct_sessions", "fct_session_flags")
        lake.dbt("run", "--select", *models, run_vars=day_vars(last))
        found = lake.read("select rule_code from lake.marts.fct_session_flags where session_id = 'ses_poor'")
        return found.rows() == [("poor_first_session",)]

    assert flagged_after(session("ses_poor", "cus_new", days_ago=2, changed_hour=23.1), 23.82)
    late_news = session("ses_before", "cus_new", days_ago=4, changed_hour=23.2)
    assert not flagged_after(late_news, 23.84), "an earlier session that came late was the first one"
    corrected = session("ses_before", "cus_other", days_ago=4, changed_hour=23.3)
    assert flagged_after(corrected, 23.86), "the earlier session was another customer's"


def test_a_move_that_leaves_the_subject_to_an_older_version_counts_in_its_new_hour(
    lake: Lake, in_one_run: dict[str, str]
) -> None:
    last = RUN_DAYS[-1]
    booked = {
        "session_id": "ses_moved",
        "tutor_id": "tut_01",
        "customer_id": "cus_01",
        "subject_id": "spanish",
        "status": "scheduled",
        "scheduled_start_at": instant(last, 3),
        "updated_at": instant(last, 1),
    }
    moved = booked | {
        "subject_id": None,
        "scheduled_start_at": instant(last, 4),
        "updated_at": instant(last, 2),
    }

    def requested(record: dict[str, object], hour: float) -> list[int]:
        lake.deliver([Delivery("rails.pull", "sessions", [record])], at=instant(last, hour), day=last)
        lake.dbt(
            "run", "--select", "int_sessions", "fct_sessions", "fct_hourly_demand", run_vars=day_vars(last)
        )
        rows = lake.read(
            "select requested_sessions from lake.core.fct_hourly_demand where subject_id = 'spanish' and "
            f"hour_start_at in ('{instant(last, 3)}', '{instant(last, 4)}') order by hour_start_at"
        )
        return [count for (count,) in rows.iter_rows()]

    before = requested(booked, 23.87)
    assert requested(moved, 23.88) == [before[0] - 1, before[1] + 1]


def _tutor_day(lake: Lake, tutor_id: str, day: object) -> int:
    rows = lake.read(
        f"select sessions_completed from lake.core.fct_tutor_days where tutor_id = '{tutor_id}' and date = '{day}'"
    )
    return int(rows.item())
