"""The receiver's endpoints: verify, keep, answer; and nothing that a sender says can break the answer."""

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from receiver_builders import (
    FOREIGN_SECRET,
    NOON,
    OLD_SECRET,
    SECRET,
    Answer,
    Door,
    a_session,
    an_event,
    signed,
)

from app.keys import FAILURES_PER_MINUTE
from app.receiver.main import LARGEST_BODY_BYTES


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path / "landing")


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


@pytest.mark.parametrize(
    "document", [a_session(), an_event(a_session()), an_event(a_session(), "session.updated")]
)
@pytest.mark.parametrize("path", ["/api/webhooks", "/api/webhooks/session-completed"])
def test_a_message_is_accepted_once_and_then_known(door: Door, document: Any, path: str) -> None:
    body = json.dumps(document).encode()
    first = door.post(signed(body), body, path=path)
    again = door.post(signed(body), body, path=path)
    assert (first.status, again.status) == (202, 200)
    assert first.json == {
        "success": True,
        "session_id": "s1",
        "queued": True,
        "duplicate": False,
        "estimated_processing_time": 300,
    }
    assert (again.json["duplicate"], again.json["queued"]) == (True, False)
    assert [drop.body for drop in door.landing.claim()] == [body]
    assert len(door.judged) == 1


def test_another_body_under_a_known_id_is_a_conflict(door: Door) -> None:
    door.send(a_session("s1"))
    assert_problem(door.send(a_session("s2")), 409)
    assert len(door.files()) == 1
    assert [message.parts[0].record["session_id"] for message in door.judged] == ["s1"]


def test_a_forged_message_is_refused_and_leaves_no_trace(door: Door) -> None:
    problem = assert_problem(door.send(a_session(), secrets=[FOREIGN_SECRET]), 401)
    assert problem["detail"] == "no signature matches"
    assert door.files() == []
    assert door.judged == []


@pytest.mark.parametrize("length", [LARGEST_BODY_BYTES + 1, 3 * LARGEST_BODY_BYTES])
def test_a_message_that_is_too_large_is_refused_even_when_signed(door: Door, length: int) -> None:
    body = b'"' + b"x" * (length - 2) + b'"'
    assert_problem(door.post(signed(body), body), 413)
    assert door.files() == []


def test_the_largest_message_is_taken(door: Door) -> None:
    body = b'"' + b"x" * (LARGEST_BODY_BYTES - 2) + b'"'
    assert door.post(signed(body), body).status == 202


def test_an_endless_body_is_cut_off_after_the_limit(door: Door) -> None:
    pieces_read = itertools.count()

    def endless() -> Iterator[bytes]:
        while True:
            next(pieces_read)
            yield b"x" * 1_000

    assert_problem(door.post(signed(b""), endless()), 413)
    assert next(pieces_read) <= LARGEST_BODY_BYTES // 1_000 + 2


def test_a_body_in_pieces_is_one_body(door: Door) -> None:
    body = json.dumps(a_session()).encode()
    assert door.post(signed(body), [body[i : i + 1] for i in range(len(body))]).status == 202


@pytest.mark.parametrize(
    "session_id",
    [
        "\ud800",
        "<script>",
        "a b",
        "",
        "x" * 129,
        "é",
        "s\x00",
        7,
        2**70,
        10**4_000,
        1.5,
        True,
        None,
        [],
        {"a": 1},
        ["s1"],
    ],
)
def test_an_echo_is_plain_text_or_nothing(door: Door, session_id: Any) -> None:
    answer = door.send(json.dumps(a_session(session_id)).encode())
    assert answer.status == 202
    assert answer.json["session_id"] is None


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b'"x"', b"{", b"not json", b"NaN", b'{"data": NaN}', b"\x00", b"[" * 5_000,
     b'{"type": ' + b"[" * 900 + b"]" * 900 + b"}", b'{"data": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
     b'{"session_id": ' + b"9" * 5_000 + b"}", b'{"type": 7}', b'{"type": "email.bounced"}', b'{"data": null}',
     '{"session_id": "s1", "emoji": "👩‍🏫"}'.encode()],
)  # fmt: skip
def test_an_authentic_body_that_nobody_can_read_is_kept_for_the_quarantine(door: Door, body: bytes) -> None:
    assert door.send(body).status == 202
    assert door.send(body).status == 200
    assert [drop.body for drop in door.landing.claim()] == [body]


def test_refusals_of_one_address_are_limited_and_authentic_messages_are_not(door: Door) -> None:
    def forge(address: str | None = "10.0.0.1") -> Answer:
        return door.post(signed(b"{}", secrets=[FOREIGN_SECRET]), b"{}", address=address)

    assert {forge().status for _ in range(FAILURES_PER_MINUTE)} == {401}
    for _ in range(20):
        assert_problem(forge(), 429)
    assert forge().headers["retry-after"] == "60"
    assert forge("10.0.0.2").status == 401, "another address has its own count"
    assert forge(None).status == 401
    for number in range(200):
        assert door.send(a_session(), f"m{number}", address="10.0.0.1").status == 202
    assert forge().status == 429


