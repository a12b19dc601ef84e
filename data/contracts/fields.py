"""The small types from which every contract is made: identifiers, instants, ratings, free text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
ISO_DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}[T ]", re.ASCII)
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
ZONES = frozenset(available_timezones())
RAILS_ZONES = {
    "Hawaii": "Pacific/Honolulu",
    "Alaska": "America/Juneau",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Arizona": "America/Phoenix",
    "Mountain Time (US & Canada)": "America/Denver",
    "Central Time (US & Canada)": "America/Chicago",
    "Eastern Time (US & Canada)": "America/New_York",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "Atlantic Time (Canada)": "America/Halifax",
    "Newfoundland": "America/St_Johns",
    "London": "Europe/London",
    "Dublin": "Europe/Dublin",
    "Paris": "Europe/Paris",
    "Berlin": "Europe/Berlin",
    "Mumbai": "Asia/Kolkata",
    "Sydney": "Australia/Sydney",
}
"""What Rails calls the zones of an American marketplace and of its tutors abroad."""


def _no_nul(value: str) -> str:
    # Postgres refuses U+0000 and DuckDB keeps it: a text that means different things in two stores is refused.
    if "\x00" in value:
        raise ValueError("contains U+0000")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate") from None
    return value


def _plausible(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone")
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside 2000 to 2099") from None
    if not EARLIEST <= value < LATEST:
        raise ValueError("is outside 2000 to 2099")
    return value.replace(tzinfo=None)


def _instant_text(value: Any) -> Any:
    # Numbers, also those written as text, would be read as seconds since 1970, which no source of ours means.
    if isinstance(value, datetime) or (isinstance(value, str) and ISO_DATE.match(value)):
        return value
    raise ValueError("is not an ISO 8601 time")


def _day_text(value: Any) -> Any:
    if isinstance(value, str) and ISO_DAY.fullmatch(value):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("is not a day like 2026-03-01")


def _plausible_day(value: date) -> date:
    if not EARLIEST.date() <= value < LATEST.date():
        raise ValueError("is outside 2000 to 2099")
    return value


def _number(value: Any) -> Any:
    # True would be read as 1: a rating that nobody gave.
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def _identifier(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _zone(value: str) -> str:
    # A name that no clock knows would stop every model that turns a wall clock into an instant.
    name = RAILS_ZONES.get(value.strip(), value.strip())
    if name not in ZONES:
        raise ValueError("is no time zone such as America/New_York")
    return name


Identifier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=128),
    BeforeValidator(_identifier),
    AfterValidator(_no_nul),
]
"""An identifier of the source, kept as text."""

Instant = Annotated[datetime, BeforeValidator(_instant_text), AfterValidator(_plausible)]
"""A point in time: aware when it comes in, naive UTC when it is stored."""

Day = Annotated[date, BeforeValidator(_day_text), AfterValidator(_plausible_day)]
"""A calendar day."""

Rating = Annotated[float, BeforeValidator(_number), Field(ge=1, le=5, allow_inf_nan=False)]
"""A rating from 1 to 5."""

Count = Annotated[int, BeforeValidator(_number), Field(ge=0, le=10_000)]
Weekday = Annotated[int, BeforeValidator(_number), Field(ge=0, le=6)]
"""Weekday 0 is Monday."""

ZoneName = Annotated[str, StringConstraints(max_length=100), AfterValidator(_zone)]
"""An IANA time zone. Rails' own names of the common ones are understood and stored as IANA."""

ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_no_nul)]
LongText = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_no_nul)]
