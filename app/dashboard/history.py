"""Published versions as the data-health page reads them: which lane made them, when, and what the checks said.

What belongs here: reading. What does not: publishing and rolling back (data.operations.publications).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from app.dashboard import access, stores
from app.dashboard.identity import Person
from data.operations import erasures as erasure_service
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


@dataclass(frozen=True)
class ErasedPerson:
    """One request to erase a person. found and left count what the proof saw before and after."""

    person_kind: str
    person_id: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    found: int | None
    left: int | None


def erasures(person: Person | None, *, limit: int = 50) -> list[ErasedPerson]:
    """Return the newest erasures, newest first, by identifier: the names are gone."""
    access.require(person, "see_data_health")
    with stores.operations().session() as session:
        return [
            ErasedPerson(
                person_kind=row.person_kind,
                person_id=row.person_id,
                requested_by=row.requested_by,
                requested_at=row.requested_at,
                finished_at=row.finished_at,
                found=sum(row.proof["before"].values()) if row.proof else None,
                left=sum(row.proof["after"].values()) if row.proof else None,
            )
            for row in erasure_service.recent(session, limit=limit)
        ]
