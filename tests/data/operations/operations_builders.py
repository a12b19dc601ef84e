"""Small things that operations tests are made of, each with a sensible default."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from data.operations.observe import Candidate, EpisodeChange, ObserveReport, Rule, observe
from data.operations.outbox import OutboxMessage
from data.operations.store import Operations
from data.operations.tables import AlertEpisode, Severity

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = date(2026, 3, 2)


def a_rule(rule_code: str = "tutor_health_low", **changes: Any) -> Rule:
    rule = Rule(
        rule_code=rule_code,
        title="Tutor health is low",
        severity="high",
        kind="condition",
        cooldown_hours=24,
        audience="coach",
        recommended_action="Call the tutor and go through the last five sessions.",
    )
    return dataclasses.replace(rule, **changes)


def a_candidate(
    entity_id: str = "T-1",
    *,
    rule_code: str = "tutor_health_low",
    severity: Severity = "high",
    evidence: dict[str, Any] | None = None,
) -> Candidate:
    return Candidate(
        alert_key=f"{rule_code}:tutor:{entity_id}",
        rule_code=rule_code,
        entity_type="tutor",
        entity_id=entity_id,
        severity=severity,
        evidence=evidence if evidence is not None else {"score": 41.5, "sessions_count": 12},
        tutor_id=entity_id,
    )


def a_message(key: str = "alert:1", **changes: Any) -> OutboxMessage:
    message = OutboxMessage(
        idempotency_key=key,
        kind="alert",
        recipient="coach@example.org",
        subject="Tutor health is low",
        html="<p>Tutor health is low</p>",
        text="Tutor health is low",
    )
    return dataclasses.replace(message, **changes)


def one_mail_each(changes: Sequence[EpisodeChange]) -> list[OutboxMessage]:
    return [
        a_message(f"{change.kind}:{change.episode.episode_id}", episode_ids=(change.episode.episode_id,))
        for change in changes
        if change.kind in ("opened", "severity_raised") and not change.episode.is_baseline
    ]


def see(
    operations: Operations,
    candidates: Sequence[Candidate],
    *,
    rules: Sequence[Rule] = (a_rule(),),
    now: datetime = NOON,
    day: date = TODAY,
    **more: Any,
) -> ObserveReport:
    with operations.session() as session:
        return observe(
            session,
            candidates,
            {rule.rule_code: rule for rule in rules},
            as_of_date=day,
            publication_id=None,
            now=now,
            compose=more.pop("compose", one_mail_each),
            **more,
        )


def past_the_baseline(operations: Operations, *rules: Rule) -> None:
    see(operations, [], rules=rules or (a_rule(),))


def an_open_episode(operations: Operations, entity_id: str = "T-1") -> AlertEpisode:
    past_the_baseline(operations)
    return see(operations, [a_candidate(entity_id)]).changes[0].episode
