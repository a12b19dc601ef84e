"""Observing: turns the alert candidates of one published version into opened, changed and closed episodes.

What belongs here: which candidate opens what, cooldown, baseline, closing by itself. What does not: what a
candidate is (marts), thresholds and cooldowns (the rulebook, handed in), the wording of mail (compose).
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from data.operations.outbox import OutboxMessage, enqueue
from data.operations.tables import (
    SEVERITIES,
    STILL_OPEN,
    AlertBaseline,
    AlertEpisode,
    EpisodeEvent,
    EventKind,
    Severity,
)

ENGINE = "rules"
"""Actor of everything that happens by rule."""
CHUNK = 500
"""Rows per insert statement."""
CONDITION_ENDED = "The condition no longer holds."
"""Resolution of what closed by itself."""


@dataclass(frozen=True)
class Rule:
    """One row of the rulebook. An event happened once; a condition holds until it no longer does."""

    rule_code: str
    title: str
    severity: Severity
    kind: Literal["event", "condition"]
    cooldown_hours: float
    audience: Literal["coach", "operator", "engineer"]
    recommended_action: str


@dataclass(frozen=True)
class Candidate:
    """One row of marts.fct_alert_candidates: what a rule found, with its evidence."""

    alert_key: str
    rule_code: str
    entity_type: str
    entity_id: str
    severity: Severity
    evidence: Mapping[str, Any]
    tutor_id: str | None = None
    customer_id: str | None = None
    session_id: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class EpisodeChange:
    """One thing that happened to an episode in this pass, as compose gets to see it."""

    kind: EventKind
    episode: AlertEpisode
    rule: Rule
    previous_severity: Severity | None = None


@dataclass(frozen=True)
class ObserveReport:
    """What one pass did. held: fingerprints inside their cooldown; queued: new mails in the outbox."""

    changes: tuple[EpisodeChange, ...]
    held: tuple[str, ...]
    unchanged: int
    queued: int

    def count(self, kind: EventKind) -> int:
        """Return how many changes were of one kind."""
        return sum(change.kind == kind for change in self.changes)


Compose = Callable[[Sequence[EpisodeChange]], Sequence[OutboxMessage]]
"""Makes the mails of one pass. It sees all changes at once, so that it can make one mail of a burst."""


@dataclass(frozen=True)
class _Pass:
    session: Session
    rules: Mapping[str, Rule]
    as_of_date: date
    publication_id: int | None
    now: datetime
    baseline: frozenset[str]


def observe(
    session: Session,
    candidates: Sequence[Candidate],
    rules: Mapping[str, Rule],
    *,
    as_of_date: date,
    publication_id: int | None,
    now: datetime,
    compose: Compose,
    is_partial: bool = False,
) -> ObserveReport:
    """Bring the episodes in line with what the rules found, and queue the mails, in one transaction.

    rules are those that were evaluated; candidates are everything they found. A partial pass (one webhook's
    session) opens and updates only: it closes nothing and is nobody's baseline. The same candidates again
    change nothing. Raises ValueError naming the alert key of a candidate that cannot be stored, and of one
    whose rule is not among the rules.
    """
    by_key = _checked(candidates, rules)
    # One observer at a time: what is known about a fingerprint must still hold when it is opened.
    session.execute(sa.text("select pg_advisory_xact_lock(hashtext('chalkline.observe'))"))
    baseline = frozenset() if is_partial else _first_time(session, rules, as_of_date=as_of_date, now=now)
    this = _Pass(session, rules, as_of_date, publication_id, now, baseline)
    standing = _standing_episodes(this, by_key, is_partial=is_partial)
    changes = _refresh(this, standing, by_key)
    if not is_partial:
        changes += _close_what_ended(this, standing, by_key)
        changes += _wake_snoozed(this, standing)
    changed = {change.episode.fingerprint for change in changes}
    opened, held = _open_new(this, standing, by_key)
    changes += opened
    session.flush()
    mails = compose(changes) if changes else ()
    queued = sum(enqueue(session, mail, now=now) for mail in mails)
    unchanged = len((standing.keys() & by_key.keys()) - changed)
    return ObserveReport(tuple(changes), tuple(held), unchanged, queued)


def _checked(candidates: Iterable[Candidate], rules: Mapping[str, Rule]) -> dict[str, Candidate]:
    by_key: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.alert_key in by_key:
            raise ValueError(f"alert candidate {candidate.alert_key} comes twice in one pass")
        if candidate.rule_code not in rules:
            raise ValueError(
                f"alert candidate {candidate.alert_key} is of rule {candidate.rule_code!r}, "
                "which is not among the rules that were evaluated"
            )
        if candidate.severity not in SEVERITIES:
            raise ValueError(f"alert candidate {candidate.alert_key} has severity {candidate.severity!r}")
        by_key[candidate.alert_key] = candidate
    return dict(sorted(by_key.items()))


def _first_time(
    session: Session, rules: Mapping[str, Rule], *, as_of_date: date, now: datetime
) -> frozenset[str]:
    if not rules:
        return frozenset()
    rows = [{"rule_code": code, "as_of_date": as_of_date, "observed_at": now} for code in sorted(rules)]
    statement = insert(AlertBaseline).values(rows).on_conflict_do_nothing().returning(AlertBaseline.rule_code)
    return frozenset(session.scalars(statement))


def _standing_episodes(
    this: _Pass, by_key: Mapping[str, Candidate], *, is_partial: bool
) -> dict[str, AlertEpisode]:
    """Open episodes of the candidates and, in a whole pass, of the rules; locked, as people act meanwhile."""
    concerned: sa.ColumnElement[bool] = AlertEpisode.fingerprint.in_(list(by_key))
    if not is_partial:
        concerned = sa.or_(concerned, AlertEpisode.rule_code.in_(list(this.rules)))
    query = (
        sa.select(AlertEpisode)
        .where(AlertEpisode.status.in_(STILL_OPEN), concerned)
        .order_by(AlertEpisode.fingerprint)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {episode.fingerprint: episode for episode in this.session.scalars(query)}


def _refresh(
    this: _Pass, standing: Mapping[str, AlertEpisode], by_key: Mapping[str, Candidate]
) -> list[EpisodeChange]:
    changes: list[EpisodeChange] = []
    for key, candidate in by_key.items():
        episode = standing.get(key)
        # A replay of an older day must not overwrite what a newer one found.
        if episode is None or this.as_of_date < episode.as_of_date:
            continue
        episode.last_seen_at, episode.as_of_date = this.now, this.as_of_date
        evidence = _storable(candidate)
        if evidence != episode.evidence or candidate.severity != episode.severity:
            changes.append(_update(this, episode, candidate, evidence))
    return changes


def _update(
    this: _Pass, episode: AlertEpisode, candidate: Candidate, evidence: dict[str, Any]
) -> EpisodeChange:
    before = episode.severity
    is_worse = SEVERITIES.index(candidate.severity) > SEVERITIES.index(before)
    episode.evidence, episode.severity = evidence, candidate.severity
    episode.publication_id, episode.updated_at = this.publication_id, this.now
    details: dict[str, Any] = {"evidence": evidence}
    if candidate.severity != before:
        details["severity"] = {"from": before, "to": candidate.severity}
    if is_worse:
        # The version guards people's decisions; fresh numbers alone do not make a decision stale.
        episode.version += 1
        if episode.status == "snoozed":
            episode.status, episode.snoozed_until = "open", None
            details["woken"] = True
    kind: EventKind = "severity_raised" if is_worse else "updated"
    return _record(this, episode, kind, details, previous_severity=before)


def _close_what_ended(
    this: _Pass, standing: Mapping[str, AlertEpisode], by_key: Mapping[str, Candidate]
) -> list[EpisodeChange]:
    changes = []
    for key, episode in standing.items():
        rule = this.rules.get(episode.rule_code)
        if rule is None or rule.kind != "condition" or key in by_key or this.as_of_date < episode.as_of_date:
            continue
        details = {"from": episode.status, "as_of_date": this.as_of_date.isoformat()}
        episode.status, episode.resolved_at, episode.updated_at = "resolved", this.now, this.now
        episode.resolution, episode.snoozed_until = CONDITION_ENDED, None
        episode.version += 1
        changes.append(_record(this, episode, "auto_resolved", details))
    return changes


def _wake_snoozed(this: _Pass, standing: Mapping[str, AlertEpisode]) -> list[EpisodeChange]:
    changes = []
    for episode in standing.values():
        if episode.status != "snoozed" or episode.snoozed_until is None or episode.snoozed_until > this.now:
            continue
        details = {"from": "snoozed", "until": episode.snoozed_until.isoformat()}
        episode.status, episode.snoozed_until, episode.updated_at = "open", None, this.now
        episode.version += 1
        changes.append(_record(this, episode, "reopened", details))
    return changes


def _open_new(
    this: _Pass, standing: Mapping[str, AlertEpisode], by_key: Mapping[str, Candidate]
) -> tuple[list[EpisodeChange], list[str]]:
    missing = {key: candidate for key, candidate in by_key.items() if key not in standing}
    closed_at = _last_closed(this.session, missing)
    rows, held = [], []
    for key, candidate in missing.items():
        rule, closed = this.rules[candidate.rule_code], closed_at.get(key)
        if closed is None:
            rows.append(_row(this, candidate, rule))
        elif rule.kind == "condition":
            if this.now - closed >= timedelta(hours=rule.cooldown_hours):
                rows.append(_row(this, candidate, rule))
            else:
                held.append(key)
        # An event that was dealt with happened once: it never opens again.
    changes = []
    for episode in _insert(this.session, rows):
        details = {"severity": episode.severity, "evidence": episode.evidence}
        changes.append(_record(this, episode, "opened", details))
    return changes, held


def _last_closed(session: Session, keys: Iterable[str]) -> dict[str, datetime]:
    query = (
        sa.select(AlertEpisode.fingerprint, sa.func.max(AlertEpisode.resolved_at))
        .where(AlertEpisode.fingerprint.in_(list(keys)), AlertEpisode.resolved_at.is_not(None))
        .group_by(AlertEpisode.fingerprint)
    )
    return {fingerprint: closed for fingerprint, closed in session.execute(query)}


def _row(this: _Pass, candidate: Candidate, rule: Rule) -> dict[str, Any]:
    return {
        "episode_id": uuid.uuid4(),
        "fingerprint": candidate.alert_key,
        "rule_code": candidate.rule_code,
        "entity_type": candidate.entity_type,
        "entity_id": candidate.entity_id,
        "tutor_id": candidate.tutor_id,
        "customer_id": candidate.customer_id,
        "session_id": candidate.session_id,
        "severity": candidate.severity,
        "status": "open",
        "title": rule.title,
        "evidence": _storable(candidate),
        "recommended_action": rule.recommended_action,
        "occurred_at": candidate.occurred_at,
        "opened_at": this.now,
        "updated_at": this.now,
        "last_seen_at": this.now,
        "as_of_date": this.as_of_date,
        "publication_id": this.publication_id,
        "is_baseline": candidate.rule_code in this.baseline,
        "version": 1,
    }


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> list[AlertEpisode]:
    """Open what is not open yet. The partial unique index has the last word, also against a reopening."""
    opened: list[AlertEpisode] = []
    for at in range(0, len(rows), CHUNK):
        statement = (
            insert(AlertEpisode)
            .values(list(rows[at : at + CHUNK]))
            .on_conflict_do_nothing(
                index_elements=["fingerprint"],
                index_where=sa.text("status not in ('resolved', 'dismissed')"),
            )
            .returning(AlertEpisode)
        )
        opened.extend(session.scalars(statement))
    return sorted(opened, key=lambda episode: episode.fingerprint)


def _record(
    this: _Pass,
    episode: AlertEpisode,
    kind: EventKind,
    details: dict[str, Any],
    *,
    previous_severity: Severity | None = None,
) -> EpisodeChange:
    told = {**details, "publication_id": this.publication_id}
    this.session.add(
        EpisodeEvent(episode_id=episode.episode_id, kind=kind, actor=ENGINE, at=this.now, details=told)
    )
    return EpisodeChange(kind, episode, this.rules[episode.rule_code], previous_severity)


def _storable(candidate: Candidate) -> dict[str, Any]:
    try:
        text = json.dumps(dict(candidate.evidence), default=str, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"the evidence of {candidate.alert_key} cannot be stored: {error}") from error
    if "\\u0000" in text:
        raise ValueError(f"the evidence of {candidate.alert_key} cannot be stored: it contains a NUL")
    return json.loads(text)
