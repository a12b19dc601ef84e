"""The mock's outgoing webhooks (Standard Webhooks): how a message is made, signed and retried until it is delivered.

What belongs elsewhere: which message is due when (announcements.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import polars as pl
from standardwebhooks import Webhook

from app.mock_rails.announcements import Announcements, Message
from app.mock_rails.clock import Clock

log = logging.getLogger("mock_rails")
RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
WORKERS = 4


def signed_headers(message: Message, *, secret: str, sent_at: datetime) -> dict[str, str]:
    """The Standard Webhooks headers of one delivery; the timestamp is the time of sending."""
    return {
        "content-type": "application/json",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message.message_id, sent_at, message.body),
    }


class Herald:
    """Announces what happens in the marketplace as the clock moves on."""

    def __init__(
        self,
        frames: Mapping[str, pl.DataFrame],
        *,
        clock: Clock,
        url: str,
        secret: str,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        Webhook(secret)  # a malformed secret stops the start, not the first delivery
        self.announcements = Announcements(frames)
        self.clock, self.url, self.secret = clock, url, secret
        self.client = client or httpx.AsyncClient(timeout=10)
        self.sleep = sleep
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

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
                for message in self.announcements.due(last, now):
                    self._queue.put_nowait(message)
                last = now
                await self.sleep(1.0)
        finally:
            for worker in workers:
                worker.cancel()
            await self.client.aclose()
