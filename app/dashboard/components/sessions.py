"""The sessions behind a figure, as one table for tutors and customers alike.

What belongs here: drawing rows of core.fct_sessions. What does not: choosing them (queries.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from app.dashboard import wording
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.names import Names
from app.dashboard.palette import Tone

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
    *,
    zone: str,
    key: str,
    other: Literal["tutor", "customer"],
    nothing: str,
) -> None:
    """Draw sessions, newest first; other says whose name stands beside each."""
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
        [_row(row, who, zone, other, has_lateness=has_lateness) for row in rows.iter_rows(named=True)],
        key=key,
        label="Sessions",
        nothing=nothing,
    )


def _row(row: Mapping[str, Any], who: Names, zone: str, other: str, *, has_lateness: bool) -> Row:
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
            wording.number(rating, 0 if rating is None or rating == int(rating) else 1),
            tone="red" if rating is not None and rating <= 2 else "",
        )
    )
    return Row(cells)
