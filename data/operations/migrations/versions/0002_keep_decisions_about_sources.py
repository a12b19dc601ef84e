"""Keep decisions about sources: keys of apps, corrections, replays, releases, erasures."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.Identity(always=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        _key("key_id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "scopes <@ array['track', 'read'] and cardinality(scopes) > 0", name=op.f("ck_api_keys_scopes")
        ),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_table(
        "corrections",
        _key("correction_id"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retired_by", sa.Text(), nullable=True),
        sa.Column("retired_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "action in ('rename', 'replace', 'clear', 'fill', 'parse_time')",
            name=op.f("ck_corrections_action"),
        ),
        sa.PrimaryKeyConstraint("correction_id", name="pk_corrections"),
    )
    op.create_index("ix_corrections_feed", "corrections", ["source", "kind"])
    op.create_table(
        "replay_requests",
        _key("request_id"),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("outcome", JSONB(), nullable=True),
        sa.CheckConstraint("action in ('replay', 'discard')", name=op.f("ck_replay_requests_action")),
        sa.PrimaryKeyConstraint("request_id", name="pk_replay_requests"),
    )
    op.create_table(
        "feed_releases",
        _key("release_id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=False),
        sa.Column("released_at", INSTANT, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("release_id", name="pk_feed_releases"),
    )
    op.create_index("ix_feed_releases_kind", "feed_releases", ["kind"])
    op.create_table(
        "erasures",
        _key("erasure_id"),
        sa.Column("person_kind", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("proof", JSONB(), nullable=True),
        sa.CheckConstraint("person_kind in ('customer', 'tutor')", name=op.f("ck_erasures_person_kind")),
        sa.PrimaryKeyConstraint("erasure_id", name="pk_erasures"),
    )
    op.create_index("ix_erasures_person", "erasures", ["person_kind", "person_id"])
    # The words in a history may name somebody who asks to be erased; the audit log holds no words, so it never changes.
    op.execute(
        """
        create or replace function refuse_change() returns trigger language plpgsql as $$
        begin
            if tg_op = 'UPDATE' and tg_table_name <> 'audit_log'
                and current_setting('chalkline.erasing', true) = 'on' then
                return new;
            end if;
            raise exception '% is append-only: % refused', tg_table_name, lower(tg_op);
        end $$
        """
    )


def downgrade() -> None:
    op.execute(
        """
        create or replace function refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception '% is append-only: % refused', tg_table_name, lower(tg_op);
        end $$
        """
    )
    for table in ("erasures", "feed_releases", "replay_requests", "corrections", "api_keys"):
        op.drop_table(table)
