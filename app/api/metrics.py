"""What was done in the apps, by day. One mart, columns and a filter."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from app.api.shelf import Edition
from app.problems import Problem

GroupedBy = Literal["day", "actor_type", "event_type"]

DEFAULT_DAYS = 30
MOST_DAYS = 400
"""A year and a month: more is an export, not a question."""
METRICS = """
    select event_date, group_value, event_count, actor_count
    from marts.fct_engagement_days
    where grouped_by = $grouped_by and event_date >= $first_day::date and event_date < $until_day::date
    order by event_date, group_value
"""


class EngagementDay(BaseModel):
    """One group on one day."""

    event_date: date = Field(description="business date")
    group_value: str = Field(description="all, a kind of actor, or an event type")
    event_count: int
    actor_count: int = Field(description="different actors of this group on this day; never add them up")


class EngagementMetrics(BaseModel):
    """The days of a range on which anything was done. A day without events has no row."""

    version: int = Field(description="published version that the answer comes from")
    as_of_date: date = Field(description="business date that the version speaks for")
    grouped_by: GroupedBy
    from_date: date
    until_date: date = Field(description="first date that is no longer in the range")
    days: list[EngagementDay]


def metrics_of(
    edition: Edition, *, grouped_by: GroupedBy, from_date: date | None, until_date: date | None
) -> EngagementMetrics:
    """Return the days of a range; by default the last 30 up to the version's date. from is included, until is not.

    Raises Problem (422) for a range that ends before it begins or is longer than 400 days.
    """
    until = until_date or edition.as_of_date + timedelta(days=1)
    first = from_date or until - timedelta(days=DEFAULT_DAYS)
    if not timedelta(0) <= until - first <= timedelta(days=MOST_DAYS):
        raise Problem(422, "Not a range", f"from lies before until, and at most {MOST_DAYS} days before it")
    rows = edition.ask(METRICS, {"grouped_by": grouped_by, "first_day": first, "until_day": until})
    return EngagementMetrics(
        version=edition.version,
        as_of_date=edition.as_of_date,
        grouped_by=grouped_by,
        from_date=first,
        until_date=until,
        days=[EngagementDay(**row) for row in rows.to_dicts()],
    )