def test_a_judge_that_fails_does_not_reach_the_sender(tmp_path: Path) -> None:
    door = Door(tmp_path / "landing", fails=True)
    assert door.send(a_session()).status == 202
    assert door.send(a_session()).status == 200
    assert len(door.judged) == 1
    assert door.landing.waiting() == ["msg_1"]


def test_a_message_that_cannot_be_kept_is_not_acknowledged(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("data.landing.os.link", full)
        with pytest.raises(OSError, match="No space left"):
            door.send(a_session())
    assert door.judged == []
    assert door.send(a_session()).status == 202


def test_replays_of_one_message_over_thirty_days_have_no_effect(door: Door) -> None:
    assert door.send(a_session()).status == 202
    kept = [place.read_bytes() for place in door.files()]
    for number in range(1, 1_001):
        door.clock.instant = NOON + timedelta(days=30) * number / 1_000
        if number == 500:
            door.landing.finish([drop.message_id for drop in door.landing.claim()])
        assert door.send(a_session()).status == 200
    assert len(door.judged) == 1
    assert [place.read_bytes() for place in door.files()] == kept
    assert door.landing.waiting() == []


def test_an_old_capture_is_refused_however_well_it_is_signed(door: Door) -> None:
    body = json.dumps(a_session()).encode()
    capture = signed(body)
    door.clock.instant = NOON + timedelta(seconds=301)
    assert_problem(door.post(capture, body), 401)


@pytest.mark.parametrize("name", [b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_signed_header_that_is_given_twice_is_refused(door: Door, name: bytes, is_first: bool) -> None:
    body = json.dumps(a_session()).encode()
    true = signed(body)
    again = (name, dict(true)[name])
    problem = assert_problem(door.post([again, *true] if is_first else [*true, again], body), 401)
    assert problem["detail"] == f"{name.decode()} is given more than once"


def test_a_secret_that_rotates_while_we_serve_counts_at_once(door: Door) -> None:
    assert_problem(door.send(a_session(), secrets=[OLD_SECRET]), 401)
    door.secrets = [SECRET, OLD_SECRET]
    assert door.send(a_session("s1"), "m1", secrets=[OLD_SECRET]).status == 202
    assert door.send(a_session("s2"), "m2").status == 202
    door.secrets = [SECRET]
    assert_problem(door.send(a_session("s3"), "m3", secrets=[OLD_SECRET]), 401)


@pytest.mark.parametrize(
    ("kind", "data", "session_id"),
    [
        ("session.completed", a_session(), "s1"),
        ("session.updated", a_session(), "s1"),
        ("session.rescheduled", {"reschedule_id": "r1", "session_id": "s1"}, "s1"),
        ("tutor.no_show", a_session(), "s1"),
        ("engagement.event", {"events": [{"event_id": "e1"}, {"event_id": "e2"}]}, None),
        ("engagement.event", {"events": []}, None),
    ],
)
def test_every_type_of_webhook_is_taken(door: Door, kind: str, data: Any, session_id: str | None) -> None:
    answer = door.send(an_event(data, kind))
    assert (answer.status, answer.json["session_id"]) == (202, session_id)
    assert [message.type for message in door.judged] == [kind]


def test_a_failure_is_a_problem_that_tells_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr("data.landing.os.link", full)
    answers: list[Answer] = []
    with pytest.raises(OSError, match="No space left"):
        door.post(signed(b"{}"), b"{}", keep=answers)
    problem = assert_problem(answers[0], 500)
    assert "secret" not in json.dumps(problem)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/webhooks", 405), ("PUT", "/api/webhooks", 405), ("POST", "/", 404), ("GET", "/docs", 404),
     ("GET", "/openapi.json", 404), ("POST", "/api/webhooks/../../etc", 404)],
)  # fmt: skip
def test_other_doors_are_closed_in_the_same_words(door: Door, method: str, path: str, status: int) -> None:
    assert_problem(door.post([], b"", method=method, path=path), status)


def test_it_says_that_it_is_up(door: Door) -> None:
    assert door.post([], b"", method="GET", path="/up").json == {"status": "ok"}


def test_no_answer_tells_the_secret(door: Door) -> None:
    answers = [
        door.send(a_session()),
        door.send(a_session("s2")),
        door.send(a_session(), secrets=[FOREIGN_SECRET]),
    ]
    assert not any(SECRET.removeprefix("whsec_").encode() in answer.body for answer in answers)
