"""The client of the marketplace's API: asks politely, waits when told, and tells passing from permanent failures.

What belongs here: HTTP. What does not: what a record means (data.contracts), where it goes (data.lake.intake), and
when a feed that failed is tried again (assets.ingest.tries).
"""

from __future__ import annotations

import email.utils
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from assets.ingest.budget import Budget
from data.clock import Clock, SystemClock
from data.contracts import Kind
from data.contracts.json_text import names_once
from data.settings import Settings

ATTEMPTS = 4
FIRST_WAIT = timedelta(milliseconds=250)
"""Between two attempts, doubled each time and jittered. A source that is down for longer is left to the next run."""
LONGEST_WAIT = timedelta(minutes=2)
"""A longer Retry-After ends the pull: a later run goes on from the cursor."""
SECONDS = re.compile(r"[0-9]{1,9}")
ENCODINGS = ("", "identity", "gzip", "deflate")
"""How an answer may be packed. One layer, which never grows more than a thousandfold."""

log = structlog.get_logger("chalkline.rails")


class SourceError(RuntimeError):
    """The marketplace's API did not give what was asked; the message names the address and the next step."""


class PassingFailure(SourceError):
    """Something that may be gone in a moment: a time-out, a 5xx, a broken body, a limit."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def is_worth_waiting(self) -> bool:
        """Whether the API asked for no longer a wait than a pull is ready to sit out."""
        return self.retry_after is None or self.retry_after <= LONGEST_WAIT


class PermanentFailure(SourceError):
    """Something that no retry mends: a wrong token, a wrong address, a request that the API refuses."""


class OutOfTime(SourceError):
    """Nothing is wrong, but there is more to read than fits into the time of this pull."""


@dataclass(frozen=True)
class Page:
    """One page of records, in order of updated_at, and whether another follows."""

    records: list[Any]
    has_next: bool


class RailsClient:
    """Reads pages of one kind within a budget of time. Retries passing failures, never permanent ones.

    source_ahead_seconds is how far the source's clock was before this machine's at the last answer, None while it has
    not said.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        budget: Budget | None = None,
        machine: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._page_size = settings.rails_page_size
        self._longest_silence = settings.rails_timeout_seconds
        self._most_bytes = settings.rails_body_max_bytes
        self._clock = clock
        # The clock of a replay stands still; whether the source's is right shows beside the machine's.
        self._machine = machine or SystemClock()
        self._budget = budget or Budget()
        self._has_answered = False
        self.source_ahead_seconds: float | None = None
        try:
            self._http = httpx.Client(
                base_url=settings.rails_url,
                headers={
                    "Authorization": f"Token token={settings.rails_token.get_secret_value()}",
                    "Accept-Encoding": "gzip",
                },
                transport=transport,
                trust_env=False,
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise PermanentFailure(
                "CHALKLINE_RAILS_URL is no address, or CHALKLINE_RAILS_TOKEN no token that can be sent"
            ) from error

    def __enter__(self) -> RailsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def pages(self, kind: Kind, *, updated_since: datetime | None) -> Iterator[Page]:
        """Yield pages of all records updated since an instant (naive UTC), oldest change first.

        Follows time instead of page numbers: the next request starts at the last instant seen, so a record that
        changes while we read can move to the end but never push another one out of sight. Only records of one
        instant that fill several pages are read by page number, and then once more from the last page to the
        first: whatever moved up meanwhile is met on the way back. Records may therefore come more than once.
        """
        since, number = updated_since, 1
        seen: set[str] = set()
        while True:
            page = self._page(kind, since, number)
            last = _last_change(page)
            if page.has_next and (last is None or (since is not None and last <= since)):
                # Only here can pages go in a circle: whatever else follows begins at a later instant.
                _refuse_repetition(kind, page, number, seen)
                yield page
                number += 1
                self._stop_in_time(kind)
                continue
            # Before the page that leads on: whoever stores it may move the cursor past this instant.
            for earlier in range(number - 1, 0, -1):
                yield Page(self._page(kind, since, earlier).records, has_next=True)
            yield page
            if not page.has_next:
                return
            since, number, seen = last, 1, set()
            self._stop_in_time(kind)

    def _stop_in_time(self, kind: Kind) -> None:
        if self._budget.is_spent:
            raise OutOfTime(
                f"/api/v1/{kind}: there is more to read than fits into {self._budget.seconds:g} seconds"
            )

    def _page(self, kind: Kind, since: datetime | None, number: int) -> Page:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._ask(kind, since, number)
            except PassingFailure as failure:
                pause = _pause(failure, attempt)
                if pause is None or pause >= self._budget.left:
                    raise
                log.debug("asking again", cause=str(failure), pause_seconds=round(pause, 2))
                self._budget.wait(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _ask(self, kind: Kind, since: datetime | None, number: int) -> Page:
        query: dict[str, Any] = {"page": number, "per_page": self._page_size}
        if since is not None:
            query["updated_since"] = since.isoformat(timespec="milliseconds") + "Z"
        address = f"/api/v1/{kind}"
        try:
            with self._http.stream("GET", address, params=query, timeout=self._patience()) as response:
                self._look_at_clock(response)
                self._refuse_failure(address, response)
                body = self._body(address, response)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise PermanentFailure(f"{address}: {error}; check CHALKLINE_RAILS_URL and its token") from error
        except httpx.RequestError as error:
            raise PassingFailure(f"{address}: {type(error).__name__}: {error}") from error
        page = Page(_records(address, kind, body), has_next="next" in response.links)
        self._has_answered = True
        return page

    def _patience(self) -> float:
        return max(0.001, min(self._longest_silence, self._budget.left))

    def _look_at_clock(self, response: httpx.Response) -> None:
        moment = _http_date(response.headers.get("date", ""))
        if moment is not None:
            self.source_ahead_seconds = (moment - self._machine.now()).total_seconds()

    def _refuse_failure(self, address: str, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429 or status >= 500 or status in (408, 425):
            wait = _retry_after(response, self._clock.now())
            raise PassingFailure(f"{address}: answered {status}", retry_after=wait)
        if status in (401, 403):
            raise PermanentFailure(f"{address}: answered {status}; check CHALKLINE_RAILS_TOKEN")
        if status != 200:
            raise PermanentFailure(f"{address}: answered {status}: {_first_words(response)!r}")

    def _body(self, address: str, response: httpx.Response) -> bytes:
        """Return the unpacked body. What would fill the memory, or drips for longer than there is time, is refused."""
        packed = response.headers.get("content-encoding", "").strip().lower()
        if packed not in ENCODINGS:
            raise PassingFailure(f"{address}: the body is packed as {packed[:40]!r}, which was not asked for")
        body = bytearray()
        for chunk in response.iter_bytes():
            if self._budget.is_spent:
                raise self._late(
                    f"{address}: the body was still coming after {self._budget.seconds:g} seconds"
                )
            body += chunk
            if len(body) > self._most_bytes:
                raise PassingFailure(f"{address}: the body is larger than {self._most_bytes:,} bytes")
        return bytes(body)

    def _late(self, message: str) -> SourceError:
        # Whoever gave nothing until now may never give anything; whoever gave pages has only more than fits.
        return OutOfTime(message) if self._has_answered else PassingFailure(message)


def _pause(failure: PassingFailure, attempt: int) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there is to be none."""
    if attempt >= ATTEMPTS or not failure.is_worth_waiting:
        return None
    if failure.retry_after is not None:
        return failure.retry_after.total_seconds()
    return FIRST_WAIT.total_seconds() * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)


def _first_words(response: httpx.Response) -> str:
    try:
        return next(response.iter_text(), "")[:200]
    except httpx.RequestError:
        return ""


def _records(address: str, kind: Kind, text: bytes) -> list[Any]:
    # A body cut short, or a maintenance page served with 200, is a passing failure: nothing is wrong with us.
    try:
        body = json.loads(text, object_pairs_hook=names_once)
    except (ValueError, RecursionError) as error:
        raise PassingFailure(f"{address}: the body is not JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get(kind), list):
        raise PassingFailure(f"{address}: the body has no list named {kind}")
    records: list[Any] = body[kind]
    return records


def _retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    text = response.headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    moment = _http_date(text)
    return None if moment is None else max(timedelta(0), moment - now)


def _http_date(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        # A date of HTTP is in GMT, whether it says so or not.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _last_change(page: Page) -> datetime | None:
    return max(filter(None, map(change_of, page.records)), default=None)


def _refuse_repetition(kind: Kind, page: Page, number: int, seen: set[str]) -> None:
    # Page after page that brings nothing unseen would be read for ever.
    found = set(map(_fingerprint, page.records))
    if page.has_next and found <= seen:
        raise PassingFailure(
            f"/api/v1/{kind}: page {number} repeats the pages before it and says that more follow"
        )
    seen |= found


def _fingerprint(record: Any) -> str:
    try:
        return json.dumps(record, sort_keys=True)
    except RecursionError:
        return "nested too deeply"


def change_of(record: Any) -> datetime | None:
    """Return a record's updated_at as naive UTC, or None when it has no readable one."""
    text = record.get("updated_at") if isinstance(record, dict) else None
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None
