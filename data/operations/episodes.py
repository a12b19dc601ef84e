"""Alert episodes: the life of an alert after it was opened, and what people may do with it.

What belongs here: the table of legal transitions, the actions, reading episodes back. What does not:
opening and closing by rule (observe.py), who may act on which episode (the caller checks role and roster).
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.tables import (
    CLOSED,
    SEVERITIES,
    STATUSES,
    STILL_OPEN,
    AlertEpisode,
    EpisodeEvent,
    EventKind,
    Severity,
    Status,
    User,
)

Action = Literal["acknowledge", "start", "snooze", "resolve", "dismiss", "reopen"]


@dataclass(frozen=True)
class Transition:
    """One legal move: from which statuses, to which, and the event it leaves behind."""

    allowed_from: frozenset[Status]
    to: Status
    event: EventKind


TRANSITIONS: Mapping[Action, Transition] = {
    "acknowledge": Transition(frozenset({"open", "snoozed"}), "acknowledged", "acknowledged"),
    "start": Transition(frozenset({"open", "acknowledged", "snoozed"}), "in_progress", "started"),
    "snooze": Transition(frozenset({"open", "acknowledged", "in_progress"}), "snoozed", "snoozed"),
    "resolve": Transition(STILL_OPEN, "resolved", "resolved"),
    "dismiss": Transition(STILL_OPEN, "dismissed", "dismissed"),
    "reopen": Transition(CLOSED, "open", "reopened"),
}


class EpisodeNotFound(LookupError):
    """No such episode."""


class IllegalTransition(ValueError):
    """The episode cannot make this move from where it is."""


class VersionConflict(RuntimeError):
    """Somebody changed the episode since it was read."""


def allowed_actions(status: Status) -> tuple[Action, ...]:
    """Return what can be done with an episode in this status."""
    return tuple(action for action, move in TRANSITIONS.items() if status in move.allowed_from)


def acknowledge(
    session: Session, episode_id: uuid.UUID, *, version: int, actor: str, now: datetime
) -> AlertEpisode:
    """Say that somebody has seen it. Raises EpisodeNotFound, VersionConflict, IllegalTransition."""
    episode = _move(session, episode_id, "acknowledge", version=version, actor=actor, now=now, details={})
    episode.acknowledged_at = episode.acknowledged_at or now
    return episode


def start(
    session: Session, episode_id: uuid.UUID, *, version: int, actor: str, now: datetime
) -> AlertEpisode:
    """Say that somebody works on it. Raises EpisodeNotFound, VersionConflict, IllegalTransition."""
    episode = _move(session, episode_id, "start", version=version, actor=actor, now=now, details={})
    episode.acknowledged_at = episode.acknowledged_at or now
    return episode


def snooze(
    session: Session, episode_id: uuid.UUID, *, until: datetime, version: int, actor: str, now: datetime
) -> AlertEpisode:
    """Put it away until an instant; it comes back by itself then, or earlier when it gets worse.

    Raises ValueError when the instant is not in the future; otherwise as acknowledge.
    """
    if until <= now:
        raise ValueError(f"episode {episode_id} cannot be snoozed until {until.isoformat()}: that is past")
    details = {"until": until.isoformat()}
    episode = _load(session, episode_id, version=version)
    episode.snoozed_until = until
    return _apply(session, episode, "snooze", actor=actor, now=now, details=details)


def resolve(
    session: Session,
    episode_id: uuid.UUID,
    *,
    notes: str,
    coach_agreed: bool | None = None,
    version: int,
    actor: str,
    now: datetime,
) -> AlertEpisode:
    """Close it as dealt with. coach_agreed says whether the alert was right; None means no answer.

    Raises as acknowledge.
    """
    return _close(
        session,
        episode_id,
        "resolve",
        notes,
        coach_agreed=coach_agreed,
        version=version,
        actor=actor,
        now=now,
    )


def dismiss(
    session: Session,
    episode_id: uuid.UUID,
    *,
    reason: str,
    coach_agreed: bool | None = None,
    version: int,
    actor: str,
    now: datetime,
) -> AlertEpisode:
    """Close it as not worth acting on. Raises ValueError without a reason; otherwise as acknowledge."""
    if not reason.strip():
        raise ValueError(f"episode {episode_id} can only be dismissed with a reason")
    return _close(
        session,
        episode_id,
        "dismiss",
        reason,
        coach_agreed=coach_agreed,
        version=version,
        actor=actor,
        now=now,
    )


def reopen(
    session: Session, episode_id: uuid.UUID, *, reason: str, version: int, actor: str, now: datetime
) -> AlertEpisode:
    """Take a closed episode up again.

    Raises IllegalTransition also when a newer episode of the same alert is already open.
    """
    episode = _load(session, episode_id, version=version)
    newer = session.scalars(
        sa.select(AlertEpisode.episode_id).where(
            AlertEpisode.fingerprint == episode.fingerprint, AlertEpisode.status.in_(STILL_OPEN)
        )
    ).first()
    if newer is not None and newer != episode_id:
        raise IllegalTransition(
            f"episode {episode_id} cannot be reopened: episode {newer} of the same alert is already open"
        )
    details = {"reason": reason, "resolution": episode.resolution, "coach_agreed": episode.coach_agreed}
    episode = _apply(session, episode, "reopen", actor=actor, now=now, details=details)
    episode.acknowledged_at = None
    return episode


def assign(
    session: Session, episode_id: uuid.UUID, *, owner_id: int | None, version: int, actor: str, now: datetime
) -> AlertEpisode:
    """Give an open episode to an active person, or to nobody. Escalation is assigning to somebody else.

    Raises ValueError for an unknown or inactive person; otherwise as acknowledge.
    """
    episode = _load(session, episode_id, version=version)
    if episode.status in CLOSED:
        raise IllegalTransition(
            f"episode {episode_id} is {episode.status} and cannot be assigned; allowed: reopen"
        )
    if owner_id is not None:
        owner = session.get(User, owner_id)
        if owner is None or not owner.is_active:
            raise ValueError(f"episode {episode_id} cannot be assigned: user {owner_id} is not active")
    details = {"from": episode.owner_id, "to": owner_id}
    episode.owner_id = owner_id
    _touch(episode, now)
    _record(session, episode, "assigned", actor=actor, now=now, details=details)
    return episode


def add_note(session: Session, episode_id: uuid.UUID, *, text: str, actor: str, now: datetime) -> None:
    """Leave a note in the history. Needs no version, since it overwrites nothing. Raises EpisodeNotFound."""
    if not text.strip():
        raise ValueError(f"the note on episode {episode_id} is empty")
    _record(session, episode_of(session, episode_id), "note", actor=actor, now=now, details={"text": text})


def episode_of(session: Session, episode_id: uuid.UUID) -> AlertEpisode:
    """Return one episode. Raises EpisodeNotFound."""
    episode = session.get(AlertEpisode, episode_id)
    if episode is None:
        raise EpisodeNotFound(f"there is no alert episode {episode_id}")
    return episode


def list_episodes(
    session: Session,
    *,
    statuses: Collection[Status] = tuple(STILL_OPEN),
    severities: Collection[Severity] | None = None,
    tutor_ids: Collection[str] | None = None,
    customer_id: str | None = None,
    opened_since: datetime | None = None,
    closed_since: datetime | None = None,
    limit: int | None = None,
) -> Sequence[AlertEpisode]:
    """Return episodes, worst first and newest first within a severity; all of them unless a limit is given.

    tutor_ids is a coach's roster: an empty one answers nothing; None means everybody's.
    """
    worst_first = sa.case({word: rank for rank, word in enumerate(SEVERITIES)}, value=AlertEpisode.severity)
    query = sa.select(AlertEpisode).where(AlertEpisode.status.in_(list(statuses)))
    if tutor_ids is not None:
        query = query.where(AlertEpisode.tutor_id.in_(list(tutor_ids)))
    if severities is not None:
        query = query.where(AlertEpisode.severity.in_(list(severities)))
    if customer_id is not None:
        query = query.where(AlertEpisode.customer_id == customer_id)
    if opened_since is not None:
        query = query.where(AlertEpisode.opened_at >= opened_since)
    if closed_since is not None:
        query = query.where(AlertEpisode.resolved_at >= closed_since)
    ordered = query.order_by(worst_first.desc(), AlertEpisode.opened_at.desc(), AlertEpisode.episode_id)
    return session.scalars(ordered.limit(limit)).all()


def history_of(session: Session, episode_id: uuid.UUID) -> Sequence[EpisodeEvent]:
    """Return what happened to an episode, oldest first."""
    return session.scalars(
        sa.select(EpisodeEvent).where(EpisodeEvent.episode_id == episode_id).order_by(EpisodeEvent.event_id)
    ).all()


def count_by_status(session: Session) -> dict[Status, int]:
    """Return how many episodes are in each status, zero included."""
    counted = dict.fromkeys(STATUSES, 0)
    grouped = sa.select(AlertEpisode.status, sa.func.count()).group_by(AlertEpisode.status)
    for status, number in session.execute(grouped):
        counted[status] = number
    return counted


def _close(
    session: Session,
    episode_id: uuid.UUID,
    action: Literal["resolve", "dismiss"],
    resolution: str,
    *,
    coach_agreed: bool | None,
    version: int,
    actor: str,
    now: datetime,
) -> AlertEpisode:
    episode = _load(session, episode_id, version=version)
    details = {"resolution": resolution, "coach_agreed": coach_agreed}
    episode = _apply(session, episode, action, actor=actor, now=now, details=details)
    episode.resolution, episode.coach_agreed = resolution, coach_agreed
    return episode


def _move(
    session: Session,
    episode_id: uuid.UUID,
    action: Action,
    *,
    version: int,
    actor: str,
    now: datetime,
    details: Mapping[str, Any],
) -> AlertEpisode:
    episode = _load(session, episode_id, version=version)
    return _apply(session, episode, action, actor=actor, now=now, details=details)


def _load(session: Session, episode_id: uuid.UUID, *, version: int) -> AlertEpisode:
    episode = session.get(AlertEpisode, episode_id, with_for_update=True, populate_existing=True)
    if episode is None:
        raise EpisodeNotFound(f"there is no alert episode {episode_id}")
    if episode.version != version:
        raise VersionConflict(
            f"episode {episode_id} changed since it was read: it is {episode.status} at version "
            f"{episode.version}, not {version}; read it again"
        )
    return episode


def _apply(
    session: Session,
    episode: AlertEpisode,
    action: Action,
    *,
    actor: str,
    now: datetime,
    details: Mapping[str, Any],
) -> AlertEpisode:
    move = TRANSITIONS[action]
    if episode.status not in move.allowed_from:
        allowed = ", ".join(allowed_actions(episode.status))
        session.expire(episode)
        raise IllegalTransition(
            f"episode {episode.episode_id} cannot go from {episode.status} to {move.to}; allowed: {allowed}"
        )
    before = episode.status
    episode.status = move.to
    episode.resolved_at = now if move.to in CLOSED else None
    episode.snoozed_until = episode.snoozed_until if move.to == "snoozed" else None
    if before in CLOSED:
        episode.resolution = episode.coach_agreed = None
    _touch(episode, now)
    told = {"from": before, **details}
    _record(session, episode, move.event, actor=actor, now=now, details=told)
    return episode


def _touch(episode: AlertEpisode, now: datetime) -> None:
    episode.version += 1
    episode.updated_at = now


def _record(
    session: Session,
    episode: AlertEpisode,
    kind: EventKind,
    *,
    actor: str,
    now: datetime,
    details: Mapping[str, Any],
) -> None:
    session.add(
        EpisodeEvent(episode_id=episode.episode_id, kind=kind, actor=actor, at=now, details=dict(details))
    )
    audit.append(
        session,
        actor=actor,
        action=f"episode.{kind}",
        object_name=f"episode:{episode.episode_id}",
        details=details,
        now=now,
    )
