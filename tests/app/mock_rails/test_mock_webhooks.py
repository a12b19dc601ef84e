"""The mock announces finished sessions: signed, retried, never twice under two names."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.mock_rails import by_hand
from app.mock_rails.clock import Clock
from app.mock_rails.webhooks import RETRY_SECONDS, Herald, Message
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
    return Herald(
        world.frames["sessions"], clock=Clock(), url=URL, secret=SECRET, client=client, sleep=receiver.sleep
    )


def due_today(world: World) -> list[Message]:
    return herald(world, Receiver()).due(world.anchor - timedelta(days=1), world.anchor)


def test_what_is_due_is_every_end_and_every_late_note_once(tiny: World) -> None:
    messages = due_today(tiny)
    bodies = [json.loads(message.body) for message in messages]
    assert {body["type"] for body in bodies} == {"session.completed", "session.updated"}
    assert len({message.message_id for message in messages}) == len(messages)
    times = [message.occurred_at for message in messages]
    assert times == sorted(times)
    completed = [body["data"]["session_id"] for body in bodies if body["type"] == "session.completed"]
    ended = (
        tiny.frames["sessions"]["finished_at"].is_between(tiny.anchor - timedelta(days=1), tiny.anchor).sum()
    )
    assert len(completed) == ended
    for body in bodies:
        assert body["data"]["status"] == "finished"
        assert body["data"]["updated_at"] == body["timestamp"]


def test_two_windows_in_a_row_lose_and_repeat_nothing(tiny: World) -> None:
    one = herald(tiny, Receiver())
    start, end = tiny.anchor - timedelta(days=2), tiny.anchor
    middle = due_today(tiny)[0].occurred_at
    assert one.due(start, end) == one.due(start, middle) + one.due(middle, end)


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
        one = Herald(tiny.frames["sessions"], clock=clock, url=URL, secret=SECRET, client=client, sleep=tick)
        with pytest.raises(asyncio.CancelledError):
            await one.run()

    asyncio.run(live())
    assert {request.headers["webhook-id"] for request in receiver.requests} == {
        m.message_id for m in expected
    }


def test_a_malformed_secret_stops_the_start(tiny: World) -> None:
    with pytest.raises(Exception, match=r".+"):
        Herald(tiny.frames["sessions"], clock=Clock(), url=URL, secret="whsec_not base64!")


@pytest.mark.parametrize("kind", by_hand.KINDS)
def test_a_session_by_hand_is_what_its_kind_says(kind: str) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    session = by_hand.a_session(kind, session_id="ses_x", tutor_id="tut_001", student_id="cus_00001", now=now)
    assert (session["tutor_join_time"] is None) == (kind == "tutor_no_show")
    assert (session["student_feedback"] is not None) == (kind == "poor_first_session")
    assert session["status"] == "finished"


def test_an_unknown_kind_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown kind 'party'"):
        by_hand.a_session("party", session_id="s", tutor_id="t", student_id="c", now=datetime.now(UTC))
