"""What a webhook message says: envelope, bare payload, and bodies that nobody can read."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from contract_builders import kept, of_the_api, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contracts import CONTRACTS, judge
from data.contracts.messages import KIND_OF_TYPE, read_message

RECEIVED = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


def body_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def payload(**changes: Any) -> dict[str, Any]:
    """What the marketplace posts when a session ends: it has neither a status nor a time of change."""
    record = of_the_api("sessions", **changes)
    return {name: value for name, value in record.items() if name not in ("status", "updated_at")}


def row_of(document: Any) -> dict[str, Any]:
    message = read_message(body_of(document), received_at=RECEIVED)
    return kept(message.kind, message.record)


@pytest.mark.parametrize("kind_of_event", KIND_OF_TYPE)
def test_an_envelope_gives_its_data(kind_of_event: str) -> None:
    document = {"type": kind_of_event, "timestamp": "2026-03-01T12:00:00Z", "data": payload()}
    row = row_of(document)
    assert (row["session_id"], row["status"]) == ("s1", "finished")
    assert row["updated_at"] == datetime(2026, 3, 1, 12)


def test_a_bare_payload_is_a_finished_session_of_the_moment_it_came_in() -> None:
    row = row_of(payload())
    assert (row["session_id"], row["status"]) == ("s1", "finished")
    assert row["updated_at"] == datetime(2026, 3, 1, 12, 5)
    assert row_of(payload(timestamp="2026-03-01T12:01:00Z"))["updated_at"] == datetime(2026, 3, 1, 12, 1)


def test_what_the_record_says_of_itself_wins() -> None:
    told = {"status": "cancelled", "updated_at": "2026-03-01T11:00:00Z"}
    row = row_of({"type": "session.updated", "timestamp": "2026-03-01T12:00:00Z", "data": payload() | told})
    assert (row["status"], row["updated_at"]) == ("cancelled", datetime(2026, 3, 1, 11))


def test_null_for_status_and_time_of_change_is_as_good_as_nothing() -> None:
    row = row_of(payload() | {"status": None, "updated_at": None})
    assert (row["status"], row["updated_at"]) == ("finished", datetime(2026, 3, 1, 12, 5))


def test_a_time_stamp_that_is_a_number_is_refused_and_not_guessed() -> None:
    message = read_message(body_of({"timestamp": 1_772_366_400, "data": payload()}), received_at=RECEIVED)
    assert refused(message.kind, message.record) == ("updated_at", "is not an ISO 8601 time")


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
    message = read_message(body, received_at=RECEIVED)
    judged = judge(message.kind, [message.record])
    assert judged.rows == []
    assert judged.refusals[0].reason


@pytest.mark.parametrize(
    "kind_of_event", ["email.bounced", "", "\ud800", "x" * 10_000, 7, None, {"a": 1}, ["session.completed"]]
)
def test_an_event_that_is_not_understood_is_named_in_its_refusal(kind_of_event: Any) -> None:
    message = read_message(body_of({"type": kind_of_event, "data": payload()}), received_at=RECEIVED)
    refusal = judge(message.kind, [message.record]).refusals[0]
    assert "no webhook of type" in refusal.value


@pytest.mark.parametrize("place", ["type", "data", "timestamp", "session_id", "student_feedback"])
def test_no_depth_of_nesting_can_be_read_but_not_judged(place: str) -> None:
    # In a thread the stack is shallow, as in a server, so the deepest body that JSON reads meets every later step.
    problems: list[tuple[int, BaseException]] = []

    def try_all() -> None:
        for depth in range(900, 1_000):
            nested = "[" * depth + "]" * depth
            body = f'{{"session_id": "s1", "{place}": {nested}}}'.encode()
            try:
                message = read_message(body, received_at=RECEIVED)
                judged = judge(message.kind, [message.record])
                assert len(judged.refusals) == 1
            except BaseException as error:
                problems.append((depth, error))

    thread = threading.Thread(target=try_all)
    thread.start()
    thread.join()
    assert problems == []


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps({"data": text}).encode()))
@settings(max_examples=300)
def test_every_body_becomes_a_message_that_can_be_judged(body: bytes) -> None:
    message = read_message(body, received_at=RECEIVED)
    assert message.kind in CONTRACTS
    judged = judge(message.kind, [message.record])
    assert len(judged.rows) + len(judged.refusals) == 1
