"""Secrets and keys at the command line: shown when they should be, hidden when not, and every decision written down."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from data.operations import api_keys, audit
from data.operations.store import Operations
from data.secrets import retire, webhook_secrets
from data.settings import Settings
from orchestration import cli
from orchestration.commands import secret as secret_commands

WHOLE = re.compile(r"whsec_[A-Za-z0-9+/]{40,}=*")


def say(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def settings(deployed: Settings) -> Iterator[Settings]:
    yield deployed
    retire(deployed, now=datetime.now(UTC))


def actions(operations: Operations, object_name: str) -> list[str]:
    with operations.session() as session:
        return [entry.action for entry in audit.entries_about(session, object_name)]


def test_a_rotation_prints_the_new_secret_and_the_old_one_stays_for_the_overlap(
    settings: Settings, operations: Operations
) -> None:
    retire(settings, now=datetime.now(UTC))
    [old] = webhook_secrets(settings)
    new = say("secret", "rotate").strip()
    assert webhook_secrets(settings) == [new, old]
    assert say("secret").split() == [new, old]
    newest, older = say("secret", "list").splitlines()
    assert "until it is rotated" in newest
    assert new[-4:] in newest
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d UTC", older)
    assert "1 ended" in say("secret", "retire")
    assert webhook_secrets(settings) == [new]
    assert "the only one" in say("secret", "retire")
    assert actions(operations, "webhook_secret") == ["secret.rotated", "secret.retired"]


def test_an_overlap_of_nothing_ends_the_old_secret_at_once(
    settings: Settings, operations: Operations
) -> None:
    new = say("secret", "rotate", "--overlap-hours", "0").strip()
    assert webhook_secrets(settings) == [new]


def test_a_list_shows_no_secret_unless_it_is_asked_to(settings: Settings, operations: Operations) -> None:
    say("secret", "rotate")
    assert not WHOLE.search(say("secret", "list"))
    assert WHOLE.findall(say("secret", "list", "--show")) == webhook_secrets(settings)


def test_the_audit_log_holds_no_secret(settings: Settings, operations: Operations) -> None:
    new = say("secret", "rotate").strip()
    with operations.session() as session:
        [entry] = audit.entries_about(session, "webhook_secret")
        assert new not in str(entry.details)
        assert entry.details["overlap_hours"] == 24.0


@pytest.mark.parametrize("command", ["rotate", "retire"])
def test_secrets_given_from_outside_are_changed_there(
    settings: Settings,
    operations: Operations,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    before = webhook_secrets(settings)
    given = settings.model_copy(update={"webhook_secrets": SecretStr(before[0])})
    monkeypatch.setattr(secret_commands, "get_settings", lambda: given)
    monkeypatch.setattr(sys, "argv", ["chalkline", "secret", command])
    with pytest.raises(SystemExit):
        cli.main()
    assert "CHALKLINE_WEBHOOK_SECRETS is set and wins" in capsys.readouterr().err.replace("\n", " ")
    assert webhook_secrets(settings) == before
    assert actions(operations, "webhook_secret") == []


def test_a_key_is_shown_once_and_does_what_it_is_for(settings: Settings, operations: Operations) -> None:
    token = say("keys", "add", "phone app", "--scope", "track", "--scope", "read", "--days", "30").strip()
    now = datetime.now(UTC)
    with operations.session() as session:
        row = api_keys.verify(session, token, scope="track", now=now)
        assert api_keys.verify(session, token, scope="read", now=now) is row
        assert row.expires_at is not None
        assert (row.expires_at - row.created_at).days == 30
    listed = say("keys", "list")
    assert "phone app" in listed
    assert "in force" in listed
    assert token not in listed


def test_a_revoked_key_is_listed_as_such(settings: Settings, operations: Operations) -> None:
    token = say("keys", "add", "web", "--scope", "read").strip()
    with operations.session() as session:
        key_id = api_keys.all_keys(session)[0].key_id
    assert f"key {key_id} (web) is revoked" in say("keys", "revoke", str(key_id))
    assert "revoked" in say("keys", "list")
    with operations.session() as session, pytest.raises(api_keys.KeyRefused):
        api_keys.verify(session, token, scope="read", now=datetime.now(UTC))
    assert actions(operations, f"api_key:{key_id}") == ["api_key.issued", "api_key.revoked"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "revoke", "99"), "KeyNotFound: key 99 is not in force"),
        (
            ("keys", "add", "web", "--scope", "admin"),
            "ValueError: 'admin' is not a scope; choose of track, read",
        ),
        (("keys", "add", " ", "--scope", "read"), "ValueError: a key has a name"),
    ],
)
def test_a_wrong_word_is_one_line(
    settings: Settings,
    operations: Operations,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["chalkline", *words])
    with pytest.raises(SystemExit):
        cli.main()
    line = capsys.readouterr().err
    assert told in line
    assert "Traceback" not in line


@pytest.mark.parametrize("group", ["secret", "keys"])
def test_each_group_explains_itself(group: str) -> None:
    assert "Usage" in say(group, "--help")
