"""The receiver's endpoints. A request does three things: verify, keep, answer. Judging follows the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from app.keys import KeyDesk, Throttle, too_many
from app.problems import Problem, answer_problems
from app.receiver import track
from app.receiver.body import address_of, limited_body
from app.receiver.signature import IDENTIFIER, Unauthentic, verified_message_id
from data.clock import Clock
from data.contracts import Correction
from data.contracts.messages import Message, read_message
from data.landing import Drop, Landing

LARGEST_BODY_BYTES = 64 * 1024
HINT = "webhooks are posted to /api/webhooks, events of the apps to /api/engagement/track"

log = structlog.get_logger("chalkline.receiver")


@dataclass(frozen=True)
class Receiver:
    """What the endpoints work with. Secrets, keys and corrections change while it serves."""

    landing: Landing
    clock: Clock
    secrets: Callable[[datetime], Sequence[str]]
    judge: Callable[[Message], None]
    keys: KeyDesk
    track_corrections: Callable[[], Sequence[Correction]] = tuple


def create_app(receiver: Receiver) -> FastAPI:
    """Build the application. The judge is called after the answer; its failure never reaches the sender."""
    app = FastAPI(
        title="Chalkline receiver", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    answer_problems(app, hint=HINT)
    _serve_webhooks(app, receiver)
    _serve_tracking(app, receiver)

    @app.get("/up")
    def up() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _serve_webhooks(app: FastAPI, receiver: Receiver) -> None:
    # Authentic messages are never limited: that would lose data.
    failures = Throttle()

    @app.post("/api/webhooks/session-completed")
    @app.post("/api/webhooks")
    async def receive(request: Request, background: BackgroundTasks) -> Response:
        body = await limited_body(request, most_bytes=LARGEST_BODY_BYTES)
        now = receiver.clock.now()
        try:
            message_id = verified_message_id(request.headers, body, secrets=receiver.secrets(now), now=now)
        except Unauthentic as refusal:
            log.warning("webhook_refused", reason=str(refusal), address=address_of(request))
            if not failures.hit(address_of(request)):
                raise too_many("refused requests") from None
            raise Problem(401, "Not authentic", str(refusal)) from None
        verdict = await run_in_threadpool(receiver.landing.store, Drop(message_id, now, body))
        if verdict == "conflict":
            log.error("webhook_conflict", message_id=message_id)
            raise Problem(409, "Conflict", f"message {message_id} is known with another body")
        message = read_message(body, received_at=now)
        if verdict == "stored":
            background.add_task(_judge_quietly, receiver, message, message_id)
        return _accepted(message, duplicate=verdict == "duplicate")


def _serve_tracking(app: FastAPI, receiver: Receiver) -> None:
    # Limited per key, unlike webhooks: apps keep what they have and send it again.
    @app.post("/api/engagement/track")
    async def track_events(request: Request) -> Response:
        caller = await run_in_threadpool(
            receiver.keys.admit, request.headers.get("authorization"), "track", address=address_of(request)
        )
        body = await limited_body(request, most_bytes=track.LARGEST_BODY_BYTES)
        return await run_in_threadpool(_track, receiver, body, caller.key_id)


def _track(receiver: Receiver, body: bytes, key_id: int) -> JSONResponse:
    events = track.read_events(body)
    tracked = track.track(events, corrections=receiver.track_corrections(), received_at=receiver.clock.now())
    if tracked.drop is None:
        raise Problem(
            422,
            "No valid event",
            "nothing was kept; mend the events and send them again",
            events=tracked.results,
        )
    verdict = receiver.landing.store(tracked.drop)
    log.info("events_tracked", key_id=key_id, kept=tracked.kept_count, read=len(events), verdict=verdict)
    return JSONResponse(
        {
            "kept_count": tracked.kept_count,
            "refused_count": len(events) - tracked.kept_count,
            "duplicate": verdict == "duplicate",
            "events": tracked.results,
        },
        status_code=200 if verdict == "duplicate" else 202,
    )


def _judge_quietly(receiver: Receiver, message: Message, message_id: str) -> None:
    try:
        receiver.judge(message)
    except Exception:
        # The message is safe and the fast lane judges it again, so the sender must not see this.
        log.exception("instant_judgement_failed", message_id=message_id)


def _accepted(message: Message, *, duplicate: bool) -> JSONResponse:
    return JSONResponse(
        {
            "success": True,
            "session_id": _echo(message),
            "queued": not duplicate,
            "duplicate": duplicate,
            "estimated_processing_time": 0 if duplicate else 300,
        },
        status_code=200 if duplicate else 202,
    )


def _echo(message: Message) -> str | None:
    # Only what is surely text is echoed: an authentic message may still carry anything.
    record = message.parts[0].record if message.parts else None
    identifier = record.get("session_id") if isinstance(record, dict) else None
    return identifier if isinstance(identifier, str) and IDENTIFIER.fullmatch(identifier) else None
