"""How mail reaches a person: the hour of their digest, what is mailed at once, what they opted out of.

What belongs here: storing and reading the choice. What does not: what follows from it (notifications).
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations.tables import SEVERITIES, Preference, Severity, User

DEFAULT_DIGEST_HOUR = 7
DEFAULT_AT_ONCE: tuple[Severity, ...] = ("critical",)


def preferences_of(session: Session, user_id: int, *, now: datetime) -> Preference:
    """Return a person's choices, or the defaults (not stored) when they made none."""
    stored = session.get(Preference, user_id)
    if stored is not None:
        return stored
    return Preference(
        user_id=user_id,
        digest_hour=DEFAULT_DIGEST_HOUR,
        at_once_severities=list(DEFAULT_AT_ONCE),
        opt_outs=[],
        updated_at=now,
    )


def save_preferences(
    session: Session,
    user_id: int,
    *,
    digest_hour: int,
    at_once: Collection[Severity],
    opt_outs: Collection[str],
    now: datetime,
) -> Preference:
    """Store a person's choices, replacing earlier ones. opt_outs are message kinds or rule codes.

    Raises ValueError for an hour outside 0 to 23, an unknown severity, or opting out of system mail.
    """
    if not 0 <= digest_hour <= 23:
        raise ValueError(f"user {user_id}: {digest_hour} is not an hour of the day")
    unknown = set(at_once) - set(SEVERITIES)
    if unknown:
        raise ValueError(f"user {user_id}: {', '.join(sorted(unknown))} is not a severity")
    if "system" in opt_outs:
        raise ValueError(f"user {user_id}: system mail cannot be opted out of")
    stored = session.get(Preference, user_id, with_for_update=True)
    if stored is None:
        stored = Preference(user_id=user_id)
        session.add(stored)
    stored.digest_hour = digest_hour
    stored.at_once_severities = sorted(set(at_once), key=SEVERITIES.index)
    stored.opt_outs = sorted(set(opt_outs))
    stored.updated_at = now
    session.flush()
    return stored


def opt_out(session: Session, email: str, what: str, *, now: datetime) -> bool:
    """Opt a person out of one kind of mail (a link in a mail does this). False when nobody has the address.

    Doing it again changes nothing. Raises ValueError for system mail.
    """
    user = session.scalars(sa.select(User).where(User.email == email.strip().lower())).one_or_none()
    if user is None:
        return False
    before = preferences_of(session, user.user_id, now=now)
    if what in before.opt_outs:
        return True
    save_preferences(
        session,
        user.user_id,
        digest_hour=before.digest_hour,
        at_once=[severity for severity in SEVERITIES if severity in before.at_once_severities],
        opt_outs=[*before.opt_outs, what],
        now=now,
    )
    return True
