"""Addresses of the one Postgres, as SQLAlchemy and as libpq read them, and locks that die with their holder."""

import threading

import pytest
import sqlalchemy as sa
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import make_url

from data.postgres import DATABASES, Postgres, _reader_password, advisory_lock, engine_for, open_postgres
from data.settings import Settings

HOSTILE = [
    "plain",
    "with space",
    "quo'te",
    "back\\slash",
    "a=b",
    "x' host='evil",
    "é👩‍🏫",
    "trailing ",
    "\\'",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_password_survives_the_connection_string(text: str) -> None:
    base = make_url("postgresql://owner@db.example:5433/postgres").set(password=text)
    told = parse_dsn(Postgres(base=base, reader_password=text).libpq("lake"))
    assert told == {"dbname": "lake", "user": "owner", "password": text, "host": "db.example", "port": "5433"}
    assert parse_dsn(Postgres(base, text).libpq("lake", reader=True))["password"] == text


def test_any_folder_survives_the_connection_string() -> None:
    base = make_url("postgresql://postgres:@/postgres?host=/tmp/a folder's state")
    assert parse_dsn(Postgres(base, None).libpq("lake")) == {
        "dbname": "lake",
        "user": "postgres",
        "host": "/tmp/a folder's state",
    }


def test_what_the_address_demands_of_the_connection_holds_for_the_lake_too() -> None:
    base = make_url("postgresql://owner:x@db.example/postgres?sslmode=verify-full")
    assert parse_dsn(Postgres(base, "y").libpq("lake", reader=True))["sslmode"] == "verify-full"


def test_the_readers_password_is_not_the_owners() -> None:
    derived = _reader_password("a long password of the owner")
    assert derived == _reader_password("a long password of the owner") != _reader_password("another")
    assert derived is not None
    assert "owner" not in derived
    assert _reader_password(None) is None


def test_opening_again_finds_the_same_three_databases(postgres: Postgres, state_settings: Settings) -> None:
    open_postgres.__globals__["_open"].cache_clear()
    again = open_postgres(state_settings)
    assert again == postgres
    with engine_for(again.url("lake")).connect() as connection:
        names = set(connection.execute(sa.text("select datname from pg_database")).scalars())
    assert names >= set(DATABASES)


def test_a_lock_is_held_by_one_and_freed_at_the_end_even_after_an_error(postgres: Postgres) -> None:
    engine = engine_for(postgres.url("lake"))

    def fail_while_holding() -> None:
        with (
            advisory_lock(engine, "test.lock") as held,
            advisory_lock(engine, "test.lock", wait=False) as second,
        ):
            assert held
            assert not second
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_holding()
    with advisory_lock(engine, "test.lock", wait=False) as held:
        assert held


def test_a_lock_lets_one_after_the_other_through(postgres: Postgres) -> None:
    engine = engine_for(postgres.url("lake"))
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(10):
            with advisory_lock(engine, "test.turns"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
