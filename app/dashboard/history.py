"""Published versions as the data-health page reads them: which lane made them, when, and what the checks said.

What belongs here: reading. What does not: publishing and rolling back (data.operations.publications).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from app.dashboard import access, stores
from app.dashboard.identity import Person
from data.operations.tables import Publication


@dataclass(frozen=True)
class Version:
    """One published version. checks_run is None if no run stands behind it."""

    version: int
    snapshot_id: int
    lane: str
    as_of_date: date
    published_at: datetime
    checks_run: int | None
    failed_checks: tuple[str, ...]
    rolled_back_to: int | None
    note: str | None


def versions(person: Person | None, *, limit: int = 50) -> list[Version]:
    """Return the newest published versions, newest first."""
    access.require(person, "see_data_health")
    with stores.operations().session() as session:
        rows = session.scalars(
            sa.select(Publication).order_by(Publication.publication_id.desc()).limit(limit)
        )
        return [
            Version(
                version=row.publication_id,
                snapshot_id=row.lake_snapshot_id,
                lane=row.lane,
                as_of_date=row.as_of_date,
                published_at=row.published_at,
                checks_run=row.checks.get("run_count"),
                failed_checks=tuple(row.checks.get("failed", ())),
                rolled_back_to=row.rolled_back_to,
                note=row.note,
            )
            for row in rows
        ]
