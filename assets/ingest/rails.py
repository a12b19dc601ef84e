"""The client of the marketplace's API: asks politely, waits when told, and tells passing from permanent failures.

What belongs here: HTTP. What does not: what a record means (data.contracts) and where it goes (data.lake.intake).
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import stamina
import structlog

from data.clock import Clock
from data.contracts import Kind
from data.settings import Settings

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
ATTEMPTS = 6
LONGEST_WAIT = timedelta(minutes=2)
"""A longer Retry-After ends the pull: the next tick goes on from the cursor."""
SECONDS = re.compile(r"[0-9]{1,9}")

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


@dataclass(frozen=True)
class Page:
    """One page of records, in order of updated_at, and whether another follows."""

    records: list[Any]
    has_next: bool


class RailsClient:
    """Reads pages of one kind. Retries passing failures with jittered backoff, never permanent ones."""

    def __init__(
        self, settings: Settings, clock: Clock, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._page_size = settings.rails_page_size
        self._clock = clock
        self._http = httpx.Client(
            base_url=settings.rails_url,
            headers={"Authorization": f"Token token={settings.rails_token.get_secret_value()}"},
            timeout=TIMEOUT,
            transport=transport,
            trust_env=False,
        )

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
                continue
            # Before the page that leads on: whoever stores it may move the cursor past this instant.
            for earlier in range(number - 1, 0, -1):
                yield Page(self._page(kind, since, earlier).records, has_next=True)
            yield page
            if not page.has_next:
                return
            since, number, seen = last, 1, set()

    def _page(self, kind: Kind, since: datetime | None, number: int) -> Page:
        for attempt in stamina.retry_context(on=_backoff, attempts=ATTEMPTS, wait_initial=0.2, wait_max=30.0):
            with attempt:
                return self._ask(kind, since, number)
        raise AssertionError("unreachable: retry_context returns or raises")

    def _ask(self, kind: Kind, since: datetime | None, number: int) -> Page:
        query: dict[str, Any] = {"page": number, "per_page": self._page_size}
        if since is not None:
            query["updated_since"] = since.isoformat(timespec="milliseconds") + "Z"
        address = f"/api/v1/{kind}"
        try:
            response = self._http.get(address, params=query)
        except httpx.RequestError as error:
            raise PassingFailure(f"{address}: {type(error).__name__}: {error}") from error
        self._refuse_failure(address, response)
        return Page(_records(address, kind, response), has_next="next" in response.links)

    def _refuse_failure(self, address: str, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429 or status >= 500 or status in (408, 425):
            wait = _retry_after(response, self._clock.now())
            raise PassingFailure(f"{address}: answered {status}", retry_after=wait)
        if status in (401, 403):
            raise PermanentFailure(f"{address}: answered {status}; check CHALKLINE_RAILS_TOKEN")
        if status != 200:
            raise PermanentFailure(f"{address}: answered {status}: {response.text[:200]!r}")


def _backoff(error: Exception) -> bool | float | timedelta:
    if not isinstance(error, PassingFailure) or not error.is_worth_waiting:
        return False
    return True if error.retry_after is None else error.retry_after


def _records(address: str, kind: Kind, response: httpx.Response) -> list[Any]:
    # A body cut short, or a maintenance page served with 200, is a passing failure: nothing is wrong with us.
    try:
        body = response.json()
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
    try:
        moment = email.utils.parsedate_to_datetime(text)
        # A date of HTTP is in GMT, whether it says so or not.
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(timedelta(0), moment - now)


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
