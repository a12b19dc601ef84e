"""The outbox: mails with a frozen body, sent exactly once as far as anybody can know.

What belongs here: queueing, claiming, settling, giving up. What does not: wording (notifications) and the
sender itself, which is handed in. An attempt whose outcome nobody knows is repeated under the same key while
the provider still remembers the key; after that a person decides, never this code.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.store import Operations
from data.operations.tables import (
    CLOSED,
    AlertEpisode,
    Delivery,
    MessageKind,
    MessageStatus,
    OutboxRow,
    Outcome,
    Preference,
    User,
)

KEY_MEMORY = timedelta(hours=23)
"""How long the same key may be repeated. The provider remembers keys for 24 hours."""
STUCK_AFTER = timedelta(minutes=10)
"""After this a row in `sending` belonged to a sender that was killed. Longer than any send takes."""
GIVE_UP_AFTER = timedelta(hours=72)
"""How long a mail that the provider keeps turning away for now is tried."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class OutboxMessage:
    """A mail as it was composed. is_urgent ignores opt-outs and goes first."""

    idempotency_key: str
    kind: MessageKind
    recipient: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    not_before: datetime | None = None
    is_urgent: bool = False
    publication_id: int | None = None
    episode_ids: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True)
class Outgoing:
    """A claimed mail on its way to the sender."""

    message_id: uuid.UUID
    idempotency_key: str
    kind: MessageKind
    to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]
    composed_at: datetime
    attempt: int


class Receipt(Protocol):
    """What a sender answers. passing: turned away for now; unknown: it may have gone out, or not."""

    @property
    def outcome(self) -> Literal["sent", "passing", "permanent", "unknown"]:
        """What became of the mail."""
        ...

    @property
    def provider_id(self) -> str | None:
        """The provider's name for the mail, when it took it."""
        ...

    @property
    def detail(self) -> str | None:
        """Why it was not sent."""
        ...

    @property
    def retry_after_seconds(self) -> float | None:
        """How long the provider asks everybody to wait."""
        ...


@dataclass(frozen=True)
class _Raised:
    detail: str
    outcome: Literal["unknown"] = "unknown"
    provider_id: None = None
    retry_after_seconds: None = None


@dataclass
class DrainReport:
    """How many mails ended how in one pass. paused: the provider asked to wait."""

    sent: int = 0
    retried: int = 0
    failed: int = 0
    unknown: int = 0
    paused: bool = False


def enqueue(session: Session, message: OutboxMessage, *, now: datetime) -> bool:
    """Queue a mail in the caller's transaction. True when it is new; the same key again changes nothing."""
    statement = (
        insert(OutboxRow)
        .values(
            message_id=uuid.uuid4(),
            idempotency_key=message.idempotency_key,
            kind=message.kind,
            recipient=message.recipient,
            subject=message.subject,
            html=message.html,
            text=message.text,
            headers=dict(message.headers),
            is_urgent=message.is_urgent,
            status="pending",
            created_at=now,
            not_before=message.not_before or now,
            attempts=0,
            publication_id=message.publication_id,
            episode_ids=list(message.episode_ids),
        )
        .on_conflict_do_nothing(index_elements=["idempotency_key"])
        .returning(OutboxRow.message_id)
    )
    return session.scalar(statement) is not None


def claim_due(session: Session, now: datetime, limit: int) -> list[Outgoing]:
    """Take up to `limit` mails that are due; other claimers skip them. Commit before sending.

    Rows left in `sending` by a killed sender are taken again, with the same key. In the same transaction it
    drops what nobody wants any more: mail to people who opted out, alerts that were dealt with meanwhile.
    """
    claimed: list[Outgoing] = []
    while len(claimed) < limit:
        rows = _lock_due(session, now, limit - len(claimed))
        if not rows:
            break
        claimed.extend(outgoing for row in rows if (outgoing := _claim(session, row, now)) is not None)
        session.flush()
    return claimed


