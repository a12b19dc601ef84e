"""The sessions behind a figure, as one table for tutors and customers alike; one of them opens its versions.

What belongs here: drawing rows of core.fct_sessions and core.fct_session_versions. What does not: choosing them
(queries.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import polars as pl

from app.dashboard import queries, wording
from app.dashboard.components import address, page
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.components.page import Lens
from app.dashboard.names import Names
from app.dashboard.palette import Tone

OPENED = "session"
"""Query parameter that names the session whose versions are shown."""
_STATUS: dict[str, tuple[str, Tone]] = {
    "completed": ("Held", "green"),
    "tutor_no_show": ("Tutor missed it", "red"),
    "student_no_show": ("Student missed it", "amber"),
    "cancelled": ("Cancelled", "grey"),
    "scheduled": ("Planned", "accent"),
}


def draw(
    rows: pl.DataFrame,
    who: Names,
    lens: Lens,
    *,
    key: str,
    other: Literal["tutor", "customer"],
    nothing: str,
) -> None:
    """Draw sessions, newest first, and what was known when of the one that is open.

    other says whose name stands beside each.
    """
    opened = address.value_of(OPENED)
    has_lateness = rows["late_minutes"].is_not_null().any() if not rows.is_empty() else False
    columns = [
        Column("When", tight=True),
        Column("Subject", wide=True),
        Column(other.capitalize()),
        Column("Status", tight=True),
        *([Column("Late", right=True, wide=True)] if has_lateness else []),
        Column("Rating", right=True),
    ]
    table(
        columns,
        [
            _row(row, who, lens.zone, other, has_lateness=has_lateness, opened=opened)
            for row in rows.iter_rows(named=True)
        ],
        key=key,
        label="Sessions",
        nothing=nothing,
        on_open=address.opener(OPENED),
    )
    if opened and opened in rows["session_id"]:
        known_when(queries.session_versions(lens, opened), lens.zone, key=f"{key}.versions")


def known_when(versions: pl.DataFrame, zone: str, *, key: str) -> None:
    """Draw the versions of one session, newest first: when each was known, what it said and what it changed."""
    page.section("What was known when", "Versions of the session that is open, newest first.")
    over = versions.filter(~pl.col("status").is_in(("scheduled", "cancelled")))
    over_at = over["updated_at"][-1] if over.height else None
    table(
        (
            Column("Known from", first=True, tight=True),
            Column("Status", tight=True),
            Column("Rating", right=True),
            Column("What changed"),
        ),
        [_version(row, over_at, zone) for row in versions.iter_rows(named=True)],
        key=key,
        label="What was known when",
        nothing="No version is known.",
    )


def _version(row: Mapping[str, Any], over_at: datetime | None, zone: str) -> Row:
    text, tone = _STATUS.get(row["status"], (wording.label(row["status"]), "grey"))
    changed = wording.listed([wording.label(name) for name in row["changed_fields"] or ()])
    note = None
    if row["known_until"] is not None and row["known_until"] <= row["known_from"]:
        note = "overtaken before it came"
    elif row["is_late_feedback"] and over_at is not None:
        note = f"came {wording.span((row['updated_at'] - over_at).total_seconds())} after the session"
    first = "First version" if row["version_number"] == 1 else "Nothing that counts"
    return Row(
        [
            Cell(wording.moment(row["known_from"], zone), sub=wording.label(row["source"])),
            Cell(text, chip=True, tone=tone),
            Cell(_rating(row["student_rating"])),
            Cell(changed or first, sub=note),
        ]
    )


def _row(
    row: Mapping[str, Any], who: Names, zone: str, other: str, *, has_lateness: bool, opened: str
) -> Row:
    text, tone = _STATUS.get(row["status"], (wording.label(row["status"]), "grey"))
    name = who.tutor(row["tutor_id"]) if other == "tutor" else who.customer(row["customer_id"])
    notes = []
    if row["is_first_for_customer"]:
        notes.append("first session")
    if row["rescheduled_by"]:
        notes.append(f"moved by the {row['rescheduled_by']}")
    late = row["late_minutes"]
    cells = [
        Cell(wording.moment(row["scheduled_start_at"], zone)),
        Cell(wording.label(row["subject_id"])),
        Cell(name, sub=", ".join(notes) or None),
        Cell(text, chip=True, tone=tone),
    ]
    if has_lateness:
        cells.append(
            Cell(
                f"{late:.0f} min" if late is not None else wording.NOTHING,
                tone="amber" if (late or 0) > 5 else "",
            )
        )
    rating = row["student_rating"]
    cells.append(
        Cell(
            _rating(rating),
            tone="red" if rating is not None and rating <= 2 else "",
        )
    )
    return Row(cells, id=row["session_id"], chosen=row["session_id"] == opened)


def _rating(rating: float | None) -> str:
    return wording.number(rating, 0 if rating is None or rating == int(rating) else 1)
