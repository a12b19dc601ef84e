"""What must not grow when a thing happens twice: session versions, episodes, mails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from data.lake.writer import LakeWriter
from data.operations.tables import AlertEpisode, EpisodeEvent, OutboxRow
from data.postgres import open_postgres
from tests.reliability.deployment import Deployment

KINDS = ("sessions", "customers", "tutors", "inbound_calls", "reschedules", "engagement_events")


@dataclass(frozen=True)
class Stock:
    """What a deployment holds: raw rows by kind, session versions, episodes by alert key, mails and mail files."""

    raw_rows: dict[str, int]
    versions: frozenset[tuple[str, str]]
    episodes: Counter[str]
    opened: int
    mails: Counter[tuple[str, str, str]]
    mail_files: frozenset[str]


def stock_of(deployment: Deployment) -> Stock:
    """Return what a deployment holds now, published or not."""
    writer = LakeWriter.attach(deployment.settings, open_postgres(deployment.settings))
    try:
        raw_rows = {
            kind: int(writer.read(f"select count(*) from lake.raw_marketplace.{kind}").item())
            for kind in KINDS
        }
        versions = writer.read("select session_id, version_hash from lake.raw_marketplace.sessions")
    finally:
        writer.close()
    with deployment.operations.session() as session:
        episodes = Counter(session.scalars(sa.select(AlertEpisode.fingerprint)))
        opened = session.scalar(
            sa.select(sa.func.count()).select_from(EpisodeEvent).where(EpisodeEvent.kind == "opened")
        )
        mails = Counter(
            (row.kind, row.recipient, row.subject) for row in session.scalars(sa.select(OutboxRow))
        )
    files = frozenset(file.name for file in deployment.settings.outbox_path.glob("*.eml"))
    return Stock(raw_rows, frozenset(versions.iter_rows()), episodes, int(opened or 0), mails, files)
