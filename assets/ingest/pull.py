"""Pulls one kind from the marketplace's API into the lake, a few pages at a time. No Dagster here.

What belongs here: which feeds there are, where a pull begins, and how far its cursor goes. What does not: whether a
feed is tried at all, and what becomes of a failure (tries.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from assets.ingest.arrivals import CorrectionsOf, uncorrected
from assets.ingest.rails import Page, RailsClient, SourceError, change_of
from data.clock import Clock, business_date, naive_utc
from data.contracts import Kind
from data.lake.cursors import cursor_of
from data.lake.intake import Arrival, Batch, take_in
from data.lake.writer import LakeWriter

SOURCE = "rails.pull"
RECORDS_PER_BATCH = 5_000
"""Records committed together with their cursor: a killed pull goes on from here."""


REACH = timedelta(days=8)
"""How far a night reads back: a week's outage of a source, and a day. A row that appears later still, with an old time
of change, is found by the weekly reading of the small feeds only."""
SUNDAY = 6


@dataclass(frozen=True)
class Feed:
    """A kind and how often it is pulled. The overlap is twice that, so a late row is seen again.

    A feed that is_small is read wholly in the night to Sunday.
    """

    kind: Kind
    every: timedelta
    is_small: bool = False

    @property
    def overlap(self) -> timedelta:
        """How far a pull reaches back behind its cursor."""
        return 2 * self.every

    def reach(self, today: date) -> timedelta | None:
        """Return how far the night of a business date reads back; None is everything."""
        return None if self.is_small and today.weekday() == SUNDAY else REACH


FEEDS: dict[Kind, Feed] = {
    "sessions": Feed("sessions", timedelta(minutes=5)),
    "inbound_calls": Feed("inbound_calls", timedelta(minutes=15)),
    "reschedules": Feed("reschedules", timedelta(minutes=15)),
    "engagement_events": Feed("engagement_events", timedelta(minutes=15)),
    "customers": Feed("customers", timedelta(hours=1), is_small=True),
    "tutors": Feed("tutors", timedelta(hours=1), is_small=True),
}
"""The feeds of S2 and S31, and their rhythm."""


@dataclass
class Account:
    """What a pull or a claim of messages brought, summed over its batches."""

    batches: list[Batch] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Return the sum of one count (read, loaded, duplicate, quarantined) over all batches."""
        return sum(int(getattr(batch, f"{name}_count")) for batch in self.batches)


def pull(
    lake: LakeWriter,
    client: RailsClient,
    feed: Feed,
    *,
    clock: Clock,
    time_zone: str,
    is_night: bool = False,
    corrections: CorrectionsOf = uncorrected,
    account: Account | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Account:
    """Read what changed since the cursor and take it in. Rows and cursor are committed together.

    A night reads further back. A rerun reads the overlap again and loads nothing that is known. Raises SourceError
    when the API fails for good or the time is up; what was read until then is committed and in the account given, and
    the next pull goes on from there.
    """
    account = account if account is not None else Account()
    mended = corrections(SOURCE, feed.kind)
    today = business_date(clock.now(), time_zone)
    # A cursor in the future says nothing about what was read: the newest one that is not counts.
    cursor = cursor_of(lake, source=SOURCE, kind=feed.kind, not_after=naive_utc(clock.now()))
    back = feed.reach(today) if is_night else feed.overlap
    since = cursor - back if cursor and back else None
    for records, reached in _groups(client.pages(feed.kind, updated_since=since)):
        now = clock.now()
        # A source whose clock runs ahead must not carry the cursor into the future: rows would then be skipped.
        known = max(filter(None, (cursor, reached)), default=None)
        new_cursor = min(known, naive_utc(now)) if known else None
        arrival = Arrival(SOURCE, now, business_date(now, time_zone), mended)
        account.batches.append(take_in(lake, feed.kind, records, arrival, cursor_at=new_cursor))
        cursor = new_cursor
        progress(len(records))
    return account


def _groups(pages: Iterator[Page]) -> Iterator[tuple[list[Any], datetime | None]]:
    group: list[Any] = []
    try:
        for page in pages:
            group.extend(page.records)
            if len(group) >= RECORDS_PER_BATCH or not page.has_next:
                if group:
                    yield group, _reached(group)
                group = []
    except SourceError:
        # What did come is kept, or a slow source would be read from the same place for ever.
        if group:
            yield group, _reached(group)
        raise


def _reached(records: list[Any]) -> datetime | None:
    return max(filter(None, map(change_of, records)), default=None)
