"""What is really so at a source: a seeded feed that lives. The ground truth that a pull is measured against.

What belongs here: which version of which record the source shows at which instant. What does not: how it answers
(server.py) and what goes wrong on the way (kinds.py).
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from data.contracts import CONTRACTS, Kind, judge

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
TICK = timedelta(minutes=15)
Record = dict[str, Any]


def stamp(instant: datetime) -> str:
    """Return an instant as the API writes it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Change:
    """One version of a record, and when the source begins to show it. Its own stamp may say something else."""

    shown_from: datetime
    record: Record


@dataclass
class Truth:
    """All that a feed ever says. A record is shown in its newest version only, as the API does."""

    kind: Kind
    changes: list[Change]
    _moments: list[datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.changes.sort(key=lambda change: change.shown_from)
        self._moments = [change.shown_from for change in self.changes]

    def shown_at(self, instant: datetime) -> list[Record]:
        """Return what the source shows at an instant, in the order of its API: by time of change, then by id."""
        key = CONTRACTS[self.kind].key
        known = self.changes[: bisect_right(self._moments, instant)]
        newest = {change.record[key]: change.record for change in known}
        return sorted(newest.values(), key=lambda record: (record["updated_at"], record[key]))

    def final(self) -> list[Record]:
        """Return every record in its last version."""
        return self.shown_at(self._moments[-1])

    def versions(self) -> set[tuple[str, str]]:
        """Return id and version of all that the source ever showed."""
        return versions_of(self.kind, [change.record for change in self.changes])


def versions_of(kind: Kind, records: list[Record]) -> set[tuple[str, str]]:
    """Return id and version hash of records, as the warehouse tells versions apart."""
    return {(row[CONTRACTS[kind].key], row["version_hash"]) for row in judge(kind, records).rows}


@dataclass(frozen=True)
class Oddities:
    """What is odd about the source itself: rows that appear late, and a clock that is off for a while."""

    late_rows: int = 0
    clock_ahead: timedelta = timedelta(0)


def calls_truth(seed: int, *, ticks: int, oddities: Oddities = Oddities()) -> Truth:
    """Return calls: a stock, then a few with each tick. A call never changes, so each is one row for ever."""
    generator = random.Random(f"calls {seed}")
    changes = [_call(number, START - timedelta(minutes=37 * number)) for number in range(60)]
    for number in range(60, 60 + 3 * ticks):
        shown = START + generator.random() * ticks * TICK
        changes.append(_call(number, shown, ahead=_off(shown, ticks, oddities)))
    for number in range(oddities.late_rows):
        shown = START + generator.random() * ticks * TICK
        made = shown - timedelta(hours=1 + generator.random() * 150)
        changes.append(Change(shown, _call(90_000 + number, made).record))
    return Truth("inbound_calls", changes)


def sessions_truth(seed: int, *, ticks: int, oddities: Oddities = Oddities()) -> Truth:
    """Return sessions: each appears once and half of them change later, when their rating comes."""
    generator = random.Random(f"sessions {seed}")
    changes = []
    for number in range(40 + 2 * ticks):
        is_old = number < 40
        shown = (
            START - timedelta(minutes=29 * number) if is_old else START + generator.random() * ticks * TICK
        )
        changes.append(_session(number, shown, ahead=_off(shown, ticks, oddities)))
        if generator.random() < 0.5:
            later = max(shown, START) + generator.random() * (START + ticks * TICK - max(shown, START))
            changes.append(
                _session(number, later, rating=generator.randint(1, 5), ahead=_off(later, ticks, oddities))
            )
    return Truth("sessions", changes)


def _off(shown: datetime, ticks: int, oddities: Oddities) -> timedelta:
    # The clock is off in the middle third: right before, right again afterwards.
    share = (shown - START) / (ticks * TICK)
    return oddities.clock_ahead if 1 / 3 <= share < 2 / 3 else timedelta(0)


def _call(number: int, shown: datetime, *, ahead: timedelta = timedelta(0)) -> Change:
    return Change(
        shown,
        {
            "call_id": f"call_{number:05}",
            "customer_id": f"c{number % 17}",
            "call_date": stamp(shown - timedelta(minutes=5)),
            "reason_code": "billing" if number % 3 else "schedule",
            "updated_at": stamp(shown + ahead),
        },
    )


def _session(
    number: int, shown: datetime, *, rating: int | None = None, ahead: timedelta = timedelta(0)
) -> Change:
    began = START - timedelta(hours=3 + number % 40)
    return Change(
        shown,
        {
            "session_id": f"ses_{number:05}",
            "tutor_id": f"t{number % 7}",
            "student_id": f"c{number % 17}",
            "status": "finished",
            "session_start_time": stamp(began),
            "session_end_time": stamp(began + timedelta(hours=1)),
            "student_feedback": None if rating is None else {"rating": rating, "description": "as it was"},
            "updated_at": stamp(shown + ahead),
        },
    )
