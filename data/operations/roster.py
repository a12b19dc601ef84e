"""The roster: which coach looks after which tutor. A tutor has at most one coach.

What belongs here: assigning and asking. What does not: scoping a page by it (the caller does).
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.tables import RosterEntry, User


def assign(
    session: Session, tutor_ids: Collection[str], *, coach_id: int | None, actor: str, now: datetime
) -> int:
    """Give tutors to a coach, or to nobody (None). Returns how many changed; the same again changes nothing.

    Raises ValueError when the person is unknown, inactive, or not a coach.
    """
    if coach_id is not None:
        coach = session.get(User, coach_id)
        if coach is None or not coach.is_active or coach.role != "coach":
            raise ValueError(f"user {coach_id} is not an active coach")
    changed = _release(session, tutor_ids) if coach_id is None else _give(session, tutor_ids, coach_id, now)
    if changed:
        audit.append(
            session,
            actor=actor,
            action="roster.assigned",
            object_name=f"user:{coach_id}" if coach_id is not None else "roster",
            details={"tutor_ids": changed},
            now=now,
        )
    return len(changed)


def coach_of(session: Session, tutor_id: str) -> User | None:
    """Return the active coach of a tutor, if any."""
    return coaches_of(session, [tutor_id]).get(tutor_id)


def coaches_of(session: Session, tutor_ids: Collection[str]) -> dict[str, User]:
    """Return the active coach of each of these tutors who has one."""
    query = (
        sa.select(RosterEntry.tutor_id, User)
        .join(User, User.user_id == RosterEntry.coach_user_id)
        .where(RosterEntry.tutor_id.in_(list(tutor_ids)), User.is_active)
    )
    return {tutor_id: user for tutor_id, user in session.execute(query)}


def tutors_of(session: Session, coach_id: int) -> list[str]:
    """Return the tutors of a coach, by id."""
    query = sa.select(RosterEntry.tutor_id).where(RosterEntry.coach_user_id == coach_id)
    return list(session.scalars(query.order_by(RosterEntry.tutor_id)))


def _give(session: Session, tutor_ids: Collection[str], coach_id: int, now: datetime) -> list[str]:
    if not tutor_ids:
        return []
    rows = [{"tutor_id": one, "coach_user_id": coach_id, "since": now} for one in sorted(set(tutor_ids))]
    statement = insert(RosterEntry).values(rows)
    statement = statement.on_conflict_do_update(
        index_elements=["tutor_id"],
        set_={"coach_user_id": statement.excluded.coach_user_id, "since": statement.excluded.since},
        where=RosterEntry.coach_user_id != coach_id,
    )
    return sorted(session.execute(statement.returning(RosterEntry.tutor_id)).scalars())


def _release(session: Session, tutor_ids: Collection[str]) -> list[str]:
    statement = sa.delete(RosterEntry).where(RosterEntry.tutor_id.in_(list(tutor_ids)))
    return sorted(session.execute(statement.returning(RosterEntry.tutor_id)).scalars())
