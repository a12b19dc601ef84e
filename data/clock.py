"""The one clock of the Python side. The only caller of datetime.now outside the mock.

A replay sets CHALKLINE_NOW (or passes a FixedClock): the day is then as_of_date, whatever the wall says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from data.settings import Settings


class Clock(Protocol):
    """Tells the current instant, aware and in UTC."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's current instant in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still: for replays, real history and tests."""

    instant: datetime

    def now(self) -> datetime:
        """Return the fixed instant in UTC."""
        return self.instant.astimezone(UTC)


def clock_from(settings: Settings) -> Clock:
    """Return the clock that the settings ask for. Raises ValueError when CHALKLINE_NOW has no time zone."""
    if settings.now is None:
        return SystemClock()
    instant = datetime.fromisoformat(settings.now)
    if instant.tzinfo is None:
        raise ValueError(f"CHALKLINE_NOW={settings.now!r} has no time zone; write it as 2026-03-01T12:00:00Z")
    return FixedClock(instant)


def business_date(instant: datetime, time_zone: str) -> date:
    """Return the business date of an aware instant."""
    return instant.astimezone(ZoneInfo(time_zone)).date()


def end_of_business_day(day: date, time_zone: str) -> datetime:
    """Return the first instant (UTC) that no longer belongs to the business day."""
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(time_zone))
    return midnight.astimezone(UTC)


def naive_utc(instant: datetime) -> datetime:
    """Return an aware instant as the lake stores it: UTC without a zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; the lake stores UTC only")
    return instant.astimezone(UTC).replace(tzinfo=None)
