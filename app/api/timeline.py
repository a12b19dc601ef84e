"""What happened with one tutor, newest first, in pages. One mart, columns and a filter."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.shelf import Edition
from app.problems import Problem

TIMELINE = """
    select event_id, kind, event_type, session_id, customer_id, subject_id, details, occurred_at
    from marts.rpt_tutor_timeline
    where
        tutor_id = $tutor_id
        and ($from_at::timestamp is null or occurred_at >= $from_at::timestamp)
        and ($until_at::timestamp is null or occurred_at < $until_at::timestamp)
        and (
            $last_at::timestamp is null
            or occurred_at < $last_at::timestamp
            or (occurred_at = $last_at::timestamp and event_id < $last_id::varchar)
        )
    order by occurred_at desc, event_id desc
    limit $row_limit
"""
KNOWN_TUTOR = "select tutor_id from core.dim_tutors where tutor_id = $tutor_id limit 1"


class TimelineEntry(BaseModel):
    """One thing that happened. Identifiers only: names are joined where somebody may see them."""

    event_id: str = Field(description="kind and identifier, joined by a colon; unique for the tutor")
    kind: Literal["session", "flag", "reschedule", "engagement"]
    event_type: str = Field(
        description="status of the session, rule of the flag, who moved, or what was done"
    )
    occurred_at: str = Field(description="planned start of a session, else when it happened; UTC")
    session_id: str | None
    customer_id: str | None
    subject_id: str | None
    details: dict[str, Any] = Field(
        description="what the kind knows besides: minutes, hours, ratings, severity"
    )


class Timeline(BaseModel):
    """One page of a tutor's timeline."""

    tutor_id: str
    version: int = Field(description="published version that the page comes from")
    as_of_date: date = Field(description="business date that the version speaks for")
    entries: list[TimelineEntry]
    next_cursor: str | None = Field(
        description="give it back as cursor for the next page; null on the last one"
    )


def timeline_of(
    edition: Edition,
    tutor_id: str,
    *,
    from_at: datetime | None,
    until_at: datetime | None,
    cursor: str | None,
    limit: int,
) -> Timeline:
    """Return the page after a cursor. Instants are naive UTC; from is included, until is not.

    A cursor holds the place where the page before ended, so nothing is skipped or told twice when a new version is
    published between two pages. Raises Problem: 404 for a tutor nobody named, 400 for a cursor that is none of ours.
    """
    last_at, last_id = read_cursor(cursor) if cursor else (None, None)
    rows = edition.ask(
        TIMELINE,
        {
            "tutor_id": tutor_id,
            "from_at": from_at,
            "until_at": until_at,
            "last_at": last_at,
            "last_id": last_id,
            "row_limit": limit + 1,
        },
    ).to_dicts()
    if not rows and edition.ask(KNOWN_TUTOR, {"tutor_id": tutor_id}).is_empty():
        raise Problem(404, "No such tutor", f"version {edition.version} knows no tutor of this identifier")
    page = rows[:limit]
    more = len(rows) > limit
    return Timeline(
        tutor_id=tutor_id,
        version=edition.version,
        as_of_date=edition.as_of_date,
        entries=[_entry(row) for row in page],
        next_cursor=write_cursor(page[-1]["occurred_at"], page[-1]["event_id"]) if more else None,
    )


def write_cursor(occurred_at: datetime, event_id: str) -> str:
    """Return the place of an entry as an opaque text."""
    return base64.urlsafe_b64encode(json.dumps([occurred_at.isoformat(), event_id]).encode()).decode()


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Return the place that a cursor holds. Raises Problem (400) for a text that we did not write."""
    try:
        at, event_id = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        place = datetime.fromisoformat(at)
        if place.tzinfo is None and isinstance(event_id, str) and write_cursor(place, event_id) == cursor:
            return place, event_id
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    raise Problem(
        400, "Not a cursor", "give back next_cursor of the page before as it is, or leave cursor out"
    )


def _entry(row: dict[str, Any]) -> TimelineEntry:
    moment = row["occurred_at"].isoformat(timespec="milliseconds") + "Z"
    return TimelineEntry(**row | {"occurred_at": moment, "details": json.loads(row["details"])})
