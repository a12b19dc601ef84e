"""What was decided about a feed counts at the door as it does in ingestion, and a burst asks for it once."""

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from receiver_builders import NOON, a_session, an_event

from app.receiver.corrections import FRESH_SECONDS, RecentCorrections
from app.receiver.judge import InstantJudge, SessionFlagger
from data.clock import FixedClock
from data.contracts import Correction, judge
from data.contracts.messages import Message, read_message
from data.landing import TRACK_SOURCE, WEBHOOK_SOURCE
from data.operations.corrections import add_correction, corrections_for, retire_correction
from data.operations.store import Operations
from data.operations.tables import AlertEpisode
from data.settings import Settings

JOINED = Correction("rename", "tutor_joined", new_value="tutor_join_time")


def told(record: Any, kind: str = "session.completed") -> Message:
    return read_message(json.dumps(an_event(record, kind)).encode(), received_at=NOON)


def decide(operations: Operations, correction: Correction = JOINED, *, source: str = WEBHOOK_SOURCE) -> int:
    with operations.session() as session:
        row = add_correction(
            session, source=source, kind="sessions", correction=correction, note="", actor="test", now=NOON
        )
        return row.correction_id


def rules_of(operations: Operations) -> list[str]:
    with operations.session() as session:
        return list(session.scalars(sa.select(AlertEpisode.rule_code).order_by(AlertEpisode.rule_code)))


class Stopwatch:
    """Seconds that pass when a test says so."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def recent(operations: Operations, stopwatch: Stopwatch) -> RecentCorrections:
    return RecentCorrections(operations, source=WEBHOOK_SOURCE, kind="sessions", stopwatch=stopwatch)


@pytest.fixture
def instant_judge(operations: Operations, recent: RecentCorrections) -> InstantJudge:
    return InstantJudge(Settings(), operations, FixedClock(NOON), recent)


def test_a_renamed_join_is_no_missing_one(instant_judge: InstantJudge, operations: Operations) -> None:
    decide(operations)
    late = a_session(tutor_join_time=None) | {"tutor_joined": "2026-03-01T10:25:00Z"}
    instant_judge.judge(told(late))
    assert rules_of(operations) == ["tutor_late"]


def test_a_habit_of_another_feed_does_not_count_here(
    instant_judge: InstantJudge, operations: Operations
) -> None:
    decide(operations, source=TRACK_SOURCE)
    absent = a_session(tutor_join_time=None, tutor_leave_time=None) | {"tutor_joined": "2026-03-01T10:25:00Z"}
    instant_judge.judge(told(absent))
    assert rules_of(operations) == ["tutor_no_show"]


def test_the_door_and_ingestion_judge_alike_under_corrections(
    instant_judge: InstantJudge, operations: Operations
) -> None:
    decide(operations)
    decide(operations, Correction("replace", "student_feedback.rating", old_value="0", new_value="1"))
    decide(operations, Correction("clear", "tutor_leave_time", old_value='"never"'))
    records = [
        a_session(f"s{number}", is_first_session=True, student_feedback={"rating": number % 3}) | changes
        for number, changes in enumerate(
            [
                {"tutor_join_time": None, "tutor_joined": "2026-03-01T10:11:00Z"},
                {"tutor_join_time": None, "tutor_leave_time": None},
                {"tutor_leave_time": "never"},
                {"tutor_joined": "2026-03-01T10:50:00Z"},
                {"student_feedback": {"rating": 9}},
                {"tutor_leave_time": "2026-03-01T10:30:00Z"},
            ]
        )
    ]
    messages = [told(record) for record in records]
    for message in messages:
        instant_judge.judge(message)
    with operations.session() as session:
        at_once = set(session.execute(sa.select(AlertEpisode.session_id, AlertEpisode.rule_code)).tuples())
        in_force = corrections_for(session, source=WEBHOOK_SOURCE, kind="sessions")
    parts = [part.record for message in messages for part in message.parts]
    later = SessionFlagger(Settings()).flags(judge("sessions", parts, corrections=in_force).rows)
    assert at_once == {(flag["session_id"], flag["rule_code"]) for flag in later}
    assert {"s0", "s1", "s3"} <= {session_id for session_id, _ in at_once}


def test_a_burst_asks_once_and_a_decision_counts_seconds_later(
    recent: RecentCorrections, operations: Operations, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "app.receiver.corrections.corrections_for",
        lambda session, **feed: (asked.append(feed), corrections_for(session, **feed))[1],
    )
    assert [recent() for _ in range(1_000)] == [()] * 1_000
    correction_id = decide(operations)
    stopwatch.seconds += FRESH_SECONDS - 0.001
    assert recent() == ()
    assert len(asked) == 1
    stopwatch.seconds += 0.001
    assert recent() == (JOINED,)
    with operations.session() as session:
        retire_correction(session, correction_id, actor="test", now=NOON + timedelta(seconds=1))
    stopwatch.seconds += FRESH_SECONDS
    assert recent() == ()
    assert len(asked) == 3


def test_while_the_store_does_not_answer_what_was_known_holds(
    recent: RecentCorrections, operations: Operations, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(operations)
    assert recent() == (JOINED,)

    def down(*_: object, **__: object) -> None:
        raise ConnectionError("the store is down")

    monkeypatch.setattr("app.receiver.corrections.corrections_for", down)
    stopwatch.seconds += FRESH_SECONDS
    assert recent() == (JOINED,)


def test_a_store_that_never_answered_is_not_taken_for_one_without_decisions(
    recent: RecentCorrections, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError("the store is down")

    monkeypatch.setattr("app.receiver.corrections.corrections_for", down)
    with pytest.raises(ConnectionError):
        recent()


@pytest.mark.parametrize(
    ("kind", "data", "rules"),
    [
        ("session.completed", a_session(tutor_join_time=None, tutor_leave_time=None), ["tutor_no_show"]),
        ("session.updated", a_session(is_first_session=True, student_feedback={"rating": 1}), ["poor_first_session"]),
        ("tutor.no_show", a_session(tutor_leave_time=None, session_end_time=None), ["tutor_no_show"]),
        (
            "session.rescheduled",
            {"reschedule_id": "r1", "session_id": "s1", "original_start_time": "2026-03-01T10:00:00Z",
             "session": a_session(tutor_join_time=None, tutor_leave_time=None)},
            [],
        ),
        ("engagement.event", {"event_id": "e1", "session_id": "s1"}, []),
        ("session.exploded", a_session(tutor_join_time=None), []),
    ],
)  # fmt: skip
def test_each_type_of_webhook_is_judged_for_what_it_says(
    instant_judge: InstantJudge, operations: Operations, kind: str, data: Any, rules: list[str]
) -> None:
    instant_judge.judge(told(data, kind))
    assert rules_of(operations) == rules
