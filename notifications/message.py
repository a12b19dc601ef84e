"""A mail that is ready to go: one recipient, a frozen body, a key that makes sending it twice harmless.

What belongs here: the shape and its refusals. What does not: what it says (render.py), when (policy.py).
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parseaddr
from typing import Literal

MessageKind = Literal["alert", "digest", "system"]

LONGEST_HEADER = 998
"""Characters a header line may have in the mail standard."""
LONGEST_KEY = 256
"""Characters the provider accepts in an idempotency key."""
RESERVED = frozenset(
    {"from", "to", "cc", "bcc", "subject", "date", "message-id", "content-type", "mime-version", "sender"}
)
"""Headers that the sender sets, and nobody else."""

TURNS_TEXT_AROUND = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that reverse what is shown, and so let a name pretend to be another."""


class UnsafeMessage(ValueError):
    """The message would change its own headers, or reach somebody it was not meant for."""


@dataclass(frozen=True)
class Message:
    """A mail to exactly one person. Raises UnsafeMessage when a header could break out of its line."""

    to: str
    subject: str
    html: str
    text: str
    idempotency_key: str
    kind: MessageKind
    headers: Mapping[str, str] = field(default_factory=dict)
    composed_at: datetime | None = None

    def __post_init__(self) -> None:
        refuse_bad_address(self.to)
        _refuse_bad_line("subject", self.subject)
        _refuse_bad_line("idempotency key", self.idempotency_key)
        if not self.idempotency_key or len(self.idempotency_key) > LONGEST_KEY:
            raise UnsafeMessage(f"an idempotency key has 1 to {LONGEST_KEY} characters")
        for name, value in self.headers.items():
            is_token = name.isascii() and name.replace("-", "").isalnum()
            if not is_token or name.lower() in RESERVED:
                raise UnsafeMessage(f"{name!r} is not a header that a message may set")
            _refuse_bad_line(f"header {name}", value)


def key_for(*parts: str) -> str:
    """Return the idempotency key of what caused a mail: stable, opaque, and free of addresses.

    Parts are ids and ISO dates, never words made for people, since those change.
    """
    if not parts or not all(parts):
        raise ValueError(f"an idempotency key needs parts, and none of them empty: {parts!r}")
    joined = "\x1f".join(parts)
    return f"{parts[0]}-{hashlib.sha256(joined.encode()).hexdigest()[:40]}"[:LONGEST_KEY]


def unsubscribe_headers(one_click_url: str) -> dict[str, str]:
    """Return the two headers of one-click unsubscribing (RFC 8058).

    Raises ValueError unless the address is https, which the standard demands.
    """
    if not one_click_url.startswith("https://"):
        raise ValueError(f"one-click unsubscribing needs an https address, not {one_click_url!r}")
    return {"List-Unsubscribe": f"<{one_click_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def one_line(text: str, *, longest: int = 200) -> str:
    """Return text on one line without control characters, cut with an ellipsis."""
    kept = "".join(" " if _breaks_a_line(sign) else sign for sign in text if sign not in TURNS_TEXT_AROUND)
    words = " ".join(kept.split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def refuse_bad_address(address: str) -> None:
    """Raise UnsafeMessage unless this is one plain address."""
    _refuse_bad_line("recipient", address)
    _, found = parseaddr(address)
    local, _, domain = found.rpartition("@")
    if found != address or not local or not domain or any(sign in address for sign in ' ,;<>"'):
        raise UnsafeMessage(f"{address!r} is not one plain address")


def _refuse_bad_line(what: str, text: str) -> None:
    if any(_breaks_a_line(character) for character in text):
        raise UnsafeMessage(f"the {what} contains a line break or control character: {text[:80]!r}")
    if len(text) > LONGEST_HEADER:
        raise UnsafeMessage(f"the {what} is {len(text)} characters long; {LONGEST_HEADER} fit")


def _breaks_a_line(character: str) -> bool:
    # Cc: CR, LF, NUL and friends. Zl, Zp: line and paragraph separators that some mailers fold on.
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")
