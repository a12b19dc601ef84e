from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from operations_builders import NOON, an_open_episode

from data.operations import store
from data.operations.store import HEAD_REVISION, Operations, alembic_config, open_operations
from data.operations.tables import AlertEpisode, Base, Publication
from data.postgres import Postgres, engine_for


@pytest.fixture
def scratch(postgres: Postgres) -> sa.Engine:
    """An empty database beside the real ones."""
    maintenance = engine_for(postgres.url("operations")).execution_options(isolation_level="AUTOCOMMIT")
    with maintenance.connect() as connection:
        connection.execute(sa.text("drop database if exists scratch with (force)"))
        connection.execute(sa.text("create database scratch"))
    return sa.create_engine(postgres.base.set(drivername="postgresql+psycopg2", database="scratch"))


def test_there_is_one_head_and_the_store_names_it() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD_REVISION]


def test_the_migrated_tables_are_the_declared_ones(operations: Operations) -> None:
    with operations.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    assert differences == []


def test_every_declared_check_is_in_the_database(operations: Operations) -> None:
    declared = {
        constraint.name
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    with operations.engine.connect() as connection:
        found = set(connection.scalars(sa.text("select conname from pg_constraint where contype = 'c'")))
    assert declared <= found


def test_migrations_go_up_down_and_up_again(scratch: sa.Engine) -> None:
    for move, revision in [(store.upgrade, "head"), (store.downgrade, "base"), (store.upgrade, "head")]:
        with scratch.begin() as connection:
            move(connection, revision)
    names = set(sa.inspect(scratch).get_table_names())
    assert names == {table.name for table in Base.metadata.sorted_tables} | {"alembic_version"}
    scratch.dispose()


def test_a_migration_that_dies_half_way_leaves_nothing(scratch: sa.Engine) -> None:
    with scratch.connect() as connection:
        transaction = connection.begin()
        store.upgrade(connection, "head")
        transaction.rollback()
    assert sa.inspect(scratch).get_table_names() == []
    scratch.dispose()


def test_opening_a_current_store_does_not_migrate(
    operations: Operations, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_migrate", lambda engine: pytest.fail("migrated a current store"))
    assert open_operations(postgres).engine.url == operations.engine.url


def test_a_store_of_a_newer_version_is_refused(operations: Operations) -> None:
    with operations.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    try:
        with pytest.raises(RuntimeError, match="9999"):
            store._migrate(operations.engine)
    finally:
        with operations.engine.begin() as connection:
            connection.execute(sa.text("update alembic_version set version_num = :v"), {"v": HEAD_REVISION})


def test_a_unit_of_work_that_raises_leaves_nothing(operations: Operations) -> None:
    def work() -> None:
        with operations.session() as session:
            session.add(
                Publication(
                    lake_snapshot_id=1, lane="fast", as_of_date=NOON.date(), published_at=NOON, checks={}
                )
            )
            session.flush()
            raise KeyError("stop")

    with pytest.raises(KeyError):
        work()
    with operations.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Publication)) == 0


def test_an_instant_without_a_zone_is_refused(operations: Operations) -> None:
    with operations.session() as session:
        query = sa.select(Publication).where(Publication.published_at == datetime(2026, 3, 2))
        with pytest.raises(sa.exc.StatementError, match="no time zone"):
            session.scalars(query)


def test_a_word_outside_the_vocabulary_is_refused(operations: Operations) -> None:
    episode = an_open_episode(operations)

    def spoil() -> None:
        with operations.session() as session:
            session.execute(
                sa.update(AlertEpisode)
                .where(AlertEpisode.episode_id == episode.episode_id)
                .values(severity="fatal")
            )

    with pytest.raises(sa.exc.IntegrityError, match="ck_alert_episodes_severity"):
        spoil()


@pytest.mark.parametrize("statement", ["update episode_events set actor = 'x'", "delete from episode_events"])
def test_history_cannot_be_rewritten(operations: Operations, statement: str) -> None:
    an_open_episode(operations)
    with operations.engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
        connection.execute(sa.text(statement))
