"""From episodes to mails: who has not been told yet, what the mail says, and the send itself.

Whether somebody was told follows from the outbox, so it does not matter who opened an episode, the fast lane or
the receiver: each change is told once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from assets.act.names import Names
from assets.resources import House
from data.operations import outbox, preferences, publications, roster
from data.operations.outbox import DrainReport, OutboxMessage, Outgoing
from data.operations.tables import SEVERITIES, STILL_OPEN, AlertEpisode, EpisodeEvent, OutboxRow, User
from data.rulebook import alert_rules
from data.settings import Settings
from notifications import policy
from notifications.content import AlertContent, Footer
from notifications.evidence import evidence_lines
from notifications.message import Message, key_for
from notifications.policy import Change, Delivery, Desks, Recipient
from notifications.render import render_alert, render_alerts
from notifications.senders.base import Receipt
from notifications.senders.choice import sender_for

MOST_PER_RUN = 500
TOLD_OF = ("opened", "severity_raised", "reopened")


@dataclass(frozen=True)
class Plan:
    """Mails to compose now, the episodes that they are about, and the newest untold event of each."""

    deliveries: list[Delivery]
    episodes: Mapping[str, AlertEpisode]
    events: Mapping[str, EpisodeEvent]


def unannounced_episodes(session: Session, settings: Settings, *, now: datetime) -> Plan:
    """Return the mails that are due because of changes nobody was told of. The rest waits for the digest."""
    # One planner at a time: two that group the same alerts differently would tell them twice.
    session.execute(sa.text("select pg_advisory_xact_lock(hashtext('chalkline.announce'))"))
    told = (
        sa.select(sa.literal(1))
        .select_from(OutboxRow)
        .where(
            OutboxRow.kind == "alert",
            OutboxRow.created_at >= EpisodeEvent.at,
            AlertEpisode.episode_id == sa.any_(OutboxRow.episode_ids),
        )
        .exists()
    )
    query = (
        sa.select(AlertEpisode, EpisodeEvent)
        .join(EpisodeEvent, EpisodeEvent.episode_id == AlertEpisode.episode_id)
        .where(
            AlertEpisode.status.in_(list(STILL_OPEN)),
            EpisodeEvent.kind.in_(TOLD_OF),
            # What another process recorded after our clock was read would look untold for ever: the next pass takes it.
            EpisodeEvent.at.between(now - policy.NEWS, now),
            ~told,
        )
        .order_by(EpisodeEvent.event_id)
    )
    rules = alert_rules(settings)
    latest = {
        str(episode.episode_id): (episode, event)
        for episode, event in session.execute(query)
        if episode.rule_code in rules
    }
    coaches = _coaches(session, [episode for episode, _ in latest.values()], now=now)
    deliveries = policy.plan(
        [
            Change(
                episode_id=identifier,
                kind="severity_raised" if event.kind == "severity_raised" else "opened",
                rule_code=episode.rule_code,
                severity=episode.severity,
                audience=rules[episode.rule_code].audience,
                tutor_id=episode.tutor_id,
                is_baseline=episode.is_baseline,
                occurred_at=episode.occurred_at,
            )
            for identifier, (episode, event) in latest.items()
        ],
        coach_of=coaches.get,
        desks=desks_of(settings),
        now=now,
    )
    return Plan(
        deliveries,
        {identifier: episode for identifier, (episode, _) in latest.items()},
        {identifier: event for identifier, (_, event) in latest.items()},
    )


def announce(session: Session, plan: Plan, names: Names, settings: Settings, *, now: datetime) -> int:
    """Compose the planned mails and put them into the outbox. Returns how many are new; a rerun adds none."""
    footer = footer_of(session, settings)
    messages = [_alert_message(delivery, plan, names, footer, settings) for delivery in plan.deliveries]
    return sum(outbox.enqueue(session, message, now=now) for message in messages)


def send_due(house: House) -> DrainReport:
    """Send what is due in the outbox, each mail under its own key. Safe to run twice and side by side."""
    settings = house.settings
    key = settings.resend_api_key.get_secret_value() if settings.resend_api_key else None
    sender = sender_for(key, settings.outbox_path, settings.mail_from)

    def send(outgoing: Outgoing) -> Receipt:
        return sender.send(
            Message(
                to=outgoing.to,
                subject=outgoing.subject,
                html=outgoing.html,
                text=outgoing.text,
                idempotency_key=outgoing.idempotency_key,
                kind=outgoing.kind,
                headers=outgoing.headers,
                composed_at=outgoing.composed_at,
            )
        )

    return outbox.drain(house.operations, send, now=house.clock.now(), limit=MOST_PER_RUN)


def desks_of(settings: Settings) -> Desks:
    """Return where mail goes that is nobody's in particular."""
    desk = Recipient(settings.operations_mail, "Operations")
    return Desks(operations=desk, engineering=desk)


