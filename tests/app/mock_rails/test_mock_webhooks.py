"""The mock announces what happens: signed, retried, never twice under two names."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.mock_rails import by_hand
from app.mock_rails.announcements import ANNOUNCEMENTS, Announcements, Message
from app.mock_rails.clock import Clock
from app.mock_rails.webhooks import RETRY_SECONDS, Herald
from app.mock_rails.world.build import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "http://receiver.example.com/hooks"


class Receiver:
    """Answers with the given codes in turn, then 200, and keeps what it was sent."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        code = self.codes.pop(0) if self.codes else 200
        if code == 0:
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(code)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def herald(world: World, receiver: Receiver) -> Herald:
    client = httpx.AsyncClient(transport=httpx.MockTransport(receiver))
    return Herald(world.frames, clock=Clock(), url=URL, secret=SECRET, client=client, sleep=receiver.sleep)


def due_today(world: World) -> list[Message]:
    return Announcements(world.frames).due(world.anchor - timedelta(days=1), world.anchor)


def test_a_delivery_verifies_with_the_shared_secret(tiny: World) -> None:
    receiver = Receiver()
    message = due_today(tiny)[0]
    assert asyncio.run(herald(tiny, receiver).deliver(message))
    request = receiver.requests[0]
    body = Webhook(SECRET).verify(request.content, dict(request.headers))
    assert body == json.loads(message.body)
    assert request.headers["webhook-id"] == message.message_id
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.content + b" ", dict(request.headers))


def test_a_failing_receiver_is_tried_again_with_growing_pauses_under_the_same_id(tiny: World) -> None:
    receiver = Receiver(500, 0, 429)
    assert asyncio.run(herald(tiny, receiver).deliver(due_today(tiny)[0]))
    assert receiver.pauses == list(RETRY_SECONDS[:3])
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_a_dead_receiver_is_given_up_at_last(tiny: World) -> None:
    receiver = Receiver(*[503] * 50)
    assert not asyncio.run(herald(tiny, receiver).deliver(due_today(tiny)[0]))
    assert len(receiver.requests) == len(RETRY_SECONDS) + 1


def test_the_herald_announces_what_happened_while_the_clock_moved(tiny: World) -> None:
    receiver = Receiver()

    class Moving(Clock):
        at = tiny.anchor - timedelta(days=1)

        def now(self) -> datetime:
            return self.at

    clock = Moving()
    expected = due_today(tiny)

    async def live() -> None:
        ticks = 0

        async def tick(_: float) -> None:
            nonlocal ticks
            ticks += 1
            clock.at = tiny.anchor
            await asyncio.sleep(0)
            if len(receiver.requests) >= len(expected) or ticks > 10_000:
                raise asyncio.CancelledError

        client = httpx.AsyncClient(transport=httpx.MockTransport(receiver))
        one = Herald(tiny.frames, clock=clock, url=URL, secret=SECRET, client=client, sleep=tick)
        with pytest.raises(asyncio.CancelledError):
            await one.run()

    asyncio.run(live())
    assert {request.headers["webhook-id"] for request in receiver.requests} == {
        m.message_id for m in expected
    }


def test_a_malformed_secret_stops_the_start(tiny: World) -> None:
    with pytest.raises(Exception, match=r".+"):
        Herald(tiny.frames, clock=Clock(), url=URL, secret="whsec_not base64!")


@pytest.mark.parametrize("kind", by_hand.SESSION_KINDS)
def test_a_session_by_hand_is_what_its_kind_says(kind: str) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    session = by_hand.a_session(kind, session_id="ses_x", tutor_id="tut_001", student_id="cus_00001", now=now)
    assert (session["tutor_join_time"] is None) == (kind == "tutor_no_show")
    assert (session["student_feedback"] is not None) == (kind in ("poor_first_session", "late_feedback"))
    assert session["status"] == "finished"


def test_an_unknown_kind_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown kind 'party'"):
        by_hand.a_session("party", session_id="s", tutor_id="t", student_id="c", now=datetime.now(UTC))


def test_every_type_of_event_can_be_fired_by_hand() -> None:
    who = {"session_id": "ses_x", "tutor_id": "tut_001", "student_id": "cus_00001"}
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    events = {kind: by_hand.an_event(kind, **who, now=now) for kind in by_hand.KINDS}
    assert {event_type for event_type, _ in events.values()} == {one.event_type for one in ANNOUNCEMENTS}
    assert events["ok"][0] == events["tutor_no_show"][0] == "session.completed"
    moved = events["rescheduled"][1]
    assert moved["session"]["session_start_time"] == moved["new_start_time"] > moved["original_start_time"]
    assert events["no_show_notice"][1]["tutor_join_time"] is None
    assert events["no_show_notice"][1]["session_start_time"] == "2026-11-21T11:50:00.000Z"
    assert events["engagement"][1]["actor_id"] == "tut_001"
