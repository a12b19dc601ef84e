"""What flows back into the warehouse: people's decisions, as rows for raw_operations.

What belongs here: full copies with the columns of the lake's tables, instants as the lake stores them.
What does not: writing them (the lake's writer does), and words that somebody wrote: they may name a person, and
published versions are kept. Each snapshot replaces the one before.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.clock import naive_utc
from data.operations.observe import CONDITION_ENDED
from data.operations.tables import AlertEpisode, RosterEntry, User

EPISODE_COLUMNS = (
    "episode_id", "alert_key", "rule_code", "entity_type", "entity_id", "tutor_id", "customer_id", "severity",
    "status", "owner", "opened_at", "updated_at", "resolved_at", "resolution", "coach_agreed", "as_of_date",
    "snapshot_at",
)  # fmt: skip
ROSTER_COLUMNS = ("coach_email", "tutor_id", "snapshot_at")


def episodes_frame(session: Session, *, now: datetime) -> list[dict[str, Any]]:
    """Return raw_operations.alert_episodes: one row per episode, oldest first; owner is an e-mail or None."""
    query = (
        sa.select(AlertEpisode, User.email)
        .outerjoin(User, User.user_id == AlertEpisode.owner_id)
        .order_by(AlertEpisode.opened_at, AlertEpisode.episode_id)
    )
    taken_at = naive_utc(now)
    return [_episode_row(episode, owner, taken_at) for episode, owner in session.execute(query)]


def roster_frame(session: Session, *, now: datetime) -> list[dict[str, Any]]:
    """Return raw_operations.roster: one row per tutor who has an active coach, by tutor."""
    query = (
        sa.select(User.email, RosterEntry.tutor_id)
        .join(User, User.user_id == RosterEntry.coach_user_id)
        .where(User.is_active)
        .order_by(RosterEntry.tutor_id)
    )
    taken_at = naive_utc(now)
    return [
        {"coach_email": email, "tutor_id": tutor_id, "snapshot_at": taken_at}
        for email, tutor_id in session.execute(query)
    ]


def _episode_row(episode: AlertEpisode, owner: str | None, taken_at: datetime) -> dict[str, Any]:
    return {
        "episode_id": str(episode.episode_id),
        "alert_key": episode.fingerprint,
        "rule_code": episode.rule_code,
        "entity_type": episode.entity_type,
        "entity_id": episode.entity_id,
        "tutor_id": episode.tutor_id,
        "customer_id": episode.customer_id,
        "severity": episode.severity,
        "status": episode.status,
        "owner": owner,
        "opened_at": naive_utc(episode.opened_at),
        "updated_at": naive_utc(episode.updated_at),
        "resolved_at": naive_utc(episode.resolved_at) if episode.resolved_at else None,
        "resolution": _ending_of(episode),
        "coach_agreed": episode.coach_agreed,
        "as_of_date": episode.as_of_date,
        "snapshot_at": taken_at,
    }


def _ending_of(episode: AlertEpisode) -> str | None:
    if episode.resolution is None:
        return None
    return "by rule" if episode.resolution == CONDITION_ENDED else "by somebody"
