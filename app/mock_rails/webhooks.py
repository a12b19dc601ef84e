"""The mock's outgoing webhooks (Standard Webhooks): what is due, how it is signed, how it is retried."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import polars as pl
from standardwebhooks import Webhook

from app.mock_rails.clock import Clock, micros
from app.mock_rails.json_shapes import to_records
from app.mock_rails.state import state_at

log = logging.getLogger("mock_rails")
RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
WORKERS = 4
# A finished session is announced once; what is recorded about it later is an update.
EVENT_OF = {
    "finished_at": "session.completed",
    "student_feedback_at": "session.updated",
    "tutor_feedback_at": "session.updated",
    "followup_at": "session.updated",
    "summary_at": "session.updated",
    "touched_at": "session.updated",
}


@dataclass(frozen=True)
class Message:
    """One webhook; its id names the cause, so a repeated delivery carries the same id."""

    message_id: str
    occurred_at: datetime
    body: str


def message_of(event_type: str, data: dict[str, Any], occurred_at: datetime) -> Message:
    """The message about one session at one moment."""
    stamp = occurred_at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{occurred_at.microsecond // 1000:03d}Z"
    body = json.dumps({"type": event_type, "timestamp": stamp, "data": data}, separators=(",", ":"))
    return Message(f"msg_{data['session_id']}_{micros(occurred_at) // 1000}", occurred_at, body)


def signed_headers(message: Message, *, secret: str, sent_at: datetime) -> dict[str, str]:
    """The Standard Webhooks headers of one delivery; the timestamp is the time of sending."""
    return {
        "content-type": "application/json",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message.message_id, sent_at, message.body),
    }


class Herald:
    """Announces what happens to sessions as the clock moves on."""

    def __init__(
        self,
        sessions: pl.DataFrame,
        *,
        clock: Clock,
        url: str,
        secret: str,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        Webhook(secret)  # a malformed secret stops the start, not the first delivery
        self.sessions, self.clock, self.url, self.secret = sessions, clock, url, secret
        self.client = client or httpx.AsyncClient(timeout=10)
        self.sleep = sleep
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        times, rows, names = [], [], []
        for number, name in enumerate(EVENT_OF):
            column = sessions[name].cast(pl.Int64)
            real = column.is_not_null().to_numpy()
            times.append(column.drop_nulls().to_numpy())
            rows.append(np.flatnonzero(real))
            names.append(np.full(int(real.sum()), number, dtype=np.int8))
        time = np.concatenate(times)
        order = np.argsort(time, kind="stable")
        self._times, self._rows, self._names = (
            time[order],
            np.concatenate(rows)[order],
            np.concatenate(names)[order],
        )

    def due(self, after: datetime, until: datetime) -> list[Message]:
        """The messages of the moments in (after, until], oldest first; the session as of its moment."""
        first = int(np.searchsorted(self._times, micros(after), side="right"))
        last = int(np.searchsorted(self._times, micros(until), side="right"))
        return [self._message(i) for i in range(first, last)]

    def _message(self, i: int) -> Message:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(self._times[i]))
        row = self.sessions[int(self._rows[i]) : int(self._rows[i]) + 1]
        return message_of(
            tuple(EVENT_OF.values())[self._names[i]],
            to_records("sessions", state_at("sessions", row, moment))[0],
            moment,
        )

    async def deliver(self, message: Message) -> bool:
        """Post one message, retrying with growing pauses; False when every attempt failed."""
        for attempt, pause in enumerate((*RETRY_SECONDS, None), start=1):
            headers = signed_headers(message, secret=self.secret, sent_at=datetime.now(UTC))
            try:
                answer = await self.client.post(self.url, content=message.body, headers=headers)
                if answer.is_success:
                    return True
                outcome = f"HTTP {answer.status_code}"
            except httpx.HTTPError as error:
                outcome = type(error).__name__
            log.warning("Webhook %s, attempt %d: %s", message.message_id, attempt, outcome)
            if pause is not None:
                await self.sleep(pause)
        log.error("Webhook %s was given up", message.message_id)
        return False

    async def _work(self) -> None:
        while True:
            await self.deliver(await self._queue.get())

    async def run(self) -> None:
        """Announce until cancelled; a slow receiver delays messages, never the API."""
        workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        last = self.clock.now()
        try:
            while True:
                now = self.clock.now()
                for message in self.due(last, now):
                    self._queue.put_nowait(message)
                last = now
                await self.sleep(1.0)
        finally:
            for worker in workers:
                worker.cancel()
            await self.client.aclose()
