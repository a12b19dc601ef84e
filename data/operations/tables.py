"""The tables of the operations store, and the closed vocabularies of their columns.

What belongs here: columns, constraints, indexes. What does not: behaviour (the services beside this file),
DDL history (migrations/). Every instant is timestamptz and comes back aware, in UTC.
"""

import uuid
from datetime import date, datetime
from typing import Any, ClassVar, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from data.contracts.personal import PersonKind
from data.operations.instants import UtcDateTime

Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["open", "acknowledged", "in_progress", "snoozed", "resolved", "dismissed"]
EventKind = Literal[
    "opened", "updated", "severity_raised", "acknowledged", "started", "snoozed", "resolved",
    "auto_resolved", "dismissed", "reopened", "assigned", "note",
]  # fmt: skip
MessageKind = Literal["alert", "digest", "system"]
MessageStatus = Literal["pending", "sending", "sent", "failed", "unknown", "suppressed"]
Outcome = Literal["sent", "passing", "permanent", "unknown", "lost"]
Role = Literal["admin", "engineer", "analyst", "coach", "viewer"]
Scope = Literal["track", "read"]
CorrectionAction = Literal["rename", "replace", "clear", "fill", "parse_time"]
ReplayAction = Literal["replay", "discard"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Mildest first."""
STATUSES: tuple[Status, ...] = get_args(Status)
ROLES: tuple[Role, ...] = get_args(Role)
MESSAGE_KINDS: tuple[MessageKind, ...] = get_args(MessageKind)
CLOSED: frozenset[Status] = frozenset({"resolved", "dismissed"})
STILL_OPEN: frozenset[Status] = frozenset(STATUSES) - CLOSED


class Base(DeclarativeBase):
    """Shared naming of constraints, so that migrations can address them."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: sa.Text(),
        int: sa.BigInteger(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(sa.Text()),
        list[uuid.UUID]: ARRAY(sa.Uuid()),
        Severity: sa.Text(),
        Status: sa.Text(),
        EventKind: sa.Text(),
        MessageKind: sa.Text(),
        MessageStatus: sa.Text(),
        Outcome: sa.Text(),
        Role: sa.Text(),
        CorrectionAction: sa.Text(),
        ReplayAction: sa.Text(),
        PersonKind: sa.Text(),
    }


def _one_of(column: str, vocabulary: Any) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in get_args(vocabulary))
    return sa.CheckConstraint(f"{column} in ({listed})", name=column)


def _identity() -> Mapped[int]:
    return mapped_column(sa.BigInteger(), sa.Identity(always=True), primary_key=True)


class Publication(Base):
    """One row per published version: "readers, use lake snapshot N". Versions only grow."""

    __tablename__ = "publications"

    publication_id: Mapped[int] = _identity()
    lake_snapshot_id: Mapped[int]
    lane: Mapped[str]
    as_of_date: Mapped[date]
    published_at: Mapped[datetime] = mapped_column(index=True)
    checks: Mapped[dict[str, Any]]
    rolled_back_to: Mapped[int | None] = mapped_column(sa.ForeignKey("publications.publication_id"))
    note: Mapped[str | None]


class PublicationHold(Base):
    """One row per hold that keeps lanes from publishing over a rollback. At most one is in force."""

    __tablename__ = "publication_holds"
    __table_args__ = (
        sa.Index(
            "uq_publication_holds_in_force",
            sa.text("(released_at is null)"),
            unique=True,
            postgresql_where=sa.text("released_at is null"),
        ),
    )

    hold_id: Mapped[int] = _identity()
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.publication_id"))
    placed_by: Mapped[str]
    placed_at: Mapped[datetime]
    reason: Mapped[str]
    released_by: Mapped[str | None]
    released_at: Mapped[datetime | None]


class AlertBaseline(Base):
    """One row per rule that was evaluated at least once: what its first pass finds is stock, not news."""

    __tablename__ = "alert_baselines"

    rule_code: Mapped[str] = mapped_column(primary_key=True)
    as_of_date: Mapped[date]
    observed_at: Mapped[datetime]


