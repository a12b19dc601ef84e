"""Who asked to be erased, how it went, and the mails that are about them.

What belongs here: the decision, its proof, and what of it concerns mails. What does not: finding a person's texts
(data.lake.erasure) and clearing the places where they stand (orchestration.erasing).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.contracts.personal import Person
from data.operations import audit
from data.operations.tables import AlertEpisode, Delivery, Erasure, OutboxRow
from data.traces import longest_first, replaced, spellings


def begin(session: Session, person: Person, *, note: str, actor: str, now: datetime) -> Erasure:
    """Write down that a person is to be erased. One that was begun and never finished is gone on with."""
    row = session.scalars(
        sa.select(Erasure)
        .where(
            Erasure.person_kind == person.kind,
            Erasure.person_id == person.person_id,
            Erasure.finished_at.is_(None),
        )
        .order_by(Erasure.erasure_id)
        .with_for_update()
    ).first()
    if row is not None:
        return row
    row = Erasure(
        person_kind=person.kind, person_id=person.person_id, note=note, requested_by=actor, requested_at=now
    )
    session.add(row)
    session.flush()
    _audit(session, "person.erasure_begun", person, row, actor=actor, now=now)
    return row


def prove(session: Session, erasure_id: int, proof: Mapping[str, Any]) -> None:
    """Keep the proof: counts by place, never a value."""
    session.get_one(Erasure, erasure_id).proof = dict(proof)


def finish(session: Session, erasure_id: int, *, actor: str, now: datetime) -> None:
    """Say that nothing is left. Safe to repeat: the first word stands."""
    row = session.get_one(Erasure, erasure_id, with_for_update=True)
    if row.finished_at is None:
        row.finished_at = now
        person = Person(row.person_kind, row.person_id)
        _audit(session, "person.erased", person, row, actor=actor, now=now)


def unfinished(session: Session) -> list[Erasure]:
    """Return the erasures that were begun and wait to be finished, oldest first."""
    return list(
        session.scalars(sa.select(Erasure).where(Erasure.finished_at.is_(None)).order_by(Erasure.erasure_id))
    )


def recent(session: Session, *, limit: int = 50) -> list[Erasure]:
    """Return the newest erasures, finished or not."""
    return list(session.scalars(sa.select(Erasure).order_by(Erasure.erasure_id.desc()).limit(limit)))


def _audit(session: Session, action: str, person: Person, row: Erasure, *, actor: str, now: datetime) -> None:
    audit.append(
        session,
        actor=actor,
        action=action,
        object_name=f"{person.kind}:{person.person_id}",
        details={"erasure_id": row.erasure_id},
        now=now,
    )


def episodes_about(person: Person) -> sa.ColumnElement[bool]:
    """Return the condition that an episode is about a person."""
    column = AlertEpisode.customer_id if person.kind == "customer" else AlertEpisode.tutor_id
    return sa.or_(
        column == person.person_id,
        sa.and_(AlertEpisode.entity_type == person.kind, AlertEpisode.entity_id == person.person_id),
    )


def linked_mails(session: Session, person: Person) -> list[OutboxRow]:
    """Return the mails that tell of an episode about a person, oldest first."""
    theirs = sa.select(sa.func.array_agg(AlertEpisode.episode_id)).where(episodes_about(person))
    return list(
        session.scalars(
            sa.select(OutboxRow)
            .where(OutboxRow.episode_ids.overlap(theirs.scalar_subquery()))
            .order_by(OutboxRow.created_at, OutboxRow.message_id)
        )
    )


def rename_in_mails(session: Session, person: Person, names: Collection[str]) -> list[str]:
    """Write a person's identifier in place of their names in the mails about them. Returns the keys of these mails.

    Also of names that others have too: in a mail about a person the name is theirs.
    """
    spelled = longest_first(one for name in names for one in spellings(name))
    mails = linked_mails(session, person)
    for mail in mails:
        for part in ("subject", "html", "text"):
            before = getattr(mail, part)
            after = replaced(before, spelled, person.person_id)
            if after != before:
                setattr(mail, part, after)
    return [mail.idempotency_key for mail in mails]


def point_to_files(session: Session, stems: Mapping[str, str]) -> None:
    """Let mails and their attempts name the files as they are called now. stems: by the key in the file's name."""
    session.execute(sa.text("set local chalkline.erasing = 'on'"))
    mails = session.scalars(sa.select(OutboxRow).where(OutboxRow.provider_id.like("%.eml")))
    attempts = session.scalars(sa.select(Delivery).where(Delivery.provider_id.like("%.eml")))
    for row in (*mails, *attempts):
        key = (row.provider_id or "").removesuffix(".eml").rpartition("-")[2]
        if key in stems and row.provider_id != f"{stems[key]}.eml":
            row.provider_id = f"{stems[key]}.eml"
