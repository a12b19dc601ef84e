"""Verification of webhooks under the Standard Webhooks scheme. Pure: headers and body in, message id out.

Signing is the library's; the comparison and the clock are ours, so that tolerance has two sides, the instant is
injected, and every malformed header is a refusal instead of an exception.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook
from starlette.datastructures import Headers

TOLERANCE_SECONDS = 300
TIMESTAMP = re.compile(r"[0-9]{1,12}")
SIGNED = ("id", "timestamp", "signature")
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Unauthentic(Exception):
    """The message was not signed by a key of ours, or its time stamp cannot be trusted."""


def verified_message_id(
    headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime
) -> str:
    """Return the message id of an authentic message. Raises Unauthentic for everything else.

    Any active secret may have signed it, so keys rotate without a refused message.
    """
    message_id, stamp, signatures = (_only(headers, f"webhook-{name}") for name in SIGNED)
    if not IDENTIFIER.fullmatch(message_id):
        raise Unauthentic("webhook-id is missing or malformed")
    if not TIMESTAMP.fullmatch(stamp):
        raise Unauthentic("webhook-timestamp is missing or malformed")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise Unauthentic("webhook-timestamp is more than five minutes away")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unauthentic("the body is not UTF-8") from None
    sent_at = datetime.fromtimestamp(int(stamp), UTC)
    expected = [Webhook(secret).sign(message_id, sent_at, text).encode() for secret in secrets]
    given = [part.encode("utf-8", "replace") for part in signatures.split(" ")[:16]]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
    if not any(matches):
        raise Unauthentic("no signature matches")
    return message_id


def _only(headers: Mapping[str, str], name: str) -> str:
    # Given twice, two readers on the way could each believe another one.
    if isinstance(headers, Headers) and len(headers.getlist(name)) > 1:
        raise Unauthentic(f"{name} is given more than once")
    return headers.get(name, "")
