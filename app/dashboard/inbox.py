"""Alerts as the pages read them: live from the operations store, within what a person may see.

What belongs here: reading episodes and their history. What does not: deciding about them (actions.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.dashboard import access, stores
from app.dashboard.identity import Person
from data.operations import episodes, users
from data.operations.tables import STATUSES, AlertEpisode, Severity, Status

CRITICAL: tuple[Severity, ...] = ("critical",)
UNSEEN: tuple[Status, ...] = ("open",)
SEVERITY_ORDER: dict[str, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3}
LIMIT = 10_000
"""More are not drawn, and the page says so: whoever has so many needs other limits in the rulebook."""


@dataclass(frozen=True)
class Alert:
    """One episode, detached from the store."""

    episode_id: uuid.UUID
    alert_key: str
    rule_code: str
    entity_type: str
    entity_id: str
    tutor_id: str | None
    customer_id: str | None
    session_id: str | None
    severity: Severity
    status: Status
    owner_id: int | None
    owner: str | None
    title: str
    evidence: dict[str, Any]
    recommended_action: str
    opened_at: datetime
    updated_at: datetime
    occurred_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None
    coach_agreed: bool | None
    publication_id: int | None
    version: int

    @property
    def is_open(self) -> bool:
        """Return whether anything is left to do."""
        return self.status not in {"resolved", "dismissed"}


@dataclass(frozen=True)
class Event:
    """One line of an alert's history."""

    kind: str
    actor: str
    at: datetime
    details: dict[str, Any]


def alerts(
    person: Person | None,
    *,
    statuses: Collection[Status] = STATUSES,
    severities: Collection[Severity] | None = None,
    tutor_id: str | None = None,
    customer_id: str | None = None,
    opened_since: datetime | None = None,
) -> list[Alert]:
    """Return up to LIMIT alerts, worst first, then newest; a coach gets those of their own tutors only."""
    allowed = access.require(person, "see_alerts")
    tutors = allowed.roster
    if tutor_id is not None:
        tutors = frozenset({tutor_id}) if tutors is None else tutors & {tutor_id}
    with stores.operations().session() as session:
        found = episodes.list_episodes(
            session,
            statuses=statuses,
            severities=severities,
            tutor_ids=tutors,
            customer_id=customer_id,
            opened_since=opened_since,
            limit=LIMIT,
        )
        names = {user.user_id: user.name for user in users.list_users(session, only_active=False)}
        return [_detached(episode, names, allowed) for episode in found]


def alert(person: Person | None, episode_id: str) -> tuple[Alert, list[Event]] | None:
    """Return one alert with its history, or None when there is none that this person may see."""
    allowed = access.require(person, "see_alerts")
    try:
        wanted = uuid.UUID(episode_id)
    except ValueError:
        return None
    with stores.operations().session() as session:
        names = {user.user_id: user.name for user in users.list_users(session, only_active=False)}
        try:
            episode = episodes.episode_of(session, wanted)
        except episodes.EpisodeNotFound:
            return None
        if allowed.roster is not None and episode.tutor_id not in allowed.roster:
            return None
        events = [
            Event(event.kind, _actor_name(event.actor, names, allowed), event.at, event.details)
            for event in episodes.history_of(session, wanted)
        ]
        return _detached(episode, names, allowed), events


def criticals(person: Person | None, *, statuses: Collection[Status]) -> list[Alert]:
    """Return the critical alerts that stand so, newest first."""
    return alerts(person, statuses=statuses, severities=CRITICAL)


def urgent(person: Person | None, *, limit: int = 3) -> list[Alert]:
    """Return the most urgent criticals that nobody has acknowledged."""
    return criticals(person, statuses=UNSEEN)[:limit]


def opened_within(person: Person | None, *, days: int) -> list[Alert]:
    """Return every alert opened in the last so many days, whatever became of it."""
    return alerts(person, opened_since=stores.clock().now() - timedelta(days=days))


def _detached(episode: AlertEpisode, names: dict[int, str], person: Person) -> Alert:
    owner = names.get(episode.owner_id) if episode.owner_id is not None else None
    return Alert(
        episode_id=episode.episode_id,
        alert_key=episode.fingerprint,
        rule_code=episode.rule_code,
        entity_type=episode.entity_type,
        entity_id=episode.entity_id,
        tutor_id=episode.tutor_id,
        customer_id=episode.customer_id,
        session_id=episode.session_id,
        severity=episode.severity,
        status=episode.status,
        owner_id=episode.owner_id,
        owner=_staff_name(owner, person),
        title=episode.title,
        evidence=dict(episode.evidence),
        recommended_action=episode.recommended_action,
        opened_at=episode.opened_at,
        updated_at=episode.updated_at,
        occurred_at=episode.occurred_at,
        acknowledged_at=episode.acknowledged_at,
        resolved_at=episode.resolved_at,
        resolution=episode.resolution,
        coach_agreed=episode.coach_agreed,
        publication_id=episode.publication_id,
        version=episode.version,
    )


def _staff_name(name: str | None, person: Person) -> str | None:
    if name is None:
        return None
    return name if access.may(person, "see_names") else "somebody"


def _actor_name(actor: str, names: dict[int, str], person: Person) -> str:
    kind, _, number = actor.partition(":")
    if kind == "user" and number.isdigit():
        return _staff_name(names.get(int(number)), person) or "somebody"
    return "a rule" if actor == "rules" else actor
