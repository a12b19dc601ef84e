from datetime import timedelta

import pytest
import sqlalchemy as sa
from operations_builders import NOON, a_candidate, an_open_episode, see

from data.operations import audit, episodes, feedback, preferences, roster, users
from data.operations.store import Operations
from data.operations.tables import Role, SetupToken, User
from data.operations.users import Refused

PASSWORD = "a quiet long password"


def a_user(operations: Operations, email: str = "kim@example.org", role: Role = "coach") -> tuple[User, str]:
    with operations.session() as session:
        return users.create_user(session, email=email, name="Kim", role=role, actor="user:0", now=NOON)


def with_password(operations: Operations, email: str = "kim@example.org") -> User:
    _, token = a_user(operations, email)
    with operations.session() as session:
        return users.set_password(session, token=token, password=PASSWORD, now=NOON)


def login(
    operations: Operations, password: str = PASSWORD, *, email: str = "kim@example.org", minutes: float = 0
) -> User | Refused:
    with operations.session() as session:
        return users.verify(
            session, email=email, password=password, address="10.0.0.1", now=NOON + timedelta(minutes=minutes)
        )


def test_a_setup_token_works_once_and_is_not_stored_readable(operations: Operations) -> None:
    _, token = a_user(operations)
    with operations.session() as session:
        assert token not in session.scalars(sa.select(SetupToken.token_hash)).all()
        user = users.set_password(session, token=token, password=PASSWORD, now=NOON)
        assert (user.password_hash or "").startswith("$argon2id$")
    with operations.session() as session, pytest.raises(PermissionError):
        users.set_password(session, token=token, password=PASSWORD, now=NOON)


def test_a_setup_token_ends_after_a_week_and_with_a_newer_one(operations: Operations) -> None:
    user, first = a_user(operations)
    with operations.session() as session, pytest.raises(PermissionError):
        users.set_password(session, token=first, password=PASSWORD, now=NOON + timedelta(days=7))
    with operations.session() as session:
        second = users.issue_setup_token(session, user.user_id, actor="user:0", now=NOON)
        with pytest.raises(PermissionError):
            users.set_password(session, token=first, password=PASSWORD, now=NOON)
        users.set_password(session, token=second, password=PASSWORD, now=NOON)


def test_a_short_password_is_refused_and_does_not_use_up_the_token(operations: Operations) -> None:
    _, token = a_user(operations)
    with operations.session() as session:
        with pytest.raises(ValueError, match="12"):
            users.set_password(session, token=token, password="short", now=NOON)
        users.set_password(session, token=token, password=PASSWORD, now=NOON)


