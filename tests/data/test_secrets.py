"""Secrets made here are made once and kept closed; weak ones are refused by name."""

import base64
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from data.secrets import WeakSecret, session_secret, webhook_secrets
from data.settings import PROJECT_ROOT, Settings

STRONG = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()


def settings_in(folder: Path, *, webhook: str | None = None, session: str | None = None) -> Settings:
    return Settings(
        state=folder,
        webhook_secrets=None if webhook is None else SecretStr(webhook),
        session_secret=None if session is None else SecretStr(session),
    )


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [secret] = webhook_secrets(settings)
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert webhook_secrets(settings) == [secret]
    assert session_secret(settings) == session_secret(settings) != secret
    assert webhook_secrets(settings_in(tmp_path / "other")) != [secret]


def test_only_their_owner_may_read_them(tmp_path: Path) -> None:
    webhook_secrets(settings_in(tmp_path))
    session_secret(settings_in(tmp_path))
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {place.name: stat.S_IMODE(place.stat().st_mode) for place in folder.iterdir()} == {
        "webhook": 0o600,
        "session": 0o600,
    }


def test_eight_threads_make_one_secret(tmp_path: Path) -> None:
    for number in range(20):
        settings, together = settings_in(tmp_path / str(number)), threading.Barrier(8)

        def make(settings: Settings = settings, wait: threading.Barrier = together) -> str:
            wait.wait(timeout=30)
            return webhook_secrets(settings)[0]

        with ThreadPoolExecutor(8) as pool:
            assert len({future.result() for future in [pool.submit(make) for _ in range(8)]}) == 1


def test_many_processes_make_one_secret(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from data.settings import Settings;"
        "from data.secrets import session_secret; print(session_secret(Settings(state=Path(sys.argv[1]))))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in running}) == 1
    assert {process.returncode for process in running} == {0}


def test_several_given_secrets_stay_in_order(tmp_path: Path) -> None:
    assert webhook_secrets(settings_in(tmp_path, webhook=f" {STRONG}, {OTHER},")) == [STRONG, OTHER]
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize(
    "given",
    [
        "",
        " , ",
        "whsec_",
        "whsec_!!!!",
        "whsec_c2hvcnQ=",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "secret",
        "whsec_é" + "A" * 40,
        STRONG + " " + OTHER,
        STRONG + ",whsec_c2hvcnQ=",
    ],
)
def test_a_weak_webhook_secret_is_refused_and_not_printed(tmp_path: Path, given: str) -> None:
    with pytest.raises(WeakSecret) as refusal:
        webhook_secrets(settings_in(tmp_path, webhook=given))
    assert not any(part and part in str(refusal.value) for part in given.split("whsec_")[1:])


def test_a_secret_in_the_state_folder_that_was_emptied_is_refused(tmp_path: Path) -> None:
    webhook_secrets(settings_in(tmp_path))
    (tmp_path / "secrets" / "webhook").write_text("")
    with pytest.raises(WeakSecret):
        webhook_secrets(settings_in(tmp_path))


@pytest.mark.parametrize("given", ["", "short", "x" * 23])
def test_a_weak_session_secret_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(WeakSecret, match="CHALKLINE_SESSION_SECRET"):
        session_secret(settings_in(tmp_path, session=given))
    assert session_secret(settings_in(tmp_path, session="x" * 24)) == "x" * 24


def test_a_secret_is_not_shown_with_the_settings(tmp_path: Path) -> None:
    assert STRONG not in repr(settings_in(tmp_path, webhook=STRONG, session=STRONG))
