"""Every try to read a feed, good or bad. Append-only; the newest word says how the feed stands.

What belongs here: storing and reading the tries. What does not: when a feed may be tried again (assets.ingest.tries).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from data.contracts import Kind
from data.lake.writer import LakeWriter

Outcome = Literal["ok", "passing", "permanent", "out_of_time", "held"]
"""ok: read to its end. passing: failed in a way that may be over soon. permanent: refused for good, which holds the
feed. held: tried once more while held, and still refused. out_of_time: good as far as it came."""
NEWEST = 20
"""So many tries tell how a feed stands: the longest pause is reached after fewer failures in a row."""

_INSTANT = pl.Datetime("us")
_SCHEMA = {
    "attempt_id": pl.String(),
    "source": pl.String(),
    "kind": pl.String(),
    "started_at": _INSTANT,
    "finished_at": _INSTANT,
    "outcome": pl.String(),
    "reason": pl.String(),
    "record_count": pl.Int64(),
    "source_ahead_seconds": pl.Float64(),
    "next_try_at": _INSTANT,
    "address_fingerprint": pl.String(),
}


@dataclass(frozen=True)
class Attempt:
    """One try to read a feed. Times are naive UTC; record_count is what was read and committed.

    reason and next_try_at are empty after a good try; source_ahead_seconds is how far the source's clock is before
    ours, None if it did not say.
    """

    attempt_id: str
    source: str
    kind: Kind
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    reason: str | None
    record_count: int
    source_ahead_seconds: float | None
    next_try_at: datetime | None
    address_fingerprint: str

    @property
    def is_held(self) -> bool:
        """Whether the feed was refused for good."""
        return self.outcome in ("permanent", "held")


def store_attempt(lake: LakeWriter, attempt: Attempt) -> None:
    """Keep a try. Not repeatable: each try is a row of its own."""
    lake.append("raw_quality.pull_attempts", pl.DataFrame([asdict(attempt)], schema=_SCHEMA))


def newest_attempts(lake: LakeWriter, *, source: str, kind: Kind, until: datetime) -> list[Attempt]:
    """Return the newest tries of a feed that had begun by an instant (naive UTC), newest first."""
    rows = lake.read(
        "select attempt_id, source, kind, started_at, finished_at, outcome, reason, record_count, "
        "source_ahead_seconds, next_try_at, address_fingerprint from lake.raw_quality.pull_attempts "
        "where source = $source and kind = $kind and started_at <= $until "
        "order by started_at desc, finished_at desc, attempt_id limit $newest",
        {"source": source, "kind": kind, "until": until, "newest": NEWEST},
    )
    return [Attempt(**row) for row in rows.to_dicts()]


def last_good_at(lake: LakeWriter, *, source: str, kind: Kind, until: datetime) -> datetime | None:
    """Return when a feed was last read to its end (naive UTC), or None if it never was."""
    return lake.read(
        "select max(finished_at) as last_at from lake.raw_quality.pull_attempts "
        "where source = $source and kind = $kind and outcome = 'ok' and finished_at <= $until",
        {"source": source, "kind": kind, "until": until},
    ).item()
