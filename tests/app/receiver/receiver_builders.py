"""Signed webhooks, a clock that can be moved, and requests to the receiver without a socket."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from standardwebhooks import Webhook

from app.keys import Caller, KeyDesk
from app.receiver.main import Receiver, create_app
from data.contracts import Correction
from data.contracts.messages import Message
from data.landing import Landing
from data.operations.api_keys import KeyRefused, ScopeMissing
from data.operations.tables import Scope

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
FOREIGN_SECRET = "whsec_" + base64.b64encode(bytes(range(64, 96))).decode()
PATH = "/api/webhooks"
TRACK_PATH = "/api/engagement/track"
TRACK_KEY = "ck_" + "t" * 43
READ_KEY = "ck_" + "r" * 43

Headers = list[tuple[bytes, bytes]]


@dataclass
class MovableClock:
    """A clock that stands where it was put."""

    instant: datetime = NOON

    def now(self) -> datetime:
        return self.instant


@dataclass
class Answer:
    """What the receiver answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def known_keys(token: str, scope: Scope) -> Caller:
    """Two keys, as the operations store would know them."""
    scopes: dict[str, Scope] = {TRACK_KEY: "track", READ_KEY: "read"}
    if token not in scopes:
        raise KeyRefused
    if scopes[token] != scope:
        raise ScopeMissing(f"key 2 is for {scopes[token]}, not for {scope}")
    return Caller(1, "app")


class Door:
    """A receiver over a landing in a folder of its own. Judged messages are kept in order."""

    def __init__(
        self,
        folder: Path,
        *,
        secrets: Sequence[str] = (SECRET,),
        fails: bool = False,
        judge: Callable[[Message], None] | None = None,
        requests_per_minute: int = 1_000_000,
        corrections: Sequence[Correction] = (),
    ) -> None:
        self.folder = folder
        self.secrets = secrets
        self.clock = MovableClock()
        self.judged: list[Message] = []
        self.landing = Landing(folder)
        self._fails = fails
        receiver = Receiver(
            landing=self.landing,
            clock=self.clock,
            secrets=lambda _: self.secrets,
            judge=judge or self._judge,
            keys=KeyDesk(known_keys, requests_per_minute=requests_per_minute),
            track_corrections=lambda: corrections,
        )
        self.app: FastAPI = create_app(receiver)

    def _judge(self, message: Message) -> None:
        self.judged.append(message)
        if self._fails:
            raise RuntimeError("the judge is out")

    def files(self) -> list[Path]:
        return [place for place in self.folder.rglob("*") if place.is_file()]

    def post(self, headers: Headers, body: bytes | Iterable[bytes], **scope: Any) -> Answer:
        return asyncio.run(self.ask(headers, body, **scope))

    def send(self, document: Any, message_id: str = "msg_1", **options: Any) -> Answer:
        """Post a properly signed message."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        address = options.pop("address", "127.0.0.1")
        return self.post(signed(body, message_id, at=self.clock.now(), **options), body, address=address)

    def track(self, document: Any, *, key: str | None = TRACK_KEY, address: str = "127.0.0.1") -> Answer:
        """Post events as an app does."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = [(b"content-type", b"application/json")]
        if key is not None:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        return self.post(headers, body, path=TRACK_PATH, address=address)

    async def ask(
        self,
        headers: Headers,
        body: bytes | Iterable[bytes],
        *,
        address: str | None = "127.0.0.1",
        path: str = PATH,
        method: str = "POST",
        keep: list[Answer] | None = None,
    ) -> Answer:
        """Ask the application. keep gets the answer also when the application raises behind it."""
        chunks = iter([body] if isinstance(body, bytes) else body)
        answer = Answer()
        if keep is not None:
            keep.append(answer)

        async def receive() -> dict[str, Any]:
            chunk = next(chunks, None)
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": (address, 50_000) if address else None,
            "server": ("127.0.0.1", 8780),
        }
        await self.app(scope, receive, send)
        return answer


def signature(body: bytes, message_id: str, at: datetime, secret: str = SECRET) -> str:
    signed_text: str = Webhook(secret).sign(message_id, at, body.decode("utf-8", "replace"))
    return signed_text


def signed(
    body: bytes, message_id: str = "msg_1", *, at: datetime = NOON, secrets: Sequence[str] = (SECRET,)
) -> Headers:
    signatures = " ".join(signature(body, message_id, at, secret) for secret in secrets)
    return [
        (b"content-type", b"application/json"),
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", str(int(at.timestamp())).encode()),
        (b"webhook-signature", signatures.encode()),
    ]


def a_session(session_id: Any = "s1", **changes: Any) -> dict[str, Any]:
    """The marketplace's payload of a session that went well."""
    return {
        "session_id": session_id,
        "tutor_id": "t1",
        "student_id": "c1",
        "session_start_time": "2026-03-01T10:00:00Z",
        "session_end_time": "2026-03-01T11:00:00Z",
        "tutor_join_time": "2026-03-01T10:00:00Z",
        "tutor_leave_time": "2026-03-01T11:00:00Z",
        "student_join_time": "2026-03-01T10:00:00Z",
        "student_leave_time": "2026-03-01T11:00:00Z",
        "subjects_covered": ["maths"],
        "is_first_session": False,
        "was_rescheduled": False,
    } | changes


def a_login(event_id: str | None = "e1", **changes: Any) -> dict[str, Any]:
    """What an app reports when a tutor signs in."""
    event: dict[str, Any] = {
        "actor_type": "tutor",
        "actor_id": "t1",
        "event_type": "login",
        "occurred_at": "2026-03-01T10:00:00Z",
    }
    return event | ({"event_id": event_id} if event_id is not None else {}) | changes


def an_event(record: Any, kind: str = "session.completed") -> dict[str, Any]:
    return {"type": kind, "timestamp": "2026-03-01T11:05:00Z", "data": record}


def minutes(start: str, shift: float) -> str:
    return (datetime.fromisoformat(start) + timedelta(minutes=shift)).isoformat()
