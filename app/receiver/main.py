"""The receiver's endpoints. A request does three things: verify, keep, answer. Judging follows the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.exceptions import HTTPException

from app.receiver.signature import IDENTIFIER, Unauthentic, verified_message_id
from data.clock import Clock
from data.contracts.messages import Message, read_message
from data.landing import Drop, Landing

LARGEST_BODY_BYTES = 64 * 1024
FAILURES_PER_MINUTE = 60
"""Refusals one address may cause per minute. Authentic messages are never limited: that would lose data."""

log = structlog.get_logger("chalkline.receiver")


class TooLarge(Exception):
    """The body is larger than any event of ours."""


@dataclass(frozen=True)
class Receiver:
    """What the endpoints work with."""

    landing: Landing
    clock: Clock
    secrets: Sequence[str]
    judge: Callable[[Message], None]


def create_app(receiver: Receiver) -> FastAPI:
    """Build the application. The judge is called after the answer; its failure never reaches the sender."""
    app = FastAPI(title="Chalkline receiver", docs_url=None, redoc_url=None, openapi_url=None)
    limiter = MovingWindowRateLimiter(MemoryStorage())
    failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE)

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, error.detail, "webhooks are posted to /api/webhooks")

    @app.get("/up")
    def up() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/api/webhooks/session-completed")
    @app.post("/api/webhooks")
    async def receive(request: Request, background: BackgroundTasks) -> Response:
        try:
            body = await _limited_body(request)
        except TooLarge:
            return _problem(413, "Too large", f"a message has at most {LARGEST_BODY_BYTES} bytes")
        now = receiver.clock.now()
        try:
            message_id = verified_message_id(request.headers, body, secrets=receiver.secrets, now=now)
        except Unauthentic as refusal:
            address = request.client.host if request.client else "unknown"
            log.warning("webhook_refused", reason=str(refusal), address=address)
            if not limiter.hit(failures, address):
                return _problem(429, "Too many refused requests", "try again in a minute", retry_after=60)
            return _problem(401, "Not authentic", str(refusal))
        verdict = await run_in_threadpool(receiver.landing.store, Drop(message_id, now, body))
        if verdict == "conflict":
            log.error("webhook_conflict", message_id=message_id)
            return _problem(409, "Conflict", f"message {message_id} is known with another body")
        message = read_message(body, received_at=now)
        if verdict == "stored":
            background.add_task(_judge_quietly, receiver, message, message_id)
        return _accepted(message, duplicate=verdict == "duplicate")

    return app


def _judge_quietly(receiver: Receiver, message: Message, message_id: str) -> None:
    try:
        receiver.judge(message)
    except Exception:
        # The message is safe and the fast lane judges it again, so the sender must not see this.
        log.exception("instant_judgement_failed", message_id=message_id)


async def _limited_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY_BYTES:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


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


def _problem(status: int, title: str, detail: str, *, retry_after: int | None = None) -> JSONResponse:
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
