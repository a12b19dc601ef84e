"""What the apps report: judged at once, event by event, and kept once however often it is sent."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receiver_builders import NOON, READ_KEY, TRACK_KEY, TRACK_PATH, Answer, Door, a_login

from app.keys import FAILURES_PER_MINUTE
from app.receiver.track import LARGEST_BODY_BYTES, MOST_EVENTS
from data.contracts import Correction, judge
from data.contracts.messages import read_message
from data.landing import TRACK_SOURCE


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path / "landing")


def kept(door: Door) -> list[dict[str, Any]]:
    """The records that ingestion will read from what the door kept."""
    drops = list(door.landing.claim())
    assert {drop.source for drop in drops} <= {TRACK_SOURCE}
    messages = [read_message(drop.body, received_at=drop.received_at) for drop in drops]
    assert {part.kind for message in messages for part in message.parts} <= {"engagement_events"}
    return [part.record for message in messages for part in message.parts]


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    return problem


def test_one_event_is_kept_as_it_was_sent(door: Door) -> None:
    answer = door.track(a_login(session_id="s1", screen="home"))
    assert answer.status == 202
    assert answer.json == {
        "kept_count": 1,
        "refused_count": 0,
        "duplicate": False,
        "events": [{"index": 0, "status": "kept", "event_id": "e1"}],
    }
    [record] = kept(door)
    assert record == a_login(session_id="s1", screen="home", updated_at="2026-03-01T10:00:00+00:00")


def test_valid_events_are_kept_and_invalid_ones_are_named(door: Door) -> None:
    events = [
        a_login("e1"),
        a_login("e2", occurred_at="yesterday"),
        "x",
        a_login("e4", actor_type="robot"),
        a_login("e5"),
    ]
    answer = door.track({"events": events})
    assert answer.status == 202
    assert (answer.json["kept_count"], answer.json["refused_count"]) == (2, 3)
    results = answer.json["events"]
    assert [(one["index"], one["status"]) for one in results] == list(
        enumerate(["kept", "refused", "refused", "refused", "kept"])
    )
    assert results[1] | {"field": "occurred_at", "reason": "is not an ISO 8601 time"} == results[1]
    assert [results[2]["field"], results[3]["field"]] == ["record", "actor_type"]
    assert [record["event_id"] for record in kept(door)] == ["e1", "e5"]


def test_without_a_valid_event_nothing_is_kept(door: Door) -> None:
    problem = assert_problem(door.track({"events": [a_login(actor_id=None), {}]}), 422)
    assert [one["field"] for one in problem["events"]] == ["actor_id", "actor_type"]
    assert door.files() == []


def test_the_value_that_was_wrong_is_not_sent_back(door: Door) -> None:
    assert b"secret@example" not in door.track(a_login(occurred_at="secret@example.org")).body


def test_a_request_that_is_repeated_lands_on_itself(door: Door) -> None:
    events = [a_login("e1"), a_login(None)]
    assert door.track({"events": events}).status == 202
    before = [place.read_bytes() for place in door.files()]
    door.clock.instant = NOON + timedelta(days=30)
    again = door.track({"events": [dict(reversed(event.items())) for event in events]})
    assert (again.status, again.json["duplicate"]) == (200, True)
    assert [place.read_bytes() for place in door.files()] == before


def test_the_same_event_in_another_request_is_the_same_version(door: Door) -> None:
    door.track({"events": [a_login("e1"), a_login("e2")]})
    door.clock.instant = NOON + timedelta(minutes=5)
    door.track({"events": [a_login("e1"), a_login("e3")]})
    rows = judge("engagement_events", kept(door)).rows
    assert len(rows) == 4
    assert len({(row["event_id"], row["version_hash"]) for row in rows}) == 3


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"occurred_at": "2026-03-01T05:00:00-05:00"}, True),
        ({"screen": "home"}, True),
        ({"event_id": None}, True),
        ({"actor_id": "t2"}, False),
        ({"actor_type": "customer"}, False),
        ({"event_type": "logout"}, False),
        ({"session_id": "s1"}, False),
        ({"occurred_at": "2026-03-01T10:00:00.001Z"}, False),
    ],
)
def test_the_id_of_an_event_without_one_follows_from_what_it_tells(
    door: Door, changes: dict[str, Any], same: bool
) -> None:
    first, second = (door.track(a_login(None) | more).json["events"][0]["event_id"] for more in ({}, changes))
    assert first.startswith("evt_")
    assert (first == second) == same


def test_a_correction_in_force_counts_at_the_door_and_is_applied_once(tmp_path: Path) -> None:
    habits = [
        Correction("rename", "at", new_value="occurred_at"),
        Correction("rename", "id", new_value="event_id"),
    ]
    door = Door(tmp_path / "landing", corrections=habits)
    event = a_login(None) | {"at": "2026-03-01T09:00:00Z", "id": "e7"}
    del event["occurred_at"]
    assert door.track(event).json["events"] == [{"index": 0, "status": "kept", "event_id": "e7"}]
    [record] = kept(door)
    assert {"at", "id"} <= record.keys(), "ingestion mends it, and sees the habit"
    [row] = judge("engagement_events", [record], corrections=habits).rows
    assert (row["event_id"], row["occurred_at"]) == ("e7", datetime(2026, 3, 1, 9))


@pytest.mark.parametrize("key", [None, "", "ck_", "ck_" + "x" * 43, TRACK_KEY[:-1], TRACK_KEY + "x"])
def test_without_a_key_in_force_nothing_is_read(door: Door, key: str | None) -> None:
    answer = door.track(a_login(), key=key)
    assert_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert door.files() == []


def test_a_key_for_reading_does_not_track(door: Door) -> None:
    assert_problem(door.track(a_login(), key=READ_KEY), 403)
    assert door.files() == []


def test_a_key_that_sends_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    door = Door(tmp_path / "landing", requests_per_minute=5)
    assert [door.track(a_login(f"e{number}")).status for number in range(5)] == [202] * 5
    answer = door.track(a_login("e9"))
    assert_problem(answer, 429)
    assert answer.headers["retry-after"] == "60"
    assert len(door.files()) == 5


def test_refusals_of_one_address_are_limited_and_keys_in_force_are_not(door: Door) -> None:
    assert {door.track(a_login(), key="ck_no").status for _ in range(FAILURES_PER_MINUTE)} == {401}
    assert_problem(door.track(a_login(), key="ck_no"), 429)
    assert door.track(a_login()).status == 202


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff", b"NaN", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 5_000,
     b'{"a":' * 5_000, b'{"a": ' + b"9" * 5_000 + b"}", b'{"actor_id": "\\ud800"}', b'{"events": {}}',
     b'{"events": []}', b'{"events": null}', b'{"events": 7}', b"\x1f\x8b\x08\x00", b"\xef\xbb\xbf{}",
     json.dumps({"events": [a_login()] * (MOST_EVENTS + 1)}).encode()],
)  # fmt: skip
def test_a_body_that_is_no_list_of_events_is_refused_whole(door: Door, body: bytes) -> None:
    assert_problem(door.track(body), 400)
    assert door.files() == []


def test_the_most_events_are_taken_and_a_body_that_is_too_large_is_not(door: Door) -> None:
    answer = door.track({"events": [a_login(f"e{number}") for number in range(MOST_EVENTS)]})
    assert (answer.status, answer.json["kept_count"]) == (202, MOST_EVENTS)
    assert_problem(door.track(b'{"a": "' + b"x" * LARGEST_BODY_BYTES + b'"}'), 413)


def test_a_key_is_looked_at_before_the_body_is(door: Door) -> None:
    def never() -> Any:
        raise AssertionError("nobody may read this")
        yield b""

    answer = door.post([(b"authorization", b"Bearer ck_no")], never(), path=TRACK_PATH)
    assert_problem(answer, 401)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_events_are_posted(door: Door, method: str) -> None:
    answer = door.post(
        [(b"authorization", f"Bearer {TRACK_KEY}".encode())], b"{}", path=TRACK_PATH, method=method
    )
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event_id": VALUES | st.just("e1"),
        "actor_type": VALUES | st.sampled_from(["tutor", "customer"]),
        "actor_id": VALUES | st.just("t1"),
        "event_type": VALUES | st.just("login"),
        "occurred_at": VALUES | st.just("2026-03-01T10:00:00Z"),
        "updated_at": VALUES | st.just("2026-03-01T10:00:00Z"),
        "session_id": VALUES,
    },
)


@given(document=EVENTS | st.fixed_dictionaries({"events": st.lists(EVENTS | VALUES, max_size=5)}) | VALUES)
@settings(max_examples=400)
def test_whatever_is_reported_what_is_kept_is_what_ingestion_takes(chance_door: Door, document: Any) -> None:
    body = json.dumps(document).encode()
    answer = chance_door.track(body)
    assert answer.status in (200, 202, 400, 422)
    records = kept(chance_door)
    chance_door.landing.finish(chance_door.landing.waiting())
    judged = judge("engagement_events", records)
    assert judged.refusals == []
    if answer.status == 202:
        assert len(records) == answer.json["kept_count"] > 0
        named = [one["event_id"] for one in answer.json["events"] if one["status"] == "kept"]
        assert [row["event_id"] for row in judged.rows] == named


@given(body=st.binary(max_size=300))
@settings(max_examples=300)
def test_bytes_of_chance_are_refused(chance_door: Door, body: bytes) -> None:
    before = len(chance_door.files())
    assert chance_door.track(body).status in (400, 422)
    assert len(chance_door.files()) == before


@pytest.fixture(scope="module")
def chance_door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return Door(tmp_path_factory.mktemp("chance") / "landing")
