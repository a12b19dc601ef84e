"""What is told by webhook: every event of the marketplace once, as it stood at its moment."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from app.mock_rails.announcements import PATIENCE, Announcements, message_of
from app.mock_rails.json_shapes import to_records
from app.mock_rails.state import state_at
from app.mock_rails.world.build import World
from data.contracts import CONTRACTS, judge
from data.contracts.messages import read_message

DAYS = timedelta(days=21)
Event = dict[str, Any]


@pytest.fixture(scope="module")
def told(tiny: World) -> dict[str, list[Event]]:
    """The bodies of three weeks by their type."""
    bodies: dict[str, list[Event]] = {}
    for message in Announcements(tiny.frames).due(tiny.anchor - DAYS, tiny.anchor):
        body = json.loads(message.body)
        bodies.setdefault(body["type"], []).append(body)
    return bodies


def came(world: World, kind: str, moment: str) -> pl.DataFrame:
    return world.frames[kind].filter(
        (pl.col(moment) > world.anchor - DAYS) & (pl.col(moment) <= world.anchor)
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_all_five_types_are_told(told: dict[str, list[Event]]) -> None:
    assert set(told) == {
        "session.completed", "session.updated", "session.rescheduled", "tutor.no_show", "engagement.event"
    }  # fmt: skip


def test_every_message_has_an_id_of_its_own_and_its_place_in_time(tiny: World) -> None:
    messages = Announcements(tiny.frames).due(tiny.anchor - DAYS, tiny.anchor)
    assert Counter(message.message_id for message in messages).most_common(1)[0][1] == 1
    times = [message.occurred_at for message in messages]
    assert times == sorted(times)


def test_an_id_names_its_cause_and_fits_every_receiver(tiny: World) -> None:
    messages = Announcements(tiny.frames).due(tiny.anchor - DAYS, tiny.anchor)
    causes = {
        message.message_id.split("_ses_")[0].split("_rsc_")[0].split("_evt_")[0] for message in messages
    }
    assert {"msg_finished", "msg_student_feedback", "msg_rescheduled", "msg_absence_noticed"} <= causes
    assert all(message.message_id.replace("_", "").isalnum() for message in messages)


def test_a_session_is_told_when_it_ends_and_at_every_late_note(
    tiny: World, told: dict[str, list[Event]]
) -> None:
    completed = [body["data"]["session_id"] for body in told["session.completed"]]
    assert sorted(completed) == came(tiny, "sessions", "finished_at")["session_id"].sort().to_list()
    notes = sum(
        came(tiny, "sessions", moment).height
        for moment in (
            "student_feedback_at",
            "tutor_feedback_at",
            "followup_at",
            "summary_at",
            "touched_at",
        )
    )
    assert len(told["session.updated"]) == notes
    for body in told["session.completed"] + told["session.updated"]:
        assert body["data"]["status"] == "finished"
        assert body["data"]["updated_at"] == body["timestamp"]


def test_a_move_is_told_with_the_session_as_it_stands_after_it(
    tiny: World, told: dict[str, list[Event]]
) -> None:
    moves = {body["data"]["reschedule_id"]: body["data"] for body in told["session.rescheduled"]}
    assert sorted(moves) == came(tiny, "reschedules", "rescheduled_at")["reschedule_id"].to_list()
    for move in moves.values():
        session = move["session"]
        assert session["session_id"] == move["session_id"]
        assert session["session_start_time"] == move["new_start_time"]
        assert session["rescheduled_by"] == move["rescheduled_by"]
        assert session["status"] == "scheduled"
        assert session["updated_at"] == move["rescheduled_at"]


def test_a_told_move_is_the_record_of_the_api(tiny: World, told: dict[str, list[Event]]) -> None:
    state = state_at("reschedules", tiny.frames["reschedules"], tiny.anchor)
    records = {record["reschedule_id"]: record for record in to_records("reschedules", state)}
    for body in told["session.rescheduled"]:
        move = {name: value for name, value in body["data"].items() if name != "session"}
        assert move == records[move["reschedule_id"]]


def test_a_missing_tutor_is_told_ten_minutes_after_the_planned_start(
    tiny: World, told: dict[str, list[Event]]
) -> None:
    missed = tiny.frames["sessions"].filter(
        pl.col("tutor_join_at").is_null() & pl.col("finished_at").is_not_null()
    )
    noticed = missed.with_columns(noticed_at=pl.col("start_at") + PATIENCE).filter(
        (pl.col("noticed_at") > tiny.anchor - DAYS) & (pl.col("noticed_at") <= tiny.anchor)
    )
    data = {body["data"]["session_id"]: body for body in told["tutor.no_show"]}
    assert sorted(data) == noticed["session_id"].to_list()
    joins = dict(noticed.select("session_id", "student_join_at").iter_rows())
    for session_id, body in data.items():
        assert at(body["timestamp"]) == at(body["data"]["session_start_time"]) + PATIENCE
        assert body["data"]["tutor_join_time"] is None
        joined = body["data"]["student_join_time"]
        assert (at(joined) if joined else None) == joins[session_id]
        assert set(body["data"]) == {
            "session_id", "tutor_id", "student_id", "subjects_covered", "session_start_time",
            "session_end_time", "tutor_join_time", "student_join_time",
        }  # fmt: skip


def test_whoever_joins_after_the_notice_is_not_in_it(tiny: World) -> None:
    sessions = tiny.frames["sessions"]
    missed = sessions.filter(
        pl.col("tutor_join_at").is_null()
        & pl.col("finished_at").is_not_null()
        & (pl.col("start_at") <= tiny.anchor)
    )[0]
    late = missed.with_columns(student_join_at=pl.col("start_at") + PATIENCE + timedelta(seconds=1))
    start = late["start_at"].item()
    (message,) = [
        message
        for message in Announcements(tiny.frames | {"sessions": late}).due(start, start + PATIENCE)
        if "absence_noticed" in message.message_id
    ]
    assert json.loads(message.body)["data"]["student_join_time"] is None


def test_the_end_of_a_missed_session_is_told_after_the_notice(told: dict[str, list[Event]]) -> None:
    ended = {body["data"]["session_id"]: body["timestamp"] for body in told["session.completed"]}
    missed = [body for body in told["tutor.no_show"] if body["data"]["session_id"] in ended]
    assert missed
    assert all(ended[body["data"]["session_id"]] > body["timestamp"] for body in missed)


def test_an_engagement_event_is_told_when_it_is_recorded(tiny: World, told: dict[str, list[Event]]) -> None:
    recorded = came(tiny, "engagement_events", "recorded_at")
    assert (
        sorted(body["data"]["event_id"] for body in told["engagement.event"])
        == recorded["event_id"].to_list()
    )
    for body in told["engagement.event"]:
        assert body["data"]["occurred_at"] < body["timestamp"] == body["data"]["updated_at"]


def test_two_windows_in_a_row_lose_and_repeat_nothing(tiny: World) -> None:
    announcements = Announcements(tiny.frames)
    start, end = tiny.anchor - timedelta(days=2), tiny.anchor
    everything = announcements.due(start, end)
    middle = everything[len(everything) // 2].occurred_at
    assert everything == announcements.due(start, middle) + announcements.due(middle, end)


def test_two_causes_at_one_moment_are_two_messages(tiny: World) -> None:
    ids = {
        message_of("session.updated", {"session_id": "ses_1"}, tiny.anchor, cause=cause).message_id
        for cause in ("student_feedback", "tutor_feedback", None)
    }
    assert len(ids) == 3


def test_every_message_is_understood_and_a_told_record_is_the_very_version_that_is_pulled(
    tiny: World,
) -> None:
    for message in Announcements(tiny.frames).due(tiny.anchor - timedelta(days=5), tiny.anchor):
        read = read_message(message.body.encode(), received_at=message.occurred_at)
        for part in read.parts:
            (row,) = judge(part.kind, [part.record]).rows
            if read.type == "tutor.no_show":
                assert (row["status"], row["tutor_joined_at"]) == ("finished", None)
                continue
            key = CONTRACTS[part.kind].key
            rows = tiny.frames[part.kind].filter(pl.col(key) == row[key])
            state = state_at(part.kind, rows, message.occurred_at)
            assert judge(part.kind, to_records(part.kind, state)).rows == [row]