class AlertEpisode(Base):
    """One row per stretch of time in which a fingerprint was alerting; one per fingerprint is open."""

    __tablename__ = "alert_episodes"
    __table_args__ = (
        _one_of("severity", Severity),
        _one_of("status", Status),
        sa.CheckConstraint("status <> 'snoozed' or snoozed_until is not null", name="snoozed_until"),
        sa.CheckConstraint(
            "(status in ('resolved', 'dismissed')) = (resolved_at is not null)", name="resolved_at"
        ),
        sa.Index(
            "uq_alert_episodes_open_fingerprint",
            "fingerprint",
            unique=True,
            postgresql_where=sa.text("status not in ('resolved', 'dismissed')"),
        ),
        sa.Index("ix_alert_episodes_fingerprint", "fingerprint", "resolved_at"),
        sa.Index("ix_alert_episodes_status", "status", "severity"),
    )

    episode_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    fingerprint: Mapped[str]
    rule_code: Mapped[str] = mapped_column(index=True)
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    tutor_id: Mapped[str | None] = mapped_column(index=True)
    customer_id: Mapped[str | None]
    session_id: Mapped[str | None]
    severity: Mapped[Severity]
    status: Mapped[Status]
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.user_id"))
    title: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    recommended_action: Mapped[str]
    occurred_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    coach_agreed: Mapped[bool | None]
    as_of_date: Mapped[date]
    publication_id: Mapped[int | None] = mapped_column(sa.ForeignKey("publications.publication_id"))
    is_baseline: Mapped[bool]
    version: Mapped[int]


class EpisodeEvent(Base):
    """One row per thing that happened to an episode. Append-only."""

    __tablename__ = "episode_events"
    __table_args__ = (_one_of("kind", EventKind),)

    event_id: Mapped[int] = _identity()
    episode_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("alert_episodes.episode_id"), index=True)
    kind: Mapped[EventKind]
    actor: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)
    details: Mapped[dict[str, Any]]


class OutboxRow(Base):
    """One row per mail, with its body frozen when it was composed."""

    __tablename__ = "outbox"
    __table_args__ = (
        _one_of("kind", MessageKind),
        _one_of("status", MessageStatus),
        sa.Index("ix_outbox_due", "status", "not_before"),
    )

    message_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[MessageKind]
    recipient: Mapped[str]
    subject: Mapped[str]
    html: Mapped[str]
    text: Mapped[str]
    headers: Mapped[dict[str, Any]]
    is_urgent: Mapped[bool]
    status: Mapped[MessageStatus]
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int]
    first_attempt_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    uncertain_since: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    provider_id: Mapped[str | None]
    last_error: Mapped[str | None]
    publication_id: Mapped[int | None] = mapped_column(sa.ForeignKey("publications.publication_id"))
    episode_ids: Mapped[list[uuid.UUID]]


class Delivery(Base):
    """One row per attempt to send a mail, written when its outcome is known. Append-only."""

    __tablename__ = "deliveries"
    __table_args__ = (_one_of("outcome", Outcome),)

    delivery_id: Mapped[int] = _identity()
    message_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("outbox.message_id"), index=True)
    attempt: Mapped[int]
    outcome: Mapped[Outcome]
    provider_id: Mapped[str | None]
    detail: Mapped[str | None]
    at: Mapped[datetime]


class User(Base):
    """One row per person who may sign in."""

    __tablename__ = "users"
    __table_args__ = (
        _one_of("role", Role),
        sa.CheckConstraint("email = lower(email)", name="email_lower"),
    )

    user_id: Mapped[int] = _identity()
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[Role]
    password_hash: Mapped[str | None]
    is_active: Mapped[bool]
    session_epoch: Mapped[int]
    created_at: Mapped[datetime]


