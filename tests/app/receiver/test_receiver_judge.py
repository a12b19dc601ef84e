"""The instant judge: the warehouse's own rules over one session, and one episode however often it is told."""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from receiver_builders import NOON, Door, a_session, an_event, minutes

from app.receiver.judge import InstantJudge, SessionFlagger
from data.clock import FixedClock
from data.contracts import judge
from data.contracts.messages import Message, read_message
from data.operations.store import Operations
from data.operations.tables import AlertEpisode
from data.settings import Settings

START, END = "2026-03-01T10:00:00+00:00", "2026-03-01T11:00:00+00:00"
NO_SHOW = {"tutor_join_time": None, "tutor_leave_time": None}
Flags = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def flagger() -> SessionFlagger:
    return SessionFlagger(Settings())


def row_of(**changes: Any) -> dict[str, Any]:
    record = a_session(**changes) | {"status": changes.get("status", "finished"), "updated_at": END}
    judged = judge("sessions", [record])
    assert judged.refusals == []
    return judged.rows[0]


def found(flagger: SessionFlagger, *rows: dict[str, Any]) -> Flags:
    flags: Flags = defaultdict(dict)
    for flag in flagger.flags(rows):
        assert flag["rule_code"] not in flags[flag["session_id"]], "one row per session and rule"
        flags[flag["session_id"]][flag["rule_code"]] = flag["severity"]
    return dict(flags)


def one(flagger: SessionFlagger, **changes: Any) -> dict[str, str]:
    return found(flagger, row_of(**changes)).get("s1", {})


@pytest.mark.parametrize(
    ("late", "severity"),
    [
        (-5, None),
        (0, None),
        (5.01, None),
        (10, None),
        (10.001, "medium"),
        (20, "medium"),
        (20.001, "high"),
        (59, "high"),
    ],
)
def test_late_is_more_than_ten_minutes_and_very_late_more_than_twenty(
    flagger: SessionFlagger, late: float, severity: str | None
) -> None:
    assert one(flagger, tutor_join_time=minutes(START, late)).get("tutor_late") == severity


@pytest.mark.parametrize(
    ("early", "severity"),
    [(-30, None), (0, None), (10, None), (10.001, "medium"), (20, "medium"), (20.001, "high"), (60, "high")],
)
def test_early_is_more_than_ten_minutes_and_very_early_more_than_twenty(
    flagger: SessionFlagger, early: float, severity: str | None
) -> None:
    assert one(flagger, tutor_leave_time=minutes(END, -early)).get("session_ended_early") == severity


@pytest.mark.parametrize(
    ("rating", "first", "flagged"),
    [(1, True, True), (2, True, True), (2.001, True, False), (3, True, False), (1, False, False), (None, True, False),
     (1, None, False)],
)  # fmt: skip
def test_a_first_session_rated_two_or_less_is_a_poor_one(
    flagger: SessionFlagger, rating: float | None, first: bool | None, flagged: bool
) -> None:
    flags = one(flagger, student_feedback={"rating": rating}, is_first_session=first)
    assert flags == ({"poor_first_session": "high"} if flagged else {})


def test_a_tutor_who_never_came_is_a_no_show_and_not_late(flagger: SessionFlagger) -> None:
    assert one(flagger, **NO_SHOW) == {"tutor_no_show": "critical"}


@pytest.mark.parametrize("status", ["cancelled", "scheduled"])
def test_what_did_not_take_place_has_no_flags(flagger: SessionFlagger, status: str) -> None:
    assert one(flagger, status=status, is_first_session=True, student_feedback={"rating": 1}, **NO_SHOW) == {}


def test_a_source_without_attendance_shows_no_no_show(flagger: SessionFlagger) -> None:
    assert one(flagger, reports_attendance=False, **NO_SHOW) == {}


def test_a_queue_is_never_minutes_late(flagger: SessionFlagger) -> None:
    assert one(flagger, join_kind="queue", tutor_join_time=minutes(START, 45)) == {}


def random_rows(count: int) -> list[dict[str, Any]]:
    generator = random.Random(20_260_302)
    edges = [-15.0, 0.0, 9.999, 10.0, 10.001, 19.999, 20.0, 20.001, 45.0]

    def shift() -> float:
        return generator.choice(edges) if generator.random() < 0.7 else generator.uniform(-30, 50)

    records = []
    for number in range(count):
        joined = None if generator.random() < 0.15 else minutes(START, shift())
        left = None if joined is None or generator.random() < 0.1 else minutes(END, -shift())
        records.append(
            a_session(
                f"s{number:05}",
                status=generator.choice(["finished"] * 8 + ["cancelled", "scheduled"]),
                updated_at=END,
                session_end_time=generator.choice([END, END, END, None]),
                tutor_join_time=joined,
                tutor_leave_time=left if joined is None or left is None or left >= joined else joined,
                student_join_time=generator.choice([START, None]),
                student_leave_time=generator.choice([END, None]),
                subjects_covered=generator.choice([["maths"], [], None]),
                is_first_session=generator.choice([True, False, None]),
                student_feedback=generator.choice([None, {"rating": generator.choice([1, 2, 2.5, 3, 5])}]),
                reports_attendance=generator.random() < 0.8,
                reports_customer_attendance=generator.random() < 0.8,
                join_kind=generator.choice(["meeting", "meeting", "queue"]),
                reported_late=generator.choice([True, False, None]),
                reschedule_count=generator.choice([None, 0, 2]),
                rescheduled_by=generator.choice([None, "tutor"]),
            )
        )
    judged = judge("sessions", records)
    assert judged.refusals == []
    return judged.rows