@pytest.mark.parametrize(
    "email", ["kim", "@example.org", "kim@a@b", "kim@x\r\nBcc: y@z", "a b@c", "a,b@c", ""]
)
def test_an_unusable_address_is_refused(operations: Operations, email: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        a_user(operations, email)


def test_an_address_belongs_to_one_person_in_any_case(operations: Operations) -> None:
    a_user(operations)
    with pytest.raises(ValueError, match="already a user"):
        a_user(operations, "KIM@example.org")


def test_the_right_password_lets_in(operations: Operations) -> None:
    user = with_password(operations)
    entered = login(operations, email=" Kim@Example.org ")
    assert isinstance(entered, User)
    assert entered.user_id == user.user_id


def test_every_refusal_reads_the_same(operations: Operations) -> None:
    user = with_password(operations)
    refusals = [login(operations, "wrong"), login(operations, email="nobody@example.org")]
    with operations.session() as session:
        users.set_active(session, user.user_id, is_active=False, actor="user:0", now=NOON)
    a_user(operations, "new@example.org")
    refusals += [login(operations), login(operations, email="new@example.org")]
    assert {r.text for r in refusals if isinstance(r, Refused)} == {users.REFUSED_TEXT}
    assert not any(isinstance(entered, User) for entered in refusals)


@pytest.mark.parametrize("email", ["kim@example.org", "nobody@example.org"])
def test_ten_wrong_tries_lock_known_and_unknown_accounts_alike(operations: Operations, email: str) -> None:
    with_password(operations)
    tries = [login(operations, "wrong", email=email) for _ in range(11)]
    assert [isinstance(entered, Refused) and entered.is_locked for entered in tries] == [False] * 10 + [True]
    assert isinstance(login(operations, email=email, minutes=14), Refused)


def test_a_lock_ends_after_fifteen_minutes(operations: Operations) -> None:
    with_password(operations)
    for _ in range(10):
        login(operations, "wrong")
    assert isinstance(login(operations, minutes=14.9), Refused)
    assert isinstance(login(operations, minutes=15), User)


def test_one_address_cannot_try_many_accounts(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "TRIES_PER_ADDRESS", 3)
    with_password(operations)
    for number in range(3):
        login(operations, "wrong", email=f"u{number}@example.org")
    refused = login(operations)
    assert isinstance(refused, Refused)
    assert refused.is_locked


def test_open_sessions_end_when_the_role_changes_or_the_person_is_disabled(operations: Operations) -> None:
    user = with_password(operations)
    with operations.session() as session:
        assert users.signed_in(session, user.user_id, user.session_epoch) is not None
        users.change_role(session, user.user_id, role="viewer", actor="user:0", now=NOON)
        assert users.signed_in(session, user.user_id, 1) is None
        assert users.signed_in(session, user.user_id, 2) is not None
        users.set_active(session, user.user_id, is_active=False, actor="user:0", now=NOON)
        assert users.signed_in(session, user.user_id, 3) is None


def test_a_tutor_has_one_coach(operations: Operations) -> None:
    kim, _ = a_user(operations)
    lee, _ = a_user(operations, "lee@example.org")
    with operations.session() as session:
        assert roster.assign(session, ["T-1", "T-2"], coach_id=kim.user_id, actor="user:0", now=NOON) == 2
        assert roster.assign(session, ["T-1", "T-2"], coach_id=kim.user_id, actor="user:0", now=NOON) == 0
        assert roster.assign(session, ["T-2"], coach_id=lee.user_id, actor="user:0", now=NOON) == 1
        assert roster.tutors_of(session, kim.user_id) == ["T-1"]
        coach = roster.coach_of(session, "T-2")
        assert coach is not None
        assert coach.email == "lee@example.org"
        assert roster.assign(session, ["T-2"], coach_id=None, actor="user:0", now=NOON) == 1
        assert roster.coach_of(session, "T-2") is None


def test_only_an_active_coach_gets_tutors(operations: Operations) -> None:
    viewer, _ = a_user(operations, "v@example.org", "viewer")
    with operations.session() as session, pytest.raises(ValueError, match="not an active coach"):
        roster.assign(session, ["T-1"], coach_id=viewer.user_id, actor="user:0", now=NOON)


def test_preferences_have_defaults_and_are_replaced(operations: Operations) -> None:
    user, _ = a_user(operations)
    with operations.session() as session:
        assert preferences.preferences_of(session, user.user_id, now=NOON).digest_hour == 7
        preferences.save_preferences(
            session, user.user_id, digest_hour=18, at_once=["critical", "high"], opt_outs=[], now=NOON
        )
        preferences.opt_out(session, user.email, "digest", now=NOON)
        stored = preferences.preferences_of(session, user.user_id, now=NOON)
    assert (stored.digest_hour, stored.at_once_severities, stored.opt_outs) == (
        18,
        ["high", "critical"],
        ["digest"],
    )


def test_system_mail_cannot_be_opted_out_of(operations: Operations) -> None:
    a_user(operations)
    with operations.session() as session, pytest.raises(ValueError, match="system"):
        preferences.opt_out(session, "kim@example.org", "system", now=NOON)


def test_the_warehouse_gets_episodes_and_roster_with_the_lakes_columns(operations: Operations) -> None:
    kim, _ = a_user(operations)
    episode = an_open_episode(operations)
    see(operations, [a_candidate("T-1"), a_candidate("T-2")])
    with operations.session() as session:
        roster.assign(session, ["T-1"], coach_id=kim.user_id, actor="user:0", now=NOON)
        episodes.assign(
            session, episode.episode_id, owner_id=kim.user_id, version=1, actor="user:0", now=NOON
        )
    with operations.session() as session:
        rows = feedback.episodes_frame(session, now=NOON)
        people = feedback.roster_frame(session, now=NOON)
    assert all(tuple(row) == feedback.EPISODE_COLUMNS for row in rows)
    assert {row["entity_id"]: row["owner"] for row in rows} == {"T-1": "kim@example.org", "T-2": None}
    assert rows[0]["opened_at"] == NOON.replace(tzinfo=None)
    assert people == [
        {"coach_email": "kim@example.org", "tutor_id": "T-1", "snapshot_at": NOON.replace(tzinfo=None)}
    ]


def _write_chain(operations: Operations, length: int) -> None:
    with operations.session() as session:
        for number in range(length):
            audit.append(
                session,
                actor="user:1",
                action="test",
                object_name=f"thing:{number}",
                details={"n": number / 3, "text": "é"},
                now=NOON,
            )


def test_an_untouched_chain_holds(operations: Operations) -> None:
    with operations.session() as session:
        assert audit.verify_chain(session).is_intact
    _write_chain(operations, 5)
    with operations.session() as session:
        assert audit.verify_chain(session) == audit.ChainReport(5)


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("update audit_log set details = '{\"n\": 9}' where position = 3", 3),
        ("update audit_log set actor = 'user:2' where position = 1", 1),
        ("update audit_log set at = at + interval '1 second' where position = 2", 2),
        ("delete from audit_log where position = 2", 2),
        ("delete from audit_log where position >= 4", 4),
        ("delete from audit_log", 1),
    ],
)
def test_an_edited_or_removed_audit_row_is_noticed(
    operations: Operations, tampering: str, broken_at: int
) -> None:
    _write_chain(operations, 5)
    with operations.engine.begin() as connection:
        connection.execute(sa.text("set local session_replication_role = replica"))
        connection.execute(sa.text(tampering))
    with operations.session() as session:
        report = audit.verify_chain(session)
    assert not report.is_intact
    assert report.broken_at == broken_at


def test_two_decisions_at_once_make_one_chain(operations: Operations) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _write_chain(operations, 5), range(4)))
    with operations.session() as session:
        assert audit.verify_chain(session) == audit.ChainReport(20)
