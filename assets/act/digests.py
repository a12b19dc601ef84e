"""The daily short list of each coach, and of the operations desk: what is new, worse, open and resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from assets.act.mails import alert_url, desks_of, footer_of, recipient_for
from assets.act.names import Names
from data.lake.writer import LakeWriter
from data.operations import episodes, outbox, preferences, roster, users
from data.operations.outbox import OutboxMessage
from data.operations.tables import SEVERITIES, STILL_OPEN, AlertEpisode, EpisodeEvent, OutboxRow
from data.settings import Settings
from notifications import policy
from notifications.content import DigestContent, DigestItem, Metric
from notifications.evidence import evidence_lines, evidence_sentence, number
from notifications.message import key_for
from notifications.render import render_digest

LOOK_BACK = timedelta(days=1)
"""What a first digest covers; later ones cover everything since the one before."""
MOST_EPISODES = 2_000
SHORTAGE = "supply_shortage"

KPIS = "select * from lake.marts.fct_daily_kpis where as_of_date in ($day, $week_ago) order by as_of_date"


@dataclass(frozen=True)
class Reader:
    """Somebody who gets a digest. tutor_ids is a coach's roster; None means everybody's alerts."""

    address: str
    name: str
    hour: int
    tutor_ids: list[str] | None


@dataclass(frozen=True)
class Digest:
    """A digest in the making: who reads it, and the episodes in it by section."""

    reader: Reader
    sections: dict[str, list[AlertEpisode]]

    def all(self) -> list[AlertEpisode]:
        """Return every episode of the digest."""
        return [episode for section in self.sections.values() for episode in section]


def readers(session: Session, settings: Settings, *, now: datetime) -> list[Reader]:
    """Return the coaches who want a digest, and the operations desk."""
    found = []
    for coach in users.list_users(session, role="coach"):
        if policy.wants_digest(recipient_for(session, coach, now=now)):
            hour = preferences.preferences_of(session, coach.user_id, now=now).digest_hour
            found.append(Reader(coach.email, coach.name, hour, roster.tutors_of(session, coach.user_id)))
    desk = desks_of(settings).operations
    return [*found, Reader(desk.address, desk.name, preferences.DEFAULT_DIGEST_HOUR, None)]


def gather(session: Session, reader: Reader, *, now: datetime) -> Digest:
    """Return what a reader's next digest is about: everything since their last one."""
    since = session.scalar(
        sa.select(sa.func.max(OutboxRow.created_at)).where(
            OutboxRow.kind == "digest", OutboxRow.recipient == reader.address
        )
    ) or (now - LOOK_BACK)
    standing = episodes.list_episodes(
        session, statuses=list(STILL_OPEN), tutor_ids=reader.tutor_ids, limit=MOST_EPISODES
    )
    closed = episodes.list_episodes(
        session,
        statuses=["resolved", "dismissed"],
        tutor_ids=reader.tutor_ids,
        closed_since=since,
        limit=MOST_EPISODES,
    )
    worse = _worse_at(session, [episode.episode_id for episode in standing])
    sections: dict[str, list[AlertEpisode]] = {}
    for episode in [*standing, *closed]:
        section = policy.digest_section(
            opened_at=episode.opened_at,
            worse_at=worse.get(episode.episode_id),
            closed_at=episode.resolved_at,
            since=since,
        )
        if section:
            sections.setdefault(section, []).append(episode)
    return Digest(reader, sections)


