"""Mail through Resend: one call per message, under its idempotency key, at the pace the provider states.

What belongs here: calling, pacing, and reading the answer. What does not: repeating (the outbox does).
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from notifications.message import Message
from notifications.senders.base import Receipt, Sender

TIMEOUT_SECONDS = 20
LONGEST_WAIT_SECONDS = 5.0
"""A pause longer than this is the outbox's to make, not a thread's."""
QUOTA_PAUSE_SECONDS = 3600.0
KEY_PAUSE_SECONDS = 600.0
"""After a refused key or sender domain: the message is fine, somebody has to mend the setting."""

_client_lock = threading.Lock()
"""The SDK keeps key and client in module variables, so calls of two senders must not mix."""


class ResendSender(Sender):
    """Sends through Resend's SDK. Waits and the HTTP client can be replaced, for tests."""

    def __init__(
        self,
        api_key: str,
        mail_from: str,
        *,
        http_client: Any | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api_key = api_key
        self._mail_from = mail_from
        self._http_client = http_client
        self._sleep = sleep
        self._wait_before_next = 0.0

    @property
    def name(self) -> str:
        """How this sender is called on pages and in logs."""
        return "Resend"

    def send(self, message: Message) -> Receipt:
        """Send a message. A pause the provider asked for is kept before the next one."""
        from resend.exceptions import NoContentError, ResendError

        if self._wait_before_next > 0:
            self._sleep(self._wait_before_next)
            self._wait_before_next = 0.0
        try:
            answer = self._call(message)
        except NoContentError:
            return Receipt("unknown", detail="the provider answered without content")
        except ResendError as error:
            return self._judge(error)
        self._keep_pace(answer.get("http_headers") or {})
        provider_id = answer.get("id")
        if not provider_id:
            return Receipt("unknown", detail="the provider answered without an id")
        return Receipt("sent", provider_id=str(provider_id))

    def _call(self, message: Message) -> Mapping[str, Any]:
        import resend
        from resend.http_client_requests import RequestsClient

        letter: Any = {
            "from": self._mail_from,
            "to": [message.to],
            "subject": message.subject,
            "html": message.html,
            "text": message.text,
            "headers": dict(message.headers),
            "tags": [{"name": "kind", "value": message.kind}],
        }
        with _client_lock:
            resend.api_key = self._api_key
            resend.default_http_client = self._http_client or RequestsClient(timeout=TIMEOUT_SECONDS)
            sent: Any = resend.Emails.send(letter, {"idempotency_key": message.idempotency_key})
        return sent

    def _keep_pace(self, headers: Mapping[str, str]) -> None:
        lower = {name.lower(): value for name, value in headers.items()}
        if _seconds(lower.get("ratelimit-remaining")) == 0:
            self._wait_before_next = min(_seconds(lower.get("ratelimit-reset")) or 1.0, LONGEST_WAIT_SECONDS)

    def _judge(self, error: Any) -> Receipt:
        code, kind = str(error.code), str(error.error_type)
        detail = f"{code} {kind}: {error.message}"[:500]
        lower = {name.lower(): value for name, value in error.headers.items()}
        asked = _seconds(lower.get("retry-after")) or _seconds(lower.get("ratelimit-reset"))
        if kind == "HttpClientError" or code.startswith("5"):
            # Time-outs come out as this too: the provider may have taken the message.
            return Receipt("unknown", detail=detail)
        if code == "429":
            pause = QUOTA_PAUSE_SECONDS if "quota" in kind else (asked or 1.0)
            return Receipt("passing", detail=detail, retry_after_seconds=pause)
        if code == "409" and kind == "concurrent_idempotent_requests":
            return Receipt("unknown", detail=detail)
        if code in ("401", "403"):
            return Receipt("passing", detail=detail, retry_after_seconds=asked or KEY_PAUSE_SECONDS)
        if code in ("408", "425"):
            return Receipt("unknown", detail=detail)
        return Receipt("permanent", detail=detail)


def _seconds(text: str | None) -> float | None:
    """Read a header that states seconds; a date or nonsense says nothing."""
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None
