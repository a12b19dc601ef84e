"""How each feed that is pulled stands at this moment, for the command line and the doctor. Changes nothing.

What belongs here: reading tries and limits together. What does not: when a feed is tried (assets.ingest.tries).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assets.ingest.pull import FEEDS, SOURCE
from assets.ingest.tries import address_fingerprint, held_since, why_not_now
from data.clock import naive_utc
from data.contracts import Kind
from data.lake.attempts import Attempt, last_good_at, newest_attempts
from data.lake.cursors import cursor_of
from data.rulebook import seed

if TYPE_CHECKING:
    from assets.resources import House


@dataclass(frozen=True)
class FeedState:
    """One feed: its newest try, how far it was read, and since when it is held. Times are naive UTC.

    waits_because says why it is not tried now, None if it is; is_late is by the rulebook's late_after_hours.
    """

    kind: Kind
    last: Attempt | None
    last_good_at: datetime | None
    cursor_at: datetime | None
    held_since: datetime | None
    waits_because: str | None
    is_late: bool

    @property
    def trouble(self) -> str | None:
        """What an engineer has to look at, in words; None when all is well."""
        if self.held_since is not None and self.last is not None:
            return f"is held since {self.held_since:%Y-%m-%d %H:%M} UTC: {self.last.reason}"
        if self.is_late:
            since = (
                "never" if self.last_good_at is None else f"last on {self.last_good_at:%Y-%m-%d %H:%M} UTC"
            )
            return f"is late: read well {since}"
        return None


def feed_states(house: House) -> list[FeedState]:
    """Return the state of every feed. A feed that was never tried is neither held nor late."""
    now = naive_utc(house.clock.now())
    limits = dict(seed(house.settings, "feed_limits").select("kind", "late_after_hours").iter_rows())
    fingerprint = address_fingerprint(house.settings)
    states = []
    with house.lake() as lake:
        for kind in FEEDS:
            past = newest_attempts(lake, source=SOURCE, kind=kind, until=now)
            good = last_good_at(lake, source=SOURCE, kind=kind, until=now)
            waits = why_not_now(
                past, now=now, released_at=house.feed_released_at(kind), fingerprint=fingerprint
            )
            met = good or (past[-1].started_at if past else now)
            states.append(
                FeedState(
                    kind=kind,
                    last=past[0] if past else None,
                    last_good_at=good,
                    cursor_at=cursor_of(lake, source=SOURCE, kind=kind),
                    # Released, or with another address or token: it is tried with the next run.
                    held_since=held_since(past) if waits is not None else None,
                    waits_because=waits,
                    is_late=now - met > timedelta(hours=float(limits[kind])),
                )
            )
    return states