def recipient_for(session: Session, user: User, *, now: datetime) -> Recipient:
    """Return a person as the policy sees them."""
    chosen = preferences.preferences_of(session, user.user_id, now=now)
    return Recipient(
        user.email,
        user.name,
        frozenset(one for one in SEVERITIES if one in chosen.at_once_severities),
        frozenset(chosen.opt_outs),
    )


def footer_of(session: Session, settings: Settings) -> Footer:
    """Return where the numbers of a mail come from."""
    published = publications.current(session)
    return Footer(
        version=published.publication_id if published else None,
        published_at=published.published_at if published else None,
        time_zone=settings.business_time_zone,
        preferences_url=f"{settings.public_url}/account",
    )


def alert_url(settings: Settings, episode_id: str | uuid.UUID) -> str:
    """Return the page of one alert."""
    return f"{settings.public_url}/alerts?alert={episode_id}"


def _coaches(session: Session, episodes: Sequence[AlertEpisode], *, now: datetime) -> dict[str, Recipient]:
    tutors = sorted({episode.tutor_id for episode in episodes if episode.tutor_id})
    return {
        tutor: recipient_for(session, coach, now=now)
        for tutor, coach in roster.coaches_of(session, tutors).items()
    }


def _alert_message(
    delivery: Delivery, plan: Plan, names: Names, footer: Footer, settings: Settings
) -> OutboxMessage:
    contents = [_content(plan, change.episode_id, names, settings) for change in delivery.changes]
    if delivery.is_list:
        rendered = render_alerts(contents, footer, url=f"{settings.public_url}/alerts")
    else:
        rendered = render_alert(contents[0], footer)
    # By event, not by kind: an alert that is closed and opened again is told again.
    marks = [str(plan.events[change.episode_id].event_id) for change in delivery.changes]
    return OutboxMessage(
        idempotency_key=key_for("alert", delivery.recipient.address, *sorted(marks)),
        kind="alert",
        recipient=delivery.recipient.address,
        subject=rendered.subject,
        html=rendered.html,
        text=rendered.text,
        not_before=delivery.not_before,
        is_urgent=delivery.is_urgent,
        publication_id=footer.version,
        episode_ids=tuple(uuid.UUID(change.episode_id) for change in delivery.changes),
    )


def _content(plan: Plan, episode_id: str, names: Names, settings: Settings) -> AlertContent:
    episode, event = plan.episodes[episode_id], plan.events[episode_id]
    about, detail = names.about(episode)
    raised_from = event.details["severity"]["from"] if event.kind == "severity_raised" else None
    return AlertContent(
        severity=episode.severity,
        title=episode.title,
        about=about,
        about_detail=detail,
        evidence=evidence_lines(episode.evidence, time_zone=settings.business_time_zone),
        recommended_action=episode.recommended_action,
        url=alert_url(settings, episode.episode_id),
        happened_at=episode.occurred_at,
        previous_severity=raised_from,
    )