def by_hand(row: dict[str, Any]) -> dict[str, str]:
    """The same rules once more, in Python and by the numbers of the specification."""
    if row["status"] != "finished":
        return {}
    flags = {}
    joined, left, end = row["tutor_joined_at"], row["tutor_left_at"], row["scheduled_end_at"]
    if joined is None and row["reports_attendance"]:
        flags["tutor_no_show"] = "critical"
    measures = {}
    if joined is not None and row["join_kind"] == "meeting":
        measures["tutor_late"] = joined - row["scheduled_start_at"]
        if left is not None and end is not None:
            measures["session_ended_early"] = end - left
    for rule, amount in measures.items():
        if amount > timedelta(minutes=10):
            flags[rule] = "high" if amount > timedelta(minutes=20) else "medium"
    if row["is_first_reported"] and row["student_rating"] is not None and row["student_rating"] <= 2:
        flags["poor_first_session"] = "high"
    return flags


def test_ten_thousand_sessions_at_once_and_one_by_one_have_the_same_flags(flagger: SessionFlagger) -> None:
    rows = random_rows(10_000)
    batch = found(flagger, *rows)
    assert batch == {row["session_id"]: flags for row in rows if (flags := by_hand(row))}
    assert {rule for flags in batch.values() for rule in flags} == {
        "tutor_no_show",
        "tutor_late",
        "session_ended_early",
        "poor_first_session",
    }
    for row in random.Random(1).sample(rows, 250):
        assert found(flagger, row).get(row["session_id"], {}) == batch.get(row["session_id"], {})
    for start in range(0, 10_000, 500):
        part = rows[start : start + 500]
        assert found(flagger, *part) == {
            r["session_id"]: batch[r["session_id"]] for r in part if r["session_id"] in batch
        }


@pytest.fixture
def instant_judge(operations: Operations) -> InstantJudge:
    return InstantJudge(Settings(), operations, FixedClock(NOON))


def episodes(operations: Operations) -> list[AlertEpisode]:
    with operations.session() as session:
        return list(session.scalars(sa.select(AlertEpisode).order_by(AlertEpisode.rule_code)))


def told(record: Any) -> Message:
    return read_message(json.dumps(an_event(record)).encode(), received_at=NOON)


def test_a_no_show_opens_one_critical_episode_and_three_more_times_add_nothing(
    instant_judge: InstantJudge, operations: Operations
) -> None:
    for _ in range(4):
        instant_judge.judge(told(a_session(**NO_SHOW)))
    [episode] = episodes(operations)
    assert (episode.rule_code, episode.severity) == ("tutor_no_show", "critical")
    assert (episode.entity_type, episode.entity_id, episode.tutor_id) == ("session", "s1", "t1")
    assert (episode.customer_id, episode.session_id) == ("c1", "s1")
    assert (episode.fingerprint, episode.status) == ("tutor_no_show:session:s1", "open")


def test_a_correction_does_not_close_what_the_lane_has_not_seen(
    instant_judge: InstantJudge, operations: Operations
) -> None:
    instant_judge.judge(told(a_session(**NO_SHOW)))
    instant_judge.judge(told(a_session()))
    assert [episode.status for episode in episodes(operations)] == ["open"]


def test_each_broken_rule_has_its_episode(instant_judge: InstantJudge, operations: Operations) -> None:
    changes = {"tutor_join_time": minutes(START, 25), "tutor_leave_time": minutes(END, -15)}
    poor = {"is_first_session": True, "student_feedback": {"rating": 1}}
    instant_judge.judge(told(a_session(**changes, **poor)))
    assert {episode.rule_code: episode.severity for episode in episodes(operations)} == {
        "poor_first_session": "high",
        "session_ended_early": "medium",
        "tutor_late": "high",
    }


@pytest.mark.parametrize(
    "record", [a_session(), a_session(student_feedback={"rating": 9}), None, [], {}, "x", 7]
)
def test_a_good_session_and_a_refused_record_open_nothing(
    instant_judge: InstantJudge, operations: Operations, record: Any
) -> None:
    instant_judge.judge(told(record))
    assert episodes(operations) == []


def test_a_webhook_that_is_delivered_four_times_opens_one_episode(
    instant_judge: InstantJudge, operations: Operations, tmp_path: Path
) -> None:
    door = Door(tmp_path / "landing", judge=instant_judge.judge)
    statuses = [door.send(an_event(a_session(**NO_SHOW))).status for _ in range(4)]
    assert statuses == [202, 200, 200, 200]
    assert door.send(an_event(a_session(**NO_SHOW)), "msg_2").status == 202, (
        "another delivery, the same session"
    )
    [episode] = episodes(operations)
    assert episode.opened_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
