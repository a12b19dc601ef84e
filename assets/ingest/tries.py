"""One try to read a feed: whether it is due, what came of it, and when the next one is. No Dagster here.

What belongs here: patience. A failure that may pass is tried again after a growing pause; one that will not pass holds
the feed until somebody releases it or changes its address or token, with one probe a day. What does not: reading
(pull.py), and telling people (the marts, from raw_quality.pull_attempts).
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from assets.ingest.arrivals import CorrectionsOf, uncorrected
from assets.ingest.budget import Budget
from assets.ingest.pull import SOURCE, Account, Feed, pull
from assets.ingest.rails import OutOfTime, PassingFailure, PermanentFailure, RailsClient, SourceError
from data.clock import Clock, naive_utc
from data.failpoints import failpoint
from data.lake.attempts import Attempt, Outcome, newest_attempts, store_attempt
from data.lake.writer import LakeWriter
from data.settings import Settings

FIRST_PAUSE = timedelta(minutes=1)
"""After one failure; doubled with each more in a row, and jittered. The fast lane comes by every five minutes."""
LONGEST_PAUSE = timedelta(minutes=30)
LONGEST_WISH = timedelta(days=1)
"""A source that asks for a longer pause than this is asked again all the same."""
PROBE_EVERY = timedelta(days=1)
LONGEST_REASON = 500

ClientOf = Callable[[Settings, Clock, Budget], RailsClient]


@dataclass(frozen=True)
class Tried:
    """What came of a try. Without an attempt the feed was skipped, and skipped says why; then nothing was asked."""

    attempt: Attempt | None
    account: Account = field(default_factory=Account)
    skipped: str | None = None

    @property
    def outcome(self) -> str:
        """The outcome in one word: skipped, or that of the attempt."""
        return "skipped" if self.attempt is None else self.attempt.outcome


def rails_client(settings: Settings, clock: Clock, budget: Budget) -> RailsClient:
    """Return the client of this deployment."""
    return RailsClient(settings, clock, budget=budget)


def try_feed(
    lake: LakeWriter,
    feed: Feed,
    *,
    settings: Settings,
    clock: Clock,
    budget: Budget,
    is_night: bool = False,
    released_at: datetime | None = None,
    corrections: CorrectionsOf = uncorrected,
    client_of: ClientOf = rails_client,
) -> Tried:
    """Read a feed if it is due, and note what came of it. A source that fails raises nothing.

    released_at (aware) is when somebody last let the feed go on. Batches are committed one by one; the note of the try
    comes last, so a try that was killed leaves its batches and no note.
    """
    started_at = naive_utc(clock.now())
    fingerprint = address_fingerprint(settings)
    past = newest_attempts(lake, source=SOURCE, kind=feed.kind, until=started_at)
    reason = why_not_now(past, now=started_at, released_at=released_at, fingerprint=fingerprint)
    if reason is not None:
        return Tried(None, skipped=reason)
    account, failure, ahead = Account(), None, None
    try:
        with client_of(settings, clock, budget) as client:
            try:
                pull(
                    lake, client, feed, clock=clock, time_zone=settings.business_time_zone, is_night=is_night,
                    corrections=corrections, account=account,
                )  # fmt: skip
            finally:
                ahead = client.source_ahead_seconds
    except SourceError as error:
        failure = error
    now = naive_utc(clock.now())
    attempt = Attempt(
        attempt_id=uuid.uuid4().hex,
        source=SOURCE,
        kind=feed.kind,
        started_at=started_at,
        finished_at=now,
        outcome=outcome_of(failure, past),
        reason=None if failure is None else _printable(str(failure)),
        record_count=account.total("read"),
        source_ahead_seconds=ahead,
        next_try_at=next_try_at(failure, past, now=now),
        address_fingerprint=fingerprint,
    )
    failpoint("tries.before_note")
    store_attempt(lake, attempt)
    failpoint("tries.after_note")
    return Tried(attempt, account)


def why_not_now(
    past: Sequence[Attempt], *, now: datetime, released_at: datetime | None, fingerprint: str
) -> str | None:
    """Return why a feed is not to be tried at an instant (naive UTC), or None if it is. past is newest first."""
    if not past:
        return None
    last = past[0]
    is_released = released_at is not None and naive_utc(released_at) >= last.finished_at
    if is_released or last.address_fingerprint != fingerprint:
        return None
    if last.next_try_at is None or now >= last.next_try_at:
        return None
    if last.is_held:
        return (
            f"held since {held_since(past):%Y-%m-%d %H:%M} UTC ({last.reason}); mend the cause, then "
            f"`chalkline feeds release {last.kind}`; probed next at {last.next_try_at:%Y-%m-%d %H:%M} UTC"
        )
    return f"failed before ({last.reason}); tried again from {last.next_try_at:%Y-%m-%d %H:%M:%S} UTC"


def held_since(past: Sequence[Attempt]) -> datetime | None:
    """Return since when a feed is held (naive UTC), as far as the tries given tell; None if it is not."""
    held = list(takewhile(lambda attempt: attempt.is_held, past))
    return held[-1].started_at if held else None


def outcome_of(failure: SourceError | None, past: Sequence[Attempt]) -> Outcome:
    """Return what to call a try that ended so."""
    if failure is None:
        return "ok"
    if isinstance(failure, OutOfTime):
        return "out_of_time"
    if isinstance(failure, PermanentFailure):
        return "held" if past and past[0].is_held else "permanent"
    return "passing"


def next_try_at(
    failure: SourceError | None,
    past: Sequence[Attempt],
    *,
    now: datetime,
    jitter: Callable[[], float] = random.random,
) -> datetime | None:
    """Return before when a feed is not to be tried again (naive UTC); None is at any time.

    jitter gives a number from 0 to 1: a pause is between half and all of its length, so that many feeds that failed
    together do not come back together.
    """
    if isinstance(failure, PermanentFailure):
        return now + PROBE_EVERY
    if not isinstance(failure, PassingFailure):
        return None
    before = sum(1 for _ in takewhile(lambda attempt: attempt.outcome == "passing", past))
    pause = min(FIRST_PAUSE * 2**before, LONGEST_PAUSE) * (0.5 + jitter() / 2)
    wish = min(failure.retry_after or timedelta(0), LONGEST_WISH)
    return now + max(pause, wish)


def address_fingerprint(settings: Settings) -> str:
    """Return a digest of address and token: long enough to tell a change, too short to find the token by."""
    text = f"{settings.rails_url}\x1f{settings.rails_token.get_secret_value()}"
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST_REASON]
