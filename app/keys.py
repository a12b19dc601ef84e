"""The check that every door for apps makes first: which key is this, may it, and not too often.

What belongs here: the Authorization header and the counting. What does not: which keys exist, and how they are kept
(data/operations/api_keys.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.problems import Problem
from data.clock import Clock
from data.operations import api_keys
from data.operations.store import Operations
from data.operations.tables import Scope

FAILURES_PER_MINUTE = 60
"""Refusals that one address may cause per minute; whoever has a key is not held up by others at its address."""
WINDOW_SECONDS = 60

log = structlog.get_logger("chalkline.doors")


@dataclass(frozen=True)
class Caller:
    """The key that speaks: its id, and the name that somebody gave it."""

    key_id: int
    name: str


Verify = Callable[[str, Scope], Caller]
"""Gives the caller that a token is, or raises KeyRefused or ScopeMissing."""


class Throttle:
    """Counts refusals per address. Each process of a door counts for itself."""

    def __init__(self, per_minute: int = FAILURES_PER_MINUTE) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._item = RateLimitItemPerMinute(per_minute)

    def hit(self, name: str) -> bool:
        """Count one more. Returns False when that is one too many."""
        return self._limiter.hit(self._item, name)


class KeyDesk:
    """Lets callers in by their key. A revoked or expired key is refused from the next request on."""

    def __init__(self, verify: Verify, *, requests_per_minute: int) -> None:
        self._verify = verify
        self._failures = Throttle()
        self._requests = Throttle(requests_per_minute)

    @classmethod
    def of(cls, operations: Operations, clock: Clock, *, requests_per_minute: int) -> KeyDesk:
        """Return the desk that asks the operations store for every request."""

        def verify(token: str, scope: Scope) -> Caller:
            with operations.session() as session:
                row = api_keys.verify(session, token, scope=scope, now=clock.now())
                return Caller(row.key_id, row.name)

        return cls(verify, requests_per_minute=requests_per_minute)

    def admit(self, authorization: str | None, scope: Scope, *, address: str) -> Caller:
        """Return who asks. Raises Problem: 401 without a key in force, 403 for another scope, 429 for too many."""
        method, _, token = (authorization or "").partition(" ")
        try:
            if method.lower() != "bearer":
                raise api_keys.KeyRefused
            caller = self._verify(token.strip(), scope)
        except (api_keys.KeyRefused, api_keys.ScopeMissing) as refusal:
            log.warning("key_refused", address=address, scope=scope, reason=type(refusal).__name__)
            if not self._failures.hit(address):
                raise too_many("refused requests") from None
            if isinstance(refusal, api_keys.ScopeMissing):
                raise Problem(403, "Not allowed", str(refusal)) from None
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "Not authenticated", str(refusal), headers=challenge) from None
        if not self._requests.hit(str(caller.key_id)):
            raise too_many("requests of this key")
        return caller


def too_many(what: str) -> Problem:
    """Return the refusal of somebody who asks too often."""
    return Problem(
        429, f"Too many {what}", "try again in a minute", headers={"Retry-After": str(WINDOW_SECONDS)}
    )