def settle(session: Session, outgoing: Outgoing, receipt: Receipt, *, now: datetime) -> MessageStatus:
    """Record what became of a claimed mail and return its status. Safe to run twice.

    A late answer to an attempt that was given up counts only when it says that the mail went out.
    """
    row = session.get(OutboxRow, outgoing.message_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise LookupError(f"there is no mail {outgoing.message_id} in the outbox")
    is_ours = row.status == "sending" and row.attempts == outgoing.attempt
    if row.status == "sent" or not (is_ours or receipt.outcome == "sent"):
        return row.status
    _log(session, row, outgoing.attempt, receipt.outcome, now, receipt.provider_id, receipt.detail)
    row.last_error = None if receipt.outcome == "sent" else receipt.detail
    if receipt.outcome == "sent":
        row.provider_id = receipt.provider_id
        _end(row, "sent", now)
    elif receipt.outcome == "permanent":
        _end(row, "failed", now)
    else:
        _again(row, receipt, now)
    session.flush()
    return row.status


def drain(
    operations: Operations, send: Callable[[Outgoing], Receipt], *, now: datetime, limit: int
) -> DrainReport:
    """Send what is due, one mail at a time: claim and commit, send, settle and commit.

    A kill anywhere leaves at most one mail in doubt, which is repeated under its key. An exception of the
    sender is an unknown outcome and is kept on the row. Stops early when the provider asks to wait.
    """
    report = DrainReport()
    for _ in range(limit):
        with operations.session() as session:
            claimed = claim_due(session, now, 1)
        if not claimed:
            break
        receipt = _attempt(send, claimed[0])
        with operations.session() as session:
            status = settle(session, claimed[0], receipt, now=now)
        _count(report, status)
        if receipt.outcome == "passing" and receipt.retry_after_seconds is not None:
            report.paused = True
            break
    return report


def decide(
    session: Session,
    message_id: uuid.UUID,
    *,
    decision: Literal["was_sent", "send_again"],
    actor: str,
    now: datetime,
) -> OutboxRow:
    """Let a person settle a mail in `unknown` or `failed`. Raises LookupError, ValueError."""
    row = session.get(OutboxRow, message_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise LookupError(f"there is no mail {message_id} in the outbox")
    if row.status not in ("unknown", "failed"):
        raise ValueError(
            f"mail {message_id} is {row.status}; only unknown or failed mail waits for a decision"
        )
    details = {"from": row.status, "decision": decision}
    if decision == "was_sent":
        _end(row, "sent", now)
    else:
        row.status, row.not_before = "pending", now
        row.first_attempt_at = row.uncertain_since = row.settled_at = None
    audit.append(
        session,
        actor=actor,
        action=f"mail.{decision}",
        object_name=f"mail:{message_id}",
        details=details,
        now=now,
    )
    return row


def count_due(session: Session, *, now: datetime) -> int:
    """Return how many mails wait for a sender at this moment."""
    return session.scalar(sa.select(sa.func.count()).select_from(OutboxRow).where(_is_due(now))) or 0


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.and_(OutboxRow.status == "pending", OutboxRow.not_before <= now),
        sa.and_(OutboxRow.status == "sending", OutboxRow.claimed_at <= now - STUCK_AFTER),
    )


def _lock_due(session: Session, now: datetime, limit: int) -> list[OutboxRow]:
    query = (
        sa.select(OutboxRow)
        .where(_is_due(now))
        .order_by(OutboxRow.is_urgent.desc(), OutboxRow.not_before, OutboxRow.message_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def _claim(session: Session, row: OutboxRow, now: datetime) -> Outgoing | None:
    if row.status == "sending":
        _log(session, row, row.attempts, "lost", now, None, "the sender ended before the outcome was known")
        row.uncertain_since = row.uncertain_since or row.claimed_at
    if row.uncertain_since is not None:
        # It may have gone out already: no reason to drop it silently, none to repeat it without the key.
        if now - row.uncertain_since >= KEY_MEMORY:
            _end(row, "unknown", now)
            return None
    elif (unwanted := _why_unwanted(session, row)) is not None:
        row.last_error = unwanted
        _end(row, "suppressed", now)
        return None
    row.status, row.claimed_at = "sending", now
    row.first_attempt_at = row.first_attempt_at or now
    row.attempts += 1
    return Outgoing(
        message_id=row.message_id,
        idempotency_key=row.idempotency_key,
        kind=row.kind,
        to=row.recipient,
        subject=row.subject,
        html=row.html,
        text=row.text,
        headers=row.headers,
        composed_at=row.created_at,
        attempt=row.attempts,
    )


def _why_unwanted(session: Session, row: OutboxRow) -> str | None:
    if row.kind == "system" or row.is_urgent:
        return None
    opted_out = sa.select(sa.literal(True)).where(
        User.email == row.recipient.lower(),
        User.user_id == Preference.user_id,
        Preference.opt_outs.contains([row.kind]),
    )
    if session.scalar(opted_out):
        return f"the recipient opted out of {row.kind} mail"
    if row.kind == "alert" and row.episode_ids:
        waiting = sa.select(sa.func.count()).where(
            AlertEpisode.episode_id.in_(row.episode_ids), AlertEpisode.status.not_in(CLOSED)
        )
        if not session.scalar(waiting):
            return "every alert in it was closed before it left"
    return None


def _again(row: OutboxRow, receipt: Receipt, now: datetime) -> None:
    if receipt.outcome == "unknown":
        row.uncertain_since = row.uncertain_since or row.claimed_at or now
    doubling = FIRST_PAUSE * 2 ** min(row.attempts - 1, 10)
    asked = timedelta(seconds=receipt.retry_after_seconds or 0.0)
    following = now + max(min(doubling, LONGEST_PAUSE), asked)
    if row.uncertain_since is not None and following - row.uncertain_since >= KEY_MEMORY:
        _end(row, "unknown", now)
    elif row.first_attempt_at is not None and following - row.first_attempt_at >= GIVE_UP_AFTER:
        _end(row, "failed", now)
    else:
        row.status, row.not_before = "pending", following


def _end(row: OutboxRow, status: MessageStatus, now: datetime) -> None:
    row.status, row.settled_at = status, now


def _log(
    session: Session,
    row: OutboxRow,
    attempt: int,
    outcome: Outcome,
    now: datetime,
    provider_id: str | None,
    detail: str | None,
) -> None:
    session.add(
        Delivery(
            message_id=row.message_id,
            attempt=attempt,
            outcome=outcome,
            provider_id=provider_id,
            detail=detail,
            at=now,
        )
    )


def _attempt(send: Callable[[Outgoing], Receipt], outgoing: Outgoing) -> Receipt:
    try:
        return send(outgoing)
    except Exception as error:  # an edge: whatever the sender raised, the mail may be out
        return _Raised(detail=f"{type(error).__name__}: {error}")


def _count(report: DrainReport, status: MessageStatus) -> None:
    if status == "sent":
        report.sent += 1
    elif status == "failed":
        report.failed += 1
    elif status == "unknown":
        report.unknown += 1
    else:
        report.retried += 1
