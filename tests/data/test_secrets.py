"""Secrets made here are made once and kept closed; weak ones are refused by name."""

import base64
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from data.secrets import (
    GivenFromOutside,
    SecretRing,
    WeakSecret,
    active_secrets,
    retire,
    rotate,
    session_secret,
    webhook_secrets,
)
from data.settings import PROJECT_ROOT, Settings

STRONG = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


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


def test_a_rotation_puts_a_new_secret_in_front_and_the_old_one_ends_after_the_overlap(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [old] = webhook_secrets(settings, now=NOW)
    new = rotate(settings, now=NOW).value
    assert webhook_secrets(settings, now=NOW) == [new, old]
    assert webhook_secrets(settings, now=NOW + 24 * HOUR - timedelta(seconds=1)) == [new, old]
    assert webhook_secrets(settings, now=NOW + 24 * HOUR) == [new]
    assert len(base64.b64decode(new.removeprefix("whsec_"), validate=True)) == 32
    assert [(each.value, each.expires_at) for each in active_secrets(settings, now=NOW)] == [
        (new, None),
        (old, NOW + 24 * HOUR),
    ]


def test_no_rotation_makes_an_older_secret_live_longer(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [first] = webhook_secrets(settings, now=NOW)
    second = rotate(settings, now=NOW, overlap=2 * HOUR).value
    third = rotate(settings, now=NOW + HOUR, overlap=24 * HOUR).value
    assert webhook_secrets(settings, now=NOW + HOUR) == [third, second, first]
    assert webhook_secrets(settings, now=NOW + 2 * HOUR) == [third, second]
    fourth = rotate(settings, now=NOW + 3 * HOUR, overlap=timedelta(0)).value
    assert webhook_secrets(settings, now=NOW + 3 * HOUR) == [fourth]
    assert (tmp_path / "secrets" / "webhook").read_text() == fourth, "what ended is not kept"


def test_retiring_ends_all_but_the_newest_at_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [old] = webhook_secrets(settings, now=NOW)
    new = rotate(settings, now=NOW)
    assert [each.value for each in retire(settings, now=NOW)] == [old]
    assert webhook_secrets(settings, now=NOW) == [new.value]
    assert retire(settings, now=NOW) == []


def test_a_rotation_leaves_one_closed_file(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    for _ in range(3):
        rotate(settings, now=NOW)
    retire(settings, now=NOW)
    [file] = (tmp_path / "secrets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_rotations_at_once_follow_each_other(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [first] = webhook_secrets(settings, now=NOW)
    with ThreadPoolExecutor(8) as pool:
        made = [
            future.result().value for future in [pool.submit(rotate, settings, now=NOW) for _ in range(8)]
        ]
    kept = webhook_secrets(settings, now=NOW)
    assert sorted(kept) == sorted([*made, first])
    assert kept[-1] == first


def test_a_rotation_that_dies_leaves_the_secrets_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    before = webhook_secrets(settings, now=NOW)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data.secrets.os.replace", die)
    with pytest.raises(KeyboardInterrupt):
        rotate(settings, now=NOW)
    assert webhook_secrets(settings, now=NOW) == before


@pytest.mark.parametrize("change", [rotate, retire])
def test_secrets_given_from_outside_win_and_are_not_rotated_here(tmp_path: Path, change: Any) -> None:
    settings = settings_in(tmp_path, webhook=f"{STRONG},{OTHER}")
    with pytest.raises(GivenFromOutside, match="CHALKLINE_WEBHOOK_SECRETS is set and wins"):
        change(settings, now=NOW)
    assert not (tmp_path / "secrets").exists()


def test_an_overlap_in_the_past_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give 0 hours or more"):
        rotate(settings_in(tmp_path), now=NOW, overlap=-HOUR)


@pytest.mark.parametrize(
    "text", [f"{STRONG} soon", f"{STRONG} 2026-03-01T12:00:00", f"{STRONG}\n\n{OTHER}", "x"]
)
def test_a_kept_file_that_makes_no_sense_is_refused_and_not_printed(tmp_path: Path, text: str) -> None:
    settings = settings_in(tmp_path)
    webhook_secrets(settings)
    (tmp_path / "secrets" / "webhook").write_text(text)
    with pytest.raises(WeakSecret) as refusal:
        webhook_secrets(settings, now=NOW)
    assert STRONG.removeprefix("whsec_") not in str(refusal.value)


def test_when_every_secret_has_ended_it_says_what_to_do(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    webhook_secrets(settings)
    (tmp_path / "secrets" / "webhook").write_text(f"{STRONG} {NOW.isoformat()}")
    with pytest.raises(WeakSecret, match="chalkline secret rotate"):
        webhook_secrets(settings, now=NOW)
    fresh = rotate(settings, now=NOW)
    assert webhook_secrets(settings, now=NOW) == [fresh.value]


def test_a_ring_sees_rotations_retirements_and_the_clock(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    [old] = webhook_secrets(settings, now=NOW)
    ring = SecretRing(settings)
    assert ring.active(NOW) == [old]
    new = rotate(settings, now=NOW).value
    assert ring.active(NOW) == [new, old]
    assert ring.active(NOW + 24 * HOUR) == [new]
    retire(settings, now=NOW)
    assert ring.active(NOW) == [new]


def test_a_ring_reads_the_file_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    ring = SecretRing(settings)
    ring.active(NOW)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", lambda *_: pytest.fail("read again"))
        assert len({ring.active(NOW)[0] for _ in range(100)}) == 1
    rotate(settings, now=NOW)
    assert len(ring.active(NOW)) == 2


@pytest.mark.parametrize("harm", ["emptied", "removed", "weak"])
def test_a_ring_keeps_what_it_had_while_the_file_makes_no_sense(tmp_path: Path, harm: str) -> None:
    settings = settings_in(tmp_path)
    [old] = webhook_secrets(settings, now=NOW)
    new = rotate(settings, now=NOW).value
    ring = SecretRing(settings)
    assert ring.active(NOW) == [new, old]
    file = tmp_path / "secrets" / "webhook"
    if harm == "removed":
        file.unlink()
    else:
        file.write_text("" if harm == "emptied" else "whsec_c2hvcnQ=")
    assert ring.active(NOW) == [new, old]
    assert ring.active(NOW + 24 * HOUR) == [new], "the clock goes on"


def test_a_ring_over_given_secrets_stays_with_them(tmp_path: Path) -> None:
    ring = SecretRing(settings_in(tmp_path, webhook=f"{STRONG},{OTHER}"))
    assert ring.active(NOW) == [STRONG, OTHER]
