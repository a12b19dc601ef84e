"""Keys of apps: shown once, kept as a hash, for what they are for, until they end."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.api_keys import (
    TOKEN,
    KeyNotFound,
    KeyRefused,
    ScopeMissing,
    all_keys,
    is_in_force,
    issue,
    revoke,
    verify,
)
from data.operations.store import Operations
from data.operations.tables import ApiKey, Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_key(session: Session, *scopes: str, **options: object) -> tuple[ApiKey, str]:
    arguments = {"name": "app", "scopes": scopes or ("track",), "actor": "test", "now": NOW} | options
    return issue(session, **arguments)  # type: ignore[arg-type]


def test_a_key_is_thirty_two_random_bytes_and_only_its_hash_is_kept(operations: Operations) -> None:
    with operations.session() as session:
        row, token = a_key(session)
        _, other = a_key(session)
    assert TOKEN.fullmatch(token)
    assert token != other
    assert row.key_hash == hashlib.sha256(token.encode()).hexdigest()
    with operations.engine.connect() as connection:
        for table in ("api_keys", "audit_log"):
            kept = str(connection.execute(sa.text(f"select * from {table}")).all())
            assert token not in kept
            assert token.removeprefix("ck_") not in kept


@pytest.mark.parametrize("scopes", [("track",), ("read",), ("track", "read"), ("read", "track", "read")])
def test_a_key_does_what_it_is_for_and_nothing_else(operations: Operations, scopes: tuple[str, ...]) -> None:
    with operations.session() as session:
        row, token = a_key(session, *scopes)
        wanted: tuple[Scope, ...] = ("track", "read")
        for scope in wanted:
            if scope in scopes:
                assert verify(session, token, scope=scope, now=NOW).key_id == row.key_id
            else:
                with pytest.raises(ScopeMissing, match=f"not for {scope}"):
                    verify(session, token, scope=scope, now=NOW)


def test_what_is_no_key_is_refused_in_one_text(operations: Operations) -> None:
    with operations.session() as session:
        row, token = a_key(session)
        changed = token[:-1] + ("A" if token[-1] != "A" else "B")
        texts = set()
        for wrong in ("", "ck_", changed, token + "x", token[:-1], row.key_hash, f" {token}", token.upper(), "é" * 46,
                      "\x00", "\ud800", "' or true --"):  # fmt: skip
            with pytest.raises(KeyRefused) as refusal:
                verify(session, wrong, scope="track", now=NOW)
            texts.add(str(refusal.value))
    assert len(texts) == 1


def test_a_key_ends_by_the_clock(operations: Operations) -> None:
    with operations.session() as session:
        row, token = a_key(session, lifetime=timedelta(days=2))
        assert verify(session, token, scope="track", now=NOW + timedelta(days=2, seconds=-1)) is row
        for later in (timedelta(days=2), timedelta(days=400)):
            assert not is_in_force(row, NOW + later)
            with pytest.raises(KeyRefused):
                verify(session, token, scope="track", now=NOW + later)


def test_a_revoked_key_is_refused_and_revoked_once(operations: Operations) -> None:
    with operations.session() as session:
        row, token = a_key(session)
        _, other = a_key(session)
        revoke(session, row.key_id, actor="ana", now=NOW)
        with pytest.raises(KeyRefused):
            verify(session, token, scope="track", now=NOW)
        assert verify(session, other, scope="track", now=NOW)
        for key_id in (row.key_id, 99):
            with pytest.raises(KeyNotFound, match=f"key {key_id} is not in force"):
                revoke(session, key_id, actor="ana", now=NOW)
        assert (row.revoked_by, row.revoked_at) == ("ana", NOW)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": " "}, "a name of 1 to 100"),
        ({"name": "x" * 101}, "a name of 1 to 100"),
        ({"name": "a\nb"}, "printable"),
        ({"scopes": ()}, "at least one scope"),
        ({"scopes": ("track", "admin")}, "'admin' is not a scope; choose of track, read"),
        ({"lifetime": timedelta(0)}, "a day or more"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(
    operations: Operations, changes: dict[str, object], told: str
) -> None:
    with operations.session() as session, pytest.raises(ValueError, match=told):
        a_key(session, **changes)
    with operations.session() as session:
        assert all_keys(session) == []


def test_keys_are_listed_newest_first_also_when_they_ended(operations: Operations) -> None:
    with operations.session() as session:
        ids = [a_key(session, name=name)[0].key_id for name in ("one", "two", "three")]
        revoke(session, ids[1], actor="ana", now=NOW)
        assert [(row.key_id, is_in_force(row, NOW)) for row in all_keys(session)] == [
            (ids[2], True),
            (ids[1], False),
            (ids[0], True),
        ]


def test_every_decision_is_in_the_audit_log(operations: Operations) -> None:
    with operations.session() as session:
        row, _ = a_key(session, "read", name=" phone ", lifetime=timedelta(days=1))
        revoke(session, row.key_id, actor="ana", now=NOW + timedelta(hours=1))
        entries = audit.entries_about(session, f"api_key:{row.key_id}")
        assert [(entry.actor, entry.action) for entry in entries] == [
            ("test", "api_key.issued"),
            ("ana", "api_key.revoked"),
        ]
        assert entries[0].details == {
            "name": "phone",
            "scopes": ["read"],
            "expires_at": str(NOW + timedelta(days=1)),
        }
        assert audit.verify_chain(session).is_intact
