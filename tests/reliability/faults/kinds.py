"""The kinds of fault, and the seeded script that says which request meets which.

What belongs here: what goes wrong. What does not: the truth behind it (truth.py) and the socket (server.py).
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

from tests.reliability.faults.truth import Oddities

Wire = Literal["whole", "reset", "short", "silent"]
Road = Literal["refused", "no_connection"]


@dataclass(frozen=True)
class Answer:
    """What goes back: status, headers, body, and how it leaves. query is what was asked: page, size and since."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wire: Wire = "whole"


@dataclass(frozen=True)
class Asked:
    """What a faulty answer may be made of: the request, the good answer, and pages on request."""

    page: int
    now: datetime
    good: Answer
    page_at: Callable[[int], Answer]
    disordered: Callable[[], Answer]
    previous: Answer | None


Fault = Callable[[Asked], Answer]


def _status(status: int, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: Answer(status, named, b'{"errors":{"base":["try again"]}}')


def _limit_with_date(asked: Asked) -> Answer:
    moment = format_datetime(asked.now + timedelta(seconds=20), usegmt=True)
    return Answer(429, {"retry-after": moment}, b"")


def _saying(body: bytes, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: Answer(200, named, body)


def _loop(asked: Asked) -> Answer:
    """The same page for ever, each time with the promise of another."""
    headers = {**asked.good.headers, "link": '<http://source/next?page=2>; rel="next"'}
    return replace(asked.page_at(1), headers=headers)


REQUEST_FAULTS: Mapping[str, Fault] = {
    "429 with seconds": _status(429, retry_after="30"),
    "429 with a date": _limit_with_date,
    "429 without a word": _status(429),
    "500": _status(500),
    "502": _status(502),
    "503 with seconds": _status(503, retry_after="600"),
    "read time-out": lambda asked: replace(asked.good, wire="silent"),
    "reset in mid-body": lambda asked: replace(asked.good, wire="reset"),
    "truncated JSON": lambda asked: replace(
        asked.good, body=asked.good.body[: len(asked.good.body) * 2 // 3]
    ),
    "HTML with 200": _saying(b"<html><body>Back soon</body></html>", content_type="text/html"),
    "empty body": _saying(b""),
    "wrong Content-Length": lambda asked: replace(asked.good, wire="short"),
    "gzip bomb": _saying(gzip.compress(bytes(20_000_000)), content_encoding="gzip"),
    "page repeated": lambda asked: asked.previous or asked.good,
    "page skipped": lambda asked: asked.page_at(asked.page + 1),
    "page loop": _loop,
    "records out of order": lambda asked: asked.disordered(),
}
ROAD_FAULTS: Mapping[str, Road] = {"connection refused": "refused", "connection time-out": "no_connection"}
WORLD_FAULTS: Mapping[str, Oddities] = {
    "row appears late": Oddities(late_rows=40),
    "source clock 26 h ahead": Oddities(clock_ahead=timedelta(hours=26)),
    "source clock 26 h behind": Oddities(clock_ahead=timedelta(hours=-26)),
}
EXPIRED = "token expires"
KINDS: tuple[str, ...] = (*REQUEST_FAULTS, *ROAD_FAULTS, *WORLD_FAULTS, EXPIRED)
NEEDS_A_SHORT_WAIT = ("read time-out", "connection time-out")
"""Kinds in which the client really waits; its patience is short then."""

SHARES = (0.3, 0.6, 0.9)
"""A fault now and then, most of the time, or nearly always."""


@dataclass
class Script:
    """Which request meets the fault: seeded, and so is how many do. calm ends it."""

    kind: str
    seed: int
    is_calm: bool = False
    requests: int = 0
    played: int = 0
    _plan: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._plan = random.Random(f"{self.kind} {self.seed}")
        self._share = self._plan.choice(SHARES)
        self._expires_at = self._plan.randrange(3, 9)

    def road(self) -> Road | None:
        """Say which way a new request goes; None is the way to the server."""
        self.requests += 1
        return ROAD_FAULTS[self.kind] if self.kind in ROAD_FAULTS and self._strikes() else None

    def fault(self) -> Fault | None:
        """Return what spoils the answer to this request, None if nothing does."""
        if self.kind == EXPIRED:
            if self.is_calm or self.requests <= self._expires_at:
                return None
            self.played += 1
            return _status(401)
        return REQUEST_FAULTS[self.kind] if self.kind in REQUEST_FAULTS and self._strikes() else None

    def _strikes(self) -> bool:
        strikes = not self.is_calm and self._plan.random() < self._share
        self.played += strikes
        return strikes


def link_header(page: int, *, has_next: bool) -> dict[str, Any]:
    """Return the Link header of a page, as the marketplace writes it."""
    links = ['<http://source/list?page=1>; rel="first"']
    if has_next:
        links.append(f'<http://source/list?page={page + 1}>; rel="next"')
    return {"link": ", ".join(links), "content-type": "application/json; charset=utf-8"}
