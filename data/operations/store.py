"""The door of the operations store: migrate to head, then hand out sessions.

What belongs here: opening, migrating, the unit of work. What does not: queries and rules (the services).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from data.postgres import Postgres, advisory_lock, engine_for

HEAD_REVISION = "0002"
"""Newest migration. Named here so that opening a current store costs one query and no Alembic import."""
MIGRATIONS = Path(__file__).resolve().parent / "migrations"


@dataclass(frozen=True)
class Operations:
    """An operations store whose tables are those of this version of the code."""

    engine: Engine

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give one unit of work: committed when the block ends, rolled back when it raises.

        Services never commit. Rows stay readable after the block.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session


def open_operations(postgres: Postgres) -> Operations:
    """Open the store, migrated to head. Safe to run from several processes at once, and again.

    Raises RuntimeError when the database was migrated by newer code than this.
    """
    engine = engine_for(postgres.url("operations"))
    if _revision_of(engine) != HEAD_REVISION:
        with advisory_lock(engine, "chalkline.operations.migrate"):
            _migrate(engine)
    return Operations(engine)


def _revision_of(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if connection.execute(sa.text("select to_regclass('public.alembic_version')")).scalar() is None:
            return None
        return connection.execute(sa.text("select version_num from alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    found = _revision_of(engine)
    if found == HEAD_REVISION:
        return
    if found is not None:
        try:
            ScriptDirectory.from_config(alembic_config()).get_revision(found)
        except CommandError as error:
            raise RuntimeError(
                f"the operations store is at revision {found!r}, which this version ({HEAD_REVISION!r}) "
                "does not know; run the newer version, or restore a backup made by this one"
            ) from error
    with engine.begin() as connection:
        upgrade(connection, HEAD_REVISION)


def alembic_config(connection: Connection | None = None) -> Any:
    """Return Alembic's configuration for our migrations, bound to a connection when one is given."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str) -> None:
    """Migrate up to a revision inside the connection's transaction: all of it or nothing."""
    from alembic import command

    command.upgrade(alembic_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Migrate down to a revision inside the connection's transaction: all of it or nothing."""
    from alembic import command

    command.downgrade(alembic_config(connection), revision)
