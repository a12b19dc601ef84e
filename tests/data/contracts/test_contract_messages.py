"""What a webhook message says: its type, its parts, and bodies that nobody can read."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from contract_builders import kept, of_the_api, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contracts import CONTRACTS, Judged, Kind, judge
from data.contracts.messages import READERS, Message, read_message

RECEIVED = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
TOLD = "2026-03-01T12:00:00Z"
ABOUT_SESSIONS = ("session.completed", "session.updated")


def body_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def message_of(document: Any) -> Message:
    return read_message(body_of(document), received_at=RECEIVED)


def event(kind_of_event: str, data: Any) -> dict[str, Any]:
    return {"type": kind_of_event, "timestamp": TOLD, "data": data}


def payload(**changes: Any) -> dict[str, Any]:
    """What the marketplace posts when a session ends: it has neither a status nor a time of change."""
    record = of_the_api("sessions", **changes)
    return {name: value for name, value in record.items() if name not in ("status", "updated_at")}


def move(**changes: Any) -> dict[str, Any]:
    return of_the_api("reschedules", **changes)


def rows_of(document: Any) -> list[tuple[Kind, dict[str, Any]]]:
    """The rows of a message all of whose parts are good."""
    return [(part.kind, kept(part.kind, part.record)) for part in message_of(document).parts]


def row_of(document: Any) -> dict[str, Any]:
    ((_, row),) = rows_of(document)
    return row


def judged(message: Message) -> list[Judged]:
    return [judge(part.kind, [part.record]) for part in message.parts]


@pytest.mark.parametrize("kind_of_event", ABOUT_SESSIONS)
def test_an_envelope_gives_its_data(kind_of_event: str) -> None:
    row = row_of(event(kind_of_event, payload()))
    assert (row["session_id"], row["status"]) == ("s1", "finished")
    assert row["updated_at"] == datetime(2026, 3, 1, 12)


@pytest.mark.parametrize("kind_of_event", READERS)
def test_a_message_keeps_its_type(kind_of_event: str) -> None:
    assert message_of(event(kind_of_event, payload())).type == kind_of_event


def test_a_bare_payload_is_a_finished_session_of_the_moment_it_came_in() -> None:
    row = row_of(payload())
    assert (row["session_id"], row["status"]) == ("s1", "finished")
    assert row["updated_at"] == datetime(2026, 3, 1, 12, 5)
    assert row_of(payload(timestamp="2026-03-01T12:01:00Z"))["updated_at"] == datetime(2026, 3, 1, 12, 1)


def test_what_the_record_says_of_itself_wins() -> None:
    told = {"status": "cancelled", "updated_at": "2026-03-01T11:00:00Z"}
    row = row_of(event("session.updated", payload() | told))
    assert (row["status"], row["updated_at"]) == ("cancelled", datetime(2026, 3, 1, 11))


def test_null_for_status_and_time_of_change_is_as_good_as_nothing() -> None:
    row = row_of(payload() | {"status": None, "updated_at": None})
    assert (row["status"], row["updated_at"]) == ("finished", datetime(2026, 3, 1, 12, 5))


def test_a_time_stamp_that_is_a_number_is_refused_and_not_guessed() -> None:
    (part,) = message_of({"timestamp": 1_772_366_400, "data": payload()}).parts
    assert refused(part.kind, part.record) == ("updated_at", "is not an ISO 8601 time")


def test_late_feedback_is_a_version_of_its_session() -> None:
    told = {"session_id": "s1", "session_start_time": "2026-03-01T10:00:00Z"}
    row = row_of(event("session.updated", told | {"student_feedback": {"rating": 2, "description": "Late."}}))
    assert (row["student_rating"], row["student_comment"]) == (2.0, "Late.")


def test_a_move_brings_its_record_and_the_session_as_it_now_stands() -> None:
    session = of_the_api("sessions", status="scheduled", session_start_time="2026-03-02T10:00:00Z",
                         session_end_time="2026-03-02T11:00:00Z", updated_at=None, tutor_join_time=None,
                         tutor_leave_time=None, student_join_time=None, student_leave_time=None)  # fmt: skip
    (moves, moved), (sessions, now) = rows_of(event("session.rescheduled", move(session=session)))
    assert (moves, sessions) == ("reschedules", "sessions")
    assert (moved["reschedule_id"], moved["customer_id"]) == ("r1", "c1")
    assert moved["new_start_at"] == now["scheduled_start_at"] == datetime(2026, 3, 2, 10)
    assert (now["status"], now["updated_at"]) == ("scheduled", datetime(2026, 3, 1, 12))


def test_a_move_alone_is_one_record() -> None:
    for document in (move(), move(session=None)):
        ((kind, row),) = rows_of(event("session.rescheduled", document))
        assert (kind, row["rescheduled_at"]) == ("reschedules", datetime(2026, 2, 28, 18))


def test_a_move_that_does_not_say_when_it_was_made_was_made_when_it_was_told() -> None:
    told = move(rescheduled_at=None)
    del told["updated_at"]
    ((_, row),) = rows_of(event("session.rescheduled", told))
    assert row["rescheduled_at"] == row["updated_at"] == datetime(2026, 3, 1, 12)


def test_a_moved_session_without_a_status_is_still_to_come() -> None:
    told = {"session_id": "s1", "session_start_time": "2026-03-02T10:00:00Z"}
    _, (_, session) = rows_of(event("session.rescheduled", move(session=told)))
    assert (session["status"], session["updated_at"]) == ("scheduled", datetime(2026, 3, 1, 12))


def test_a_bad_move_holds_back_no_good_session_and_the_other_way_round() -> None:
    good = {"session_id": "s1", "session_start_time": "2026-03-02T10:00:00Z"}
    for document, refusals in (
        (move(reschedule_id=None, session=good), [1, 0]),
        (move(session="s1"), [0, 1]),
        (move(session=[good]), [0, 1]),
        (move(session={}), [0, 1]),
    ):
        message = message_of(event("session.rescheduled", document))
        assert [part.kind for part in message.parts] == ["reschedules", "sessions"]
        assert [len(one.refusals) for one in judged(message)] == refusals


def test_a_missing_tutor_is_a_session_that_nobody_joined() -> None:
    told = {
        "session_id": "s1",
        "tutor_id": "t1",
        "student_id": "c1",
        "subjects_covered": ["maths"],
        "session_start_time": "2026-03-01T11:50:00Z",
        "session_end_time": "2026-03-01T12:50:00Z",
        "student_join_time": "2026-03-01T11:49:00Z",
        "tutor_join_time": None,
    }
    row = row_of(event("tutor.no_show", told))
    assert (row["status"], row["tutor_joined_at"]) == ("finished", None)
    assert row["customer_joined_at"] == datetime(2026, 3, 1, 11, 49)
    assert (row["reports_attendance"], row["updated_at"]) == (True, datetime(2026, 3, 1, 12))


@pytest.mark.parametrize("name", ["tutor_join_time", "tutor_joined_at"])
def test_a_notice_of_absence_knows_no_join_whatever_it_says(name: str) -> None:
    row = row_of(event("tutor.no_show", payload() | {name: "2026-03-01T10:01:00Z", "tutor_leave_time": None}))
    assert row["tutor_joined_at"] is None


def test_the_end_of_a_session_corrects_an_earlier_notice_of_absence() -> None:
    notice = row_of(event("tutor.no_show", payload(tutor_leave_time=None)))
    end = row_of({"type": "session.completed", "timestamp": "2026-03-01T13:00:00Z", "data": payload()})
    assert end["session_id"] == notice["session_id"]
    assert end["updated_at"] > notice["updated_at"]
    assert end["tutor_joined_at"] is not None


def test_an_event_of_the_apps_is_one_record() -> None:
    told = of_the_api("engagement_events", updated_at=None)
    ((kind, row),) = rows_of(event("engagement.event", told))
    assert (kind, row["event_id"], row["updated_at"]) == (
        "engagement_events", "e1", datetime(2026, 3, 1, 12)
    )  # fmt: skip


def test_several_events_of_the_apps_are_told_apart() -> None:
    events = [
        of_the_api("engagement_events", event_id="e1"),
        "x",
        of_the_api("engagement_events", event_id="e2"),
    ]
    message = message_of(event("engagement.event", {"events": events}))
    assert [part.kind for part in message.parts] == ["engagement_events"] * 3
    assert [len(one.rows) for one in judged(message)] == [1, 0, 1]


def test_a_message_of_no_events_says_nothing() -> None:
    assert message_of(event("engagement.event", {"events": []})).parts == ()


@pytest.mark.parametrize("events", ["e1", {"event_id": "e1"}, 7, None, True])
def test_events_that_are_no_list_are_refused(events: Any) -> None:
    (one,) = judged(message_of(event("engagement.event", {"events": events})))
    assert len(one.refusals) == 1


@pytest.mark.parametrize("data", [None, [], "x", 7, True, [{"session_id": "s1"}]])
@pytest.mark.parametrize("kind_of_event", READERS)
def test_data_that_is_no_object_is_refused_under_the_kind_that_it_is_about(
    kind_of_event: str, data: Any
) -> None:
    kinds = {"session.rescheduled": "reschedules", "engagement.event": "engagement_events"}
    message = message_of(event(kind_of_event, data))
    assert [part.kind for part in message.parts] == [kinds.get(kind_of_event, "sessions")]
    assert [len(one.refusals) for one in judged(message)] == [1]


@pytest.mark.parametrize("kind_of_event", READERS)
def test_empty_data_is_refused(kind_of_event: str) -> None:
    for one in judged(message_of(event(kind_of_event, {}))):
        assert len(one.refusals) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"\xff\xfe",
        b"\x00" * 10,
        b'{"data": NaN}',
        b'{"data": {"student_rating": Infinity}}',
        b"[" * 5_000,
        b"[" * 5_000 + b"]" * 5_000,
        b'{"session_id": ' + b"9" * 5_000 + b"}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": "x"}',
    ],
)
def test_a_body_that_cannot_be_read_becomes_an_explained_refusal(body: bytes) -> None:
    (one,) = judged(read_message(body, received_at=RECEIVED))
    assert one.rows == []
    assert one.refusals[0].reason


@pytest.mark.parametrize(
    "kind_of_event", ["email.bounced", "", "\ud800", "x" * 10_000, 7, None, {"a": 1}, ["session.completed"]]
)
def test_an_event_that_is_not_understood_is_named_in_its_refusal(kind_of_event: Any) -> None:
    (one,) = judged(message_of({"type": kind_of_event, "data": payload()}))
    assert "no webhook of type" in one.refusals[0].value


@pytest.mark.parametrize("kind_of_event", READERS)
@pytest.mark.parametrize(
    "place", ["type", "data", "timestamp", "session_id", "student_feedback", "session", "events"]
)
def test_no_depth_of_nesting_can_be_read_but_not_judged(kind_of_event: str, place: str) -> None:
    # In a thread the stack is shallow, as in a server, so the deepest body that JSON reads meets every later step.
    problems: list[tuple[int, BaseException]] = []

    def try_all() -> None:
        for depth in range(900, 1_000):
            nested = "[" * depth + "]" * depth
            body = f'{{"type": "{kind_of_event}", "session_id": "s1", "{place}": {nested}}}'.encode()
            try:
                found = judged(read_message(body, received_at=RECEIVED))
                assert all(len(one.refusals) == 1 for one in found)
            except BaseException as error:
                problems.append((depth, error))

    thread = threading.Thread(target=try_all)
    thread.start()
    thread.join()
    assert problems == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted(
    {name for contract in CONTRACTS.values() for name in contract.model_fields} | {"session", "events"}
)
DATA = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps({"data": text}).encode()))
@settings(max_examples=300)
def test_every_body_becomes_a_message_that_can_be_judged(body: bytes) -> None:
    found = judged(read_message(body, received_at=RECEIVED))
    assert all(len(one.rows) + len(one.refusals) == 1 for one in found)
    assert found


@given(kind_of_event=st.sampled_from(sorted(READERS)), data=DATA)
@settings(max_examples=300)
def test_whatever_an_event_holds_can_be_judged(kind_of_event: str, data: dict[str, Any]) -> None:
    message = message_of(event(kind_of_event, data))
    assert all(part.kind in CONTRACTS for part in message.parts)
    assert all(len(one.rows) + len(one.refusals) == 1 for one in judged(message))
    assert message.parts or data.get("events") == []
