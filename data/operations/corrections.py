"""What people decided about sources: corrections of their habits, what becomes of the quarantine, releases of feeds.

What belongs here: keeping and reading the decisions. What does not: what a correction does to a record
(data.contracts.corrections), and carrying a replay out (assets.ingest.replay).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.contracts import KINDS, Correction, Kind
from data.operations import audit
from data.operations.tables import CorrectionRow, FeedRelease, ReplayAction, ReplayRequest


class CorrectionNotFound(ValueError):
    """There is no such correction in force."""


def add_correction(
    session: Session, *, source: str, kind: str, correction: Correction, note: str, actor: str, now: datetime
) -> CorrectionRow:
    """Put a correction in force for a feed. Records that come from now on are mended by it, after older ones.

    The same correction twice is one.
    """
    _require_kind(kind)
    known = session.scalars(
        sa.select(CorrectionRow).where(
            CorrectionRow.retired_at.is_(None),
            CorrectionRow.source == source,
            CorrectionRow.kind == kind,
            CorrectionRow.action == correction.action,
            CorrectionRow.field == correction.field,
            CorrectionRow.old_value.is_not_distinct_from(correction.old_value),
            CorrectionRow.new_value.is_not_distinct_from(correction.new_value),
        )
    ).first()
    if known is not None:
        return known
    row = CorrectionRow(
        source=source,
        kind=kind,
        action=correction.action,
        field=correction.field,
        old_value=correction.old_value,
        new_value=correction.new_value,
        note=note,
        created_by=actor,
        created_at=now,
    )
    session.add(row)
    session.flush()
    audit.append(
        session,
        actor=actor,
        action="correction.added",
        object_name=f"correction:{row.correction_id}",
        details={
            "source": source,
            "kind": kind,
            "action": correction.action,
            "field": correction.field,
            "old_value": correction.old_value,
            "new_value": correction.new_value,
            "note": note,
        },
        now=now,
    )
    return row


def retire_correction(session: Session, correction_id: int, *, actor: str, now: datetime) -> CorrectionRow:
    """End a correction. What it mended stays. Raises CorrectionNotFound."""
    row = session.get(CorrectionRow, correction_id, with_for_update=True)
    if row is None or row.retired_at is not None:
        raise CorrectionNotFound(f"correction {correction_id} is not in force")
    row.retired_by, row.retired_at = actor, now
    audit.append(
        session,
        actor=actor,
        action="correction.retired",
        object_name=f"correction:{correction_id}",
        details={"source": row.source, "kind": row.kind, "field": row.field},
        now=now,
    )
    return row


def corrections_in_force(
    session: Session, *, source: str | None = None, kind: str | None = None
) -> list[CorrectionRow]:
    """Return the corrections in force, oldest first, of one feed or of all."""
    query = sa.select(CorrectionRow).where(CorrectionRow.retired_at.is_(None))
    if source is not None:
        query = query.where(CorrectionRow.source == source)
    if kind is not None:
        query = query.where(CorrectionRow.kind == kind)
    return list(session.scalars(query.order_by(CorrectionRow.correction_id)))


def corrections_for(session: Session, *, source: str, kind: Kind) -> tuple[Correction, ...]:
    """Return what to apply to the records of one feed, in order."""
    return tuple(
        Correction(action=row.action, field=row.field, old_value=row.old_value, new_value=row.new_value)
        for row in corrections_in_force(session, source=source, kind=kind)
    )


def request_replay(
    session: Session,
    *,
    actor: str,
    now: datetime,
    source: str | None = None,
    kind: str | None = None,
    field: str | None = None,
    reason: str | None = None,
) -> ReplayRequest:
    """Ask for quarantined records to be judged again; a sensor carries it out. The same wish twice is one."""
    where = {"source": source, "kind": kind, "field": field, "reason": reason}
    return _request(session, "replay", where, note=None, actor=actor, now=now)


def request_discard(
    session: Session,
    *,
    source: str,
    kind: str,
    note: str,
    actor: str,
    now: datetime,
    field: str | None = None,
    reason: str | None = None,
) -> ReplayRequest:
    """Ask for what waits of a feed to be given up; a sensor carries it out. What comes after now is not meant.

    Raises ValueError without a note that says why.
    """
    if not note.strip():
        raise ValueError("say why these records are given up")
    where = {"source": source, "kind": kind, "field": field, "reason": reason}
    return _request(session, "discard", where, note=note.strip(), actor=actor, now=now)


def _request(
    session: Session,
    action: ReplayAction,
    where: Mapping[str, str | None],
    *,
    note: str | None,
    actor: str,
    now: datetime,
) -> ReplayRequest:
    if where["kind"] is not None:
        _require_kind(where["kind"])
    same = [getattr(ReplayRequest, name).is_not_distinct_from(value) for name, value in where.items()]
    known = session.scalars(
        sa.select(ReplayRequest).where(
            ReplayRequest.finished_at.is_(None), ReplayRequest.action == action, *same
        )
    ).first()
    if known is not None:
        return known
    row = ReplayRequest(action=action, note=note, requested_by=actor, requested_at=now, **where)
    session.add(row)
    session.flush()
    audit.append(
        session,
        actor=actor,
        action=f"{action}.requested",
        object_name=f"replay:{row.request_id}",
        details={**where, "note": note},
        now=now,
    )
    return row


def waiting_replays(session: Session) -> list[ReplayRequest]:
    """Return the wishes about the quarantine that nobody has carried out yet, oldest first."""
    return list(
        session.scalars(
            sa.select(ReplayRequest)
            .where(ReplayRequest.finished_at.is_(None))
            .order_by(ReplayRequest.request_id)
        )
    )


def recent_replays(session: Session, *, limit: int = 20) -> list[ReplayRequest]:
    """Return the newest replays, carried out or not."""
    return list(
        session.scalars(sa.select(ReplayRequest).order_by(ReplayRequest.request_id.desc()).limit(limit))
    )


def finish_replay(session: Session, request_id: int, *, outcome: Mapping[str, Any], now: datetime) -> None:
    """Say what came of a replay. Safe to repeat: the first word stands."""
    row = session.get_one(ReplayRequest, request_id, with_for_update=True)
    if row.finished_at is None:
        row.finished_at, row.outcome = now, dict(outcome)


def release_feed(session: Session, kind: str, *, note: str, actor: str, now: datetime) -> FeedRelease:
    """Let a feed be pulled again that had failed for good."""
    _require_kind(kind)
    row = FeedRelease(kind=kind, released_by=actor, released_at=now, note=note)
    session.add(row)
    audit.append(
        session,
        actor=actor,
        action="feed.released",
        object_name=f"feed:{kind}",
        details={"note": note},
        now=now,
    )
    return row


def released_at(session: Session, kind: str) -> datetime | None:
    """Return when somebody last let a feed be pulled again."""
    return session.scalar(sa.select(sa.func.max(FeedRelease.released_at)).where(FeedRelease.kind == kind))


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; choose one of {', '.join(KINDS)}")