def enqueue_digest(
    session: Session,
    digest: Digest,
    names: Names,
    metrics: tuple[Metric, ...],
    settings: Settings,
    *,
    day: date,
    now: datetime,
) -> bool:
    """Put a digest into the outbox for the reader's hour of the day. One per reader and day; a rerun adds none."""
    reader = digest.reader
    is_desk = reader.tutor_ids is None
    # On the desk's digest shortages have a block of their own: they are about hours, not about people.
    items = {
        section: _items(found, names, settings, with_shortages=not is_desk)
        for section, found in digest.sections.items()
    }
    standing = [e for name in ("new", "worse", "still_open") for e in digest.sections.get(name, [])]
    shortages = [episode for episode in standing if episode.rule_code == SHORTAGE]
    content = DigestContent(
        reader="operator" if is_desk else "coach",
        name=reader.name,
        day=day,
        url=f"{settings.public_url}/alerts",
        metrics=metrics if is_desk else (),
        shortages=_items(shortages, names, settings, with_shortages=True) if is_desk else (),
        **items,
    )
    footer = footer_of(session, settings)
    rendered = render_digest(content, footer)
    return outbox.enqueue(
        session,
        OutboxMessage(
            idempotency_key=key_for("digest", reader.address, day.isoformat()),
            kind="digest",
            recipient=reader.address,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            not_before=_at_hour(day, reader.hour, settings.business_time_zone),
            publication_id=footer.version,
            episode_ids=tuple(episode.episode_id for episode in digest.all()),
        ),
        now=now,
    )


def key_metrics(lake: LakeWriter, day: date) -> tuple[Metric, ...]:
    """Return the day's key numbers beside those of a week ago. What was not measured is left out."""
    rows = lake.read(KPIS, {"day": day, "week_ago": day - timedelta(days=7)}).to_dicts()
    today = next((row for row in rows if row["as_of_date"] == day), None)
    if today is None:
        return ()
    before = next((row for row in rows if row["as_of_date"] != day), {})
    return tuple(
        Metric(label, _written(today[name], name), _change(today[name], before.get(name)))
        for name, label in METRICS.items()
        if today.get(name) is not None
    )


METRICS = {
    "sessions_today": "Sessions today",
    "rating_7d": "Rating, 7 days",
    "satisfaction_rate_7d": "Satisfied customers, 7 days",
    "no_show_rate_7d": "No-shows, 7 days",
    "reschedule_rate_7d": "Reschedules, 7 days",
    "supply_demand_ratio_24h": "Supply for each hour of demand, next 24 hours",
}


def _written(value: Any, name: str) -> str:
    return f"{value * 100:.1f} %" if "_rate" in name else number(float(value))


def _change(value: Any, before: Any) -> str:
    if before is None or not before:
        return ""
    moved = (value - before) / before * 100
    return (
        f"{abs(moved):.0f} % {'more' if moved > 0 else 'less'} than a week ago" if abs(moved) >= 0.5 else ""
    )


def _worse_at(session: Session, ids: Sequence[Any]) -> dict[Any, datetime]:
    query = (
        sa.select(EpisodeEvent.episode_id, sa.func.max(EpisodeEvent.at))
        .where(EpisodeEvent.kind == "severity_raised", EpisodeEvent.episode_id.in_(list(ids)))
        .group_by(EpisodeEvent.episode_id)
    )
    return {episode_id: at for episode_id, at in session.execute(query)}


def _worst_first(found: Sequence[AlertEpisode]) -> list[AlertEpisode]:
    return sorted(
        found, key=lambda e: (-SEVERITIES.index(e.severity), -e.opened_at.timestamp(), e.fingerprint)
    )


def _items(
    found: Sequence[AlertEpisode], names: Names, settings: Settings, *, with_shortages: bool
) -> tuple[DigestItem, ...]:
    shown = [episode for episode in found if with_shortages or episode.rule_code != SHORTAGE]
    return tuple(_item(episode, names, settings) for episode in _worst_first(shown))


def _item(episode: AlertEpisode, names: Names, settings: Settings) -> DigestItem:
    about, _ = names.about(episode)
    lines = evidence_lines(episode.evidence, time_zone=settings.business_time_zone)
    return DigestItem(
        severity=episode.severity,
        title=episode.title,
        about=about,
        evidence=evidence_sentence(lines),
        recommended_action=episode.recommended_action,
        url=alert_url(settings, episode.episode_id),
        note=(episode.resolution or "") if episode.resolved_at else "",
    )


def _at_hour(day: date, hour: int, time_zone: str) -> datetime:
    return datetime.combine(day, time(hour), ZoneInfo(time_zone))
