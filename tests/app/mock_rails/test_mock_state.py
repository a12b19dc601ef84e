"""A record is a function of the clock: before, during and after everything that happens to it."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.mock_rails.clock import micros
from app.mock_rails.json_shapes import to_records
from app.mock_rails.ledger import Ledger
from app.mock_rails.state import IDS, MOMENTS, state_at
from app.mock_rails.world.build import KINDS, World

SECOND = timedelta(seconds=1)


def a_session(world: World, *conditions: pl.Expr) -> dict[str, Any]:
    return world.frames["sessions"].filter(*conditions).row(0, named=True)


def seen(world: World, session_id: str, at: datetime) -> dict[str, Any] | None:
    rows = world.frames["sessions"].filter(pl.col("session_id") == session_id)
    found = to_records("sessions", state_at("sessions", rows, at))
    return found[0] if found else None


def test_a_session_is_scheduled_then_finished_then_rated(demo: World) -> None:
    row = a_session(
        demo,
        pl.col("student_feedback_at").is_not_null(),
        pl.col("tutor_feedback_at").is_null(),
        pl.col("rescheduled_at").is_null(),
        pl.col("touched_at").is_null(),
    )
    name = row["session_id"]
    assert seen(demo, name, row["booked_at"] - SECOND) is None
    booked = seen(demo, name, row["end_at"] - SECOND)
    assert booked is not None
    assert booked["status"] == "scheduled"
    assert booked["tutor_join_time"] is None
    assert booked["student_feedback"] is None
    finished = seen(demo, name, row["finished_at"])
    assert finished is not None
    assert finished["status"] == "finished"
    assert finished["tutor_join_time"] is not None
    assert finished["student_feedback"] is None
    assert finished["updated_at"] > booked["updated_at"]
    rated = seen(demo, name, row["student_feedback_at"])
    assert rated is not None
    assert rated["student_feedback"]["rating"] == row["student_rating"]
    assert rated["updated_at"] > finished["updated_at"]


def test_a_rescheduled_session_shows_its_old_time_until_it_is_moved(demo: World) -> None:
    row = a_session(demo, pl.col("rescheduled_at").is_not_null(), pl.col("cancelled_at").is_null())
    before = seen(demo, row["session_id"], row["rescheduled_at"] - SECOND)
    after = seen(demo, row["session_id"], row["rescheduled_at"])
    assert before is not None
    assert after is not None
    assert before["session_start_time"] < after["session_start_time"]
    assert (before["was_rescheduled"], before["reschedule_count"], before["rescheduled_by"]) == (
        False,
        0,
        None,
    )
    assert after["was_rescheduled"]
    assert after["reschedule_count"] >= 1
    assert after["rescheduled_by"] in {"tutor", "student", "system"}
    assert after["status"] == "scheduled"


def test_a_session_moved_twice_shows_each_of_its_times_in_turn(demo: World) -> None:
    row = a_session(demo, pl.col("first_moved_at").is_not_null())
    states = [
        seen(demo, row["session_id"], at)
        for at in (row["first_moved_at"] - SECOND, row["first_moved_at"], row["rescheduled_at"])
    ]
    starts = [row["original_start_at"], row["interim_start_at"], row["start_at"]]
    for state, start, count in zip(states, starts, (0, 1, 2), strict=True):
        assert state is not None
        assert datetime.fromisoformat(state["session_start_time"]) == start
        assert state["reschedule_count"] == count
        assert state["was_rescheduled"] == (count > 0)
    between = states[1]
    assert between is not None
    assert between["rescheduled_by"] == row["first_moved_by"]
    assert datetime.fromisoformat(between["updated_at"]) == row["first_moved_at"]


def test_a_missing_tutor_is_a_finished_session_without_a_join(demo: World) -> None:
    row = a_session(demo, pl.col("tutor_join_at").is_null(), pl.col("finished_at").is_not_null())
    state = seen(demo, row["session_id"], row["finished_at"])
    assert state is not None
    assert state["status"] == "finished"
    assert state["tutor_join_time"] is None
    assert state["tutor_leave_time"] is None


def test_a_cancelled_session_never_finishes(demo: World) -> None:
    row = a_session(demo, pl.col("cancelled_at").is_not_null())
    state = seen(demo, row["session_id"], demo.ends_at)
    assert state is not None
    assert state["status"] == "cancelled"
    assert state["tutor_join_time"] is None


def test_a_goal_appears_and_is_completed_in_its_time(demo: World) -> None:
    row = demo.frames["customers"].filter(pl.col("goal_2_set_at").is_not_null())[0]
    first_done = row["goal_1_completed_at"].item()
    second_set = row["goal_2_set_at"].item()
    before = to_records("customers", state_at("customers", row, first_done - SECOND))[0]["goals"]
    after = to_records("customers", state_at("customers", row, second_set))[0]["goals"]
    assert [goal["completed_at"] for goal in before] == [None]
    assert after[0]["completed_at"] is not None
    assert len(after) == 2


def test_leave_is_unknown_until_it_is_told(demo: World) -> None:
    row = demo.frames["tutors"].filter(pl.col("leave_told_at").is_not_null())[0]
    told = row["leave_told_at"].item()
    assert to_records("tutors", state_at("tutors", row, told - SECOND))[0]["leave"] == []
    leave = to_records("tutors", state_at("tutors", row, told))[0]["leave"]
    assert leave == [
        {"starts_on": str(row["leave_starts_on"].item()), "ends_on": str(row["leave_ends_on"].item())}
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kept_order_equals_sorting_everything_anew_at_any_instant(kind: str, tiny: World) -> None:
    frame = tiny.frames[kind]
    ledger = Ledger(frame, MOMENTS[kind])
    offsets = np.sort(np.random.default_rng(3).uniform(-30, 20, 12)).tolist()
    for days in [*offsets, -5.0, 0.0]:  # the last two go back in time
        at = tiny.anchor + timedelta(days=days)
        expected = state_at(kind, frame, at).sort("updated_at", IDS[kind])
        listing = ledger.at(micros(at))
        got = state_at(kind, frame[listing.rows], at)
        assert got[IDS[kind]].to_list() == expected[IDS[kind]].to_list()
        assert np.array_equal(listing.updated_us, expected["updated_at"].cast(pl.Int64).to_numpy())


def test_a_later_state_never_has_an_earlier_update(tiny: World) -> None:
    frame = tiny.frames["sessions"]
    last = pl.DataFrame(schema={"session_id": pl.String, "updated_at": pl.Datetime("us", "UTC")})
    for days in range(-20, 20, 3):
        now = state_at("sessions", frame, tiny.anchor + timedelta(days=days)).select(
            "session_id", "updated_at"
        )
        both = last.join(now, on="session_id", how="left")
        assert both["updated_at_right"].null_count() == 0
        assert both.filter(pl.col("updated_at_right") < pl.col("updated_at")).is_empty()
        assert (now["updated_at"] <= tiny.anchor + timedelta(days=days)).all()
        last = now
