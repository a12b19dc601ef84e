"""Create the operations store."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
APPEND_ONLY = ("episode_events", "deliveries", "audit_log")
TABLES = (
    "alert_baselines",
    "audit_heads",
    "audit_log",
    "login_attempts",
    "publications",
    "users",
    "alert_episodes",
    "outbox",
    "preferences",
    "publication_holds",
    "roster",
    "setup_tokens",
    "deliveries",
    "episode_events",
)


def upgrade() -> None:
    op.create_table(
        "alert_baselines",
        sa.Column("rule_code", sa.Text(), nullable=False),
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("rule_code", name="pk_alert_baselines"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("only_row", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.CheckConstraint("only_row", name=op.f("ck_audit_heads_only_row")),
        sa.PrimaryKeyConstraint("only_row", name="pk_audit_heads"),
    )
    op.create_table(
        "audit_log",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_object", "audit_log", ["object"])
    op.create_table(
        "login_attempts",
        sa.Column("attempt_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_address", "login_attempts", ["address", "at"])
    op.create_index("ix_login_attempts_email", "login_attempts", ["email", "at"])
    op.create_table(
        "publications",
        sa.Column("publication_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("lake_snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.Column("checks", JSONB(), nullable=False),
        sa.Column("rolled_back_to", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["rolled_back_to"], ["publications.publication_id"], name="fk_publications_rolled_back_to"
        ),
        sa.PrimaryKeyConstraint("publication_id", name="pk_publications"),
    )
    op.create_index("ix_publications_published_at", "publications", ["published_at"])
    op.create_table(
        "users",
        sa.Column("user_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("session_epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "role in ('admin', 'engineer', 'analyst', 'coach', 'viewer')", name=op.f("ck_users_role")
        ),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_users_email_lower")),
        sa.PrimaryKeyConstraint("user_id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "alert_episodes",
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("rule_code", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("tutor_id", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("recommended_action", sa.Text(), nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=True),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("snoozed_until", INSTANT, nullable=True),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("coach_agreed", sa.Boolean(), nullable=True),
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("publication_id", sa.BigInteger(), nullable=True),
        sa.Column("is_baseline", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(status in ('resolved', 'dismissed')) = (resolved_at is not null)",
            name=op.f("ck_alert_episodes_resolved_at"),
        ),
        sa.CheckConstraint(
            "severity in ('low', 'medium', 'high', 'critical')", name=op.f("ck_alert_episodes_severity")
        ),
        sa.CheckConstraint(
            "status <> 'snoozed' or snoozed_until is not null", name=op.f("ck_alert_episodes_snoozed_until")
        ),
        sa.CheckConstraint(
            "status in ('open', 'acknowledged', 'in_progress', 'snoozed', 'resolved', 'dismissed')",
            name=op.f("ck_alert_episodes_status"),
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.user_id"], name="fk_alert_episodes_owner_id"),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.publication_id"], name="fk_alert_episodes_publication_id"
        ),
        sa.PrimaryKeyConstraint("episode_id", name="pk_alert_episodes"),
    )
    op.create_index("ix_alert_episodes_fingerprint", "alert_episodes", ["fingerprint", "resolved_at"])
    op.create_index("ix_alert_episodes_rule_code", "alert_episodes", ["rule_code"])
    op.create_index("ix_alert_episodes_status", "alert_episodes", ["status", "severity"])
    op.create_index("ix_alert_episodes_tutor_id", "alert_episodes", ["tutor_id"])
    op.create_index(
        "uq_alert_episodes_open_fingerprint",
        "alert_episodes",
        ["fingerprint"],
        unique=True,
        postgresql_where=sa.text("status not in ('resolved', 'dismissed')"),
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("headers", JSONB(), nullable=False),
        sa.Column("is_urgent", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("not_before", INSTANT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("first_attempt_at", INSTANT, nullable=True),
        sa.Column("claimed_at", INSTANT, nullable=True),
        sa.Column("uncertain_since", INSTANT, nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("publication_id", sa.BigInteger(), nullable=True),
        sa.Column("episode_ids", ARRAY(sa.Uuid()), nullable=False),
        sa.CheckConstraint("kind in ('alert', 'digest', 'system')", name=op.f("ck_outbox_kind")),
        sa.CheckConstraint(
            "status in ('pending', 'sending', 'sent', 'failed', 'unknown', 'suppressed')",
            name=op.f("ck_outbox_status"),
        ),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.publication_id"], name="fk_outbox_publication_id"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_outbox"),
        sa.UniqueConstraint("idempotency_key", name="uq_outbox_idempotency_key"),
    )
    op.create_index("ix_outbox_due", "outbox", ["status", "not_before"])
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("digest_hour", sa.BigInteger(), nullable=False),
        sa.Column("at_once_severities", ARRAY(sa.Text()), nullable=False),
        sa.Column("opt_outs", ARRAY(sa.Text()), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "at_once_severities <@ array['low', 'medium', 'high', 'critical']",
            name=op.f("ck_preferences_at_once_severities"),
        ),
        sa.CheckConstraint("digest_hour between 0 and 23", name=op.f("ck_preferences_digest_hour")),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="fk_preferences_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_preferences"),
    )
    op.create_table(
        "publication_holds",
        sa.Column("hold_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("publication_id", sa.BigInteger(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.publication_id"], name="fk_publication_holds_publication_id"
        ),
        sa.PrimaryKeyConstraint("hold_id", name="pk_publication_holds"),
    )
    op.create_index(
        "uq_publication_holds_in_force",
        "publication_holds",
        [sa.literal_column("(released_at is null)")],
        unique=True,
        postgresql_where=sa.text("released_at is null"),
    )
    op.create_table(
        "roster",
        sa.Column("tutor_id", sa.Text(), nullable=False),
        sa.Column("coach_user_id", sa.BigInteger(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["coach_user_id"], ["users.user_id"], name="fk_roster_coach_user_id"),
        sa.PrimaryKeyConstraint("tutor_id", name="pk_roster"),
    )
    op.create_index("ix_roster_coach_user_id", "roster", ["coach_user_id"])
    op.create_table(
        "setup_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="fk_setup_tokens_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_setup_tokens"),
    )
    op.create_index("ix_setup_tokens_user_id", "setup_tokens", ["user_id"])
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "outcome in ('sent', 'passing', 'permanent', 'unknown', 'lost')",
            name=op.f("ck_deliveries_outcome"),
        ),
        sa.ForeignKeyConstraint(["message_id"], ["outbox.message_id"], name="fk_deliveries_message_id"),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_message_id", "deliveries", ["message_id"])
    op.create_table(
        "episode_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("episode_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.CheckConstraint(
            "kind in ('opened', 'updated', 'severity_raised', 'acknowledged', 'started', 'snoozed', "
            "'resolved', 'auto_resolved', 'dismissed', 'reopened', 'assigned', 'note')",
            name=op.f("ck_episode_events_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["alert_episodes.episode_id"], name="fk_episode_events_episode_id"
        ),
        sa.PrimaryKeyConstraint("event_id", name="pk_episode_events"),
    )
    op.create_index("ix_episode_events_at", "episode_events", ["at"])
    op.create_index("ix_episode_events_episode_id", "episode_events", ["episode_id"])
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception '% is append-only: % refused', tg_table_name, lower(tg_op);
        end $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"create trigger append_only before update or delete on {table} "
            "for each row execute function refuse_change()"
        )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("drop function refuse_change()")
