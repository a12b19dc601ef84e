"""Publications: which lake snapshot readers use, and the hold that keeps lanes off after a rollback.

What belongs here: the pointer. What does not: the checks in front of it, the lake itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.tables import Publication, PublicationHold


class PublicationNotFound(LookupError):
    """No such publication."""


@dataclass(frozen=True)
class Held:
    """Why nothing was published: somebody holds the pointer, or readers already see something newer."""

    reason: Literal["on_hold", "older_than_published"]
    text: str


def publish(
    session: Session,
    *,
    snapshot_id: int,
    lane: str,
    as_of_date: date,
    checks: Mapping[str, Any],
    now: datetime,
    note: str | None = None,
) -> Publication | Held:
    """Point readers at a lake snapshot. One new row, or Held with nothing recorded.

    Publishing what the same lane just published returns that row again. A lane that finishes late with an
    older snapshot than the published one is held, so that readers never go back unasked.
    """
    _one_at_a_time(session)
    held = _why_held(session, snapshot_id=snapshot_id, lane=lane)
    if held is not None:
        return held
    latest = current(session)
    cause = (snapshot_id, lane, as_of_date)
    if latest is not None and (latest.lake_snapshot_id, latest.lane, latest.as_of_date) == cause:
        return latest
    row = Publication(
        lake_snapshot_id=snapshot_id,
        lane=lane,
        as_of_date=as_of_date,
        published_at=now,
        checks=dict(checks),
        note=note,
    )
    session.add(row)
    session.flush()
    return row


def current(session: Session) -> Publication | None:
    """Return the version readers use, or None before the first publication."""
    return session.scalars(
        sa.select(Publication).order_by(Publication.publication_id.desc()).limit(1)
    ).one_or_none()


def publication(session: Session, publication_id: int) -> Publication:
    """Return one version. Raises PublicationNotFound."""
    row = session.get(Publication, publication_id)
    if row is None:
        raise PublicationNotFound(f"there is no published version {publication_id}")
    return row


def history(session: Session, *, limit: int) -> Sequence[Publication]:
    """Return publications, newest first."""
    return session.scalars(
        sa.select(Publication).order_by(Publication.publication_id.desc()).limit(limit)
    ).all()


def rollback(
    session: Session, publication_id: int, *, actor: str, now: datetime, reason: str = "rollback"
) -> Publication:
    """Point readers at an older version's snapshot again, and hold the lanes off.

    Inserts a new row, since versions only move forward. Raises PublicationNotFound; raises ValueError when
    the version is the one readers already use.
    """
    _one_at_a_time(session)
    target = publication(session, publication_id)
    latest = current(session)
    if latest is not None and latest.lake_snapshot_id == target.lake_snapshot_id:
        raise ValueError(
            f"version {publication_id} is what readers already see (version {latest.publication_id})"
        )
    row = Publication(
        lake_snapshot_id=target.lake_snapshot_id,
        lane=target.lane,
        as_of_date=target.as_of_date,
        published_at=now,
        checks=target.checks,
        rolled_back_to=target.publication_id,
        note=reason,
    )
    session.add(row)
    session.flush()
    _replace_hold(session, row.publication_id, actor=actor, now=now, reason=reason)
    audit.append(
        session,
        actor=actor,
        action="publication.rolled_back",
        object_name=f"publication:{row.publication_id}",
        details={"rolled_back_to": publication_id, "snapshot_id": target.lake_snapshot_id, "reason": reason},
        now=now,
    )
    return row


def hold_in_force(session: Session) -> PublicationHold | None:
    """Return the hold that keeps lanes from publishing, if any."""
    return session.scalars(
        sa.select(PublicationHold).where(PublicationHold.released_at.is_(None))
    ).one_or_none()


def release_hold(session: Session, *, actor: str, now: datetime) -> PublicationHold | None:
    """Let lanes publish again. Returns the hold that was released, or None when there was none."""
    _one_at_a_time(session)
    hold = hold_in_force(session)
    if hold is None:
        return None
    hold.released_by, hold.released_at = actor, now
    audit.append(
        session,
        actor=actor,
        action="publication.hold_released",
        object_name=f"publication:{hold.publication_id}",
        details={"hold_id": hold.hold_id},
        now=now,
    )
    return hold


def retained_snapshots(
    session: Session, *, now: datetime, keep_all: timedelta, keep_daily: timedelta
) -> list[int]:
    """Return the lake snapshots that upkeep must not expire, ascending.

    Every version published within keep_all, the last one of each as_of_date within keep_daily, and always
    the current one.
    """
    last_of_day = (
        sa.select(sa.func.max(Publication.publication_id))
        .where(Publication.published_at >= now - keep_daily)
        .group_by(Publication.as_of_date)
    )
    latest = sa.select(sa.func.max(Publication.publication_id)).scalar_subquery()
    kept = sa.select(Publication.lake_snapshot_id).where(
        sa.or_(
            Publication.published_at >= now - keep_all,
            Publication.publication_id.in_(last_of_day),
            Publication.publication_id == latest,
        )
    )
    return sorted(set(session.scalars(kept)))


def _why_held(session: Session, *, snapshot_id: int, lane: str) -> Held | None:
    hold = hold_in_force(session)
    if hold is not None:
        return Held(
            "on_hold",
            f"version {hold.publication_id} is held by {hold.placed_by} since "
            f"{hold.placed_at:%Y-%m-%d %H:%M} UTC ({hold.reason}); release the hold to publish again",
        )
    newest = session.scalar(sa.select(sa.func.max(Publication.lake_snapshot_id)))
    if newest is not None and snapshot_id < newest:
        return Held(
            "older_than_published",
            f"snapshot {snapshot_id} of lane {lane} is older than published snapshot {newest}",
        )
    return None


def _replace_hold(session: Session, publication_id: int, *, actor: str, now: datetime, reason: str) -> None:
    earlier = hold_in_force(session)
    if earlier is not None:
        earlier.released_by, earlier.released_at = actor, now
        session.flush()
    session.add(PublicationHold(publication_id=publication_id, placed_by=actor, placed_at=now, reason=reason))
    session.flush()


def _one_at_a_time(session: Session) -> None:
    # Identity values are handed out before commit: without this, version 8 could become visible before 7.
    session.execute(sa.text("select pg_advisory_xact_lock(hashtext('chalkline.publish'))"))
