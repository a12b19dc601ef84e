"""From what a rule found to a mail in the outbox folder: the two rooms meet in a caller's hands."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from operations_builders import NOON, a_candidate, a_rule, see

from data.operations import outbox
from data.operations.observe import EpisodeChange
from data.operations.outbox import OutboxMessage, Outgoing
from data.operations.store import Operations
from data.operations.tables import OutboxRow
from notifications import policy, render
from notifications.content import AlertContent, Footer
from notifications.evidence import evidence_lines
from notifications.message import Message, key_for
from notifications.policy import Change, ChangeKind, Delivery, Desks, Recipient
from notifications.senders import Receipt, Sender, sender_for

ZONE = "America/New_York"
KIM = Recipient("kim@example.org", "Kim")
DESKS = Desks(Recipient("operations@example.org", "Operations"), Recipient("data@example.org", "Engineering"))
RULES = (a_rule("tutor_no_show", title="Tutor did not show up", severity="critical", kind="event"),)


def told(change: EpisodeChange) -> Change:
    episode = change.episode
    return Change(
        episode_id=str(episode.episode_id),
        kind=cast(ChangeKind, change.kind),
        rule_code=episode.rule_code,
        severity=episode.severity,
        audience=change.rule.audience,
        tutor_id=episode.tutor_id,
        is_baseline=episode.is_baseline,
        occurred_at=episode.occurred_at,
    )


def content(change: EpisodeChange) -> AlertContent:
    episode = change.episode
    return AlertContent(
        severity=episode.severity,
        title=episode.title,
        about=episode.entity_id,
        about_detail=episode.entity_type.capitalize(),
        evidence=evidence_lines(episode.evidence, time_zone=ZONE),
        recommended_action=episode.recommended_action,
        url=f"https://chalkline.example.org/alerts/{episode.episode_id}",
    )


def composer(now: datetime) -> Callable[[Sequence[EpisodeChange]], list[OutboxMessage]]:
    footer = Footer(37, now, ZONE)

    def mail(delivery: Delivery, found: dict[str, EpisodeChange]) -> OutboxMessage:
        mine = [found[change.episode_id] for change in delivery.changes]
        alerts = [content(change) for change in mine]
        url = "https://chalkline.example.org/alerts"
        rendered = (
            render.render_alerts(alerts, footer, url=url)
            if delivery.is_list
            else render.render_alert(alerts[0], footer)
        )
        causes = [f"{change.kind}:{change.episode.episode_id}" for change in mine]
        return OutboxMessage(
            idempotency_key=key_for("alert", delivery.recipient.address, *causes),
            kind="alert",
            recipient=delivery.recipient.address,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            not_before=delivery.not_before,
            is_urgent=delivery.is_urgent,
            episode_ids=tuple(change.episode.episode_id for change in mine),
        )

    def compose(changes: Sequence[EpisodeChange]) -> list[OutboxMessage]:
        found = {str(change.episode.episode_id): change for change in changes}
        plan = policy.plan([told(c) for c in changes], coach_of=lambda tutor: KIM, desks=DESKS, now=now)
        return [mail(delivery, found) for delivery in plan]

    return compose


def carry(sender: Sender) -> Callable[[Outgoing], Receipt]:
    def send(outgoing: Outgoing) -> Receipt:
        return sender.send(
            Message(
                to=outgoing.to,
                subject=outgoing.subject,
                html=outgoing.html,
                text=outgoing.text,
                headers=outgoing.headers,
                idempotency_key=outgoing.idempotency_key,
                kind=outgoing.kind,
                composed_at=outgoing.composed_at,
            )
        )

    return send


def no_shows(number: int) -> list:
    return [a_candidate(f"T-{n}", rule_code="tutor_no_show", severity="critical") for n in range(number)]


def test_two_no_shows_are_two_mails_however_often_everything_runs(
    operations: Operations, tmp_path: Path
) -> None:
    see(operations, [], rules=RULES, compose=composer(NOON))
    send = carry(sender_for(None, tmp_path, "Chalkline <chalkline@example.org>"))
    for minutes in (5, 10, 15):
        now = NOON + timedelta(minutes=minutes)
        see(operations, no_shows(2), rules=RULES, now=now, compose=composer(now))
        outbox.drain(operations, send, now=now, limit=50)
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_ten_no_shows_are_one_mail_that_lists_them(operations: Operations, tmp_path: Path) -> None:
    see(operations, [], rules=RULES, compose=composer(NOON))
    see(operations, no_shows(10), rules=RULES, compose=composer(NOON))
    send = carry(sender_for(None, tmp_path, "Chalkline <chalkline@example.org>"))
    assert outbox.drain(operations, send, now=NOON, limit=50).sent == 1
    with operations.session() as session:
        mail = session.scalars(sa.select(OutboxRow)).one()
    assert mail.subject == "10 critical alerts"
    assert len(mail.episode_ids) == 10


def test_a_day_of_stock_makes_no_mail(operations: Operations) -> None:
    assert see(operations, no_shows(200), rules=RULES, compose=composer(NOON)).queued == 0


def test_a_mail_dropped_after_sending_but_before_settling_lands_on_itself(
    operations: Operations, tmp_path: Path
) -> None:
    see(operations, [], rules=RULES, compose=composer(NOON))
    see(operations, no_shows(1), rules=RULES, compose=composer(NOON))
    send = carry(sender_for(None, tmp_path, "Chalkline <chalkline@example.org>"))
    with operations.session() as session:
        (claimed,) = outbox.claim_due(session, NOON, 1)
    send(claimed)
    assert outbox.drain(operations, send, now=NOON + timedelta(minutes=10), limit=5).sent == 1
    assert len(list(tmp_path.glob("*.eml"))) == 1