class SetupToken(Base):
    """One row per one-time link to choose a password. Only the token's hash is kept."""

    __tablename__ = "setup_tokens"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.user_id"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class LoginAttempt(Base):
    """One row per judged login, for known and unknown accounts alike."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        sa.Index("ix_login_attempts_email", "email", "at"),
        sa.Index("ix_login_attempts_address", "address", "at"),
    )

    attempt_id: Mapped[int] = _identity()
    email: Mapped[str]
    address: Mapped[str]
    succeeded: Mapped[bool]
    at: Mapped[datetime]


class Preference(Base):
    """One row per person who changed how mail reaches them."""

    __tablename__ = "preferences"
    __table_args__ = (
        sa.CheckConstraint("digest_hour between 0 and 23", name="digest_hour"),
        sa.CheckConstraint(
            "at_once_severities <@ array['low', 'medium', 'high', 'critical']", name="at_once_severities"
        ),
    )

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.user_id"), primary_key=True)
    digest_hour: Mapped[int]
    at_once_severities: Mapped[list[str]]
    opt_outs: Mapped[list[str]]
    updated_at: Mapped[datetime]


class RosterEntry(Base):
    """One row per tutor who has a coach."""

    __tablename__ = "roster"

    tutor_id: Mapped[str] = mapped_column(primary_key=True)
    coach_user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.user_id"), index=True)
    since: Mapped[datetime]


class AuditEntry(Base):
    """One row per decision, chained by hash. Append-only."""

    __tablename__ = "audit_log"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    actor: Mapped[str]
    action: Mapped[str]
    object_name: Mapped[str] = mapped_column("object", index=True)
    details: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    prev_hash: Mapped[str]
    row_hash: Mapped[str]


class AuditHead(Base):
    """The one row that says where the audit chain ends, so that a cut-off tail is noticed."""

    __tablename__ = "audit_heads"
    __table_args__ = (sa.CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(primary_key=True)
    position: Mapped[int]
    row_hash: Mapped[str]


class ApiKey(Base):
    """One row per key of an app. Only the key's hash is kept; scopes say what it may do."""

    __tablename__ = "api_keys"
    __table_args__ = (
        sa.CheckConstraint("scopes <@ array['track', 'read'] and cardinality(scopes) > 0", name="scopes"),
    )

    key_id: Mapped[int] = _identity()
    name: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    revoked_at: Mapped[datetime | None]


class CorrectionRow(Base):
    """One row per decision about the habits of a feed, in force until somebody retires it."""

    __tablename__ = "corrections"
    __table_args__ = (_one_of("action", CorrectionAction), sa.Index("ix_corrections_feed", "source", "kind"))

    correction_id: Mapped[int] = _identity()
    source: Mapped[str]
    kind: Mapped[str]
    action: Mapped[CorrectionAction]
    field: Mapped[str]
    old_value: Mapped[str | None]
    new_value: Mapped[str | None]
    note: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    retired_by: Mapped[str | None]
    retired_at: Mapped[datetime | None]


class ReplayRequest(Base):
    """One row per wish to judge quarantined records again, or to give them up. Empty columns do not narrow it."""

    __tablename__ = "replay_requests"
    __table_args__ = (_one_of("action", ReplayAction),)

    request_id: Mapped[int] = _identity()
    action: Mapped[ReplayAction]
    source: Mapped[str | None]
    kind: Mapped[str | None]
    field: Mapped[str | None]
    reason: Mapped[str | None]
    note: Mapped[str | None]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[dict[str, Any] | None]


class FeedRelease(Base):
    """One row per time that somebody let a feed be pulled again which had failed for good."""

    __tablename__ = "feed_releases"

    release_id: Mapped[int] = _identity()
    kind: Mapped[str] = mapped_column(index=True)
    released_by: Mapped[str]
    released_at: Mapped[datetime]
    note: Mapped[str]


class Erasure(Base):
    """One row per person whose data was erased. The proof counts what was found before and after, by place.

    The identifier is kept: without it the next delivery would bring the person back.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        _one_of("person_kind", PersonKind),
        sa.Index("ix_erasures_person", "person_kind", "person_id"),
    )

    erasure_id: Mapped[int] = _identity()
    person_kind: Mapped[PersonKind]
    person_id: Mapped[str]
    note: Mapped[str]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    proof: Mapped[dict[str, Any] | None]


APPEND_ONLY = ("episode_events", "deliveries", "audit_log")
"""Tables on which a trigger refuses update and delete. An erasure may change words in the first two, never the last."""
