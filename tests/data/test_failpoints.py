"""A failpoint does nothing unless it is named, and then exactly what was asked for, the nth time."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from data import failpoints
from data.failpoints import FailpointReached, failpoint
from data.settings import PROJECT_ROOT, get_settings


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    failpoints._passed.clear()
    yield monkeypatch
    monkeypatch.undo()
    get_settings.cache_clear()


def arm(armed: pytest.MonkeyPatch, text: str) -> None:
    armed.setenv("CHALKLINE_FAILPOINT", text)
    get_settings.cache_clear()


def test_a_failpoint_that_nobody_named_does_nothing(armed: pytest.MonkeyPatch) -> None:
    armed.delenv("CHALKLINE_FAILPOINT", raising=False)
    get_settings.cache_clear()
    failpoint("a")
    arm(armed, "b:1:raise")
    failpoint("a")


def test_a_failpoint_stops_the_time_that_was_asked_for_and_only_then(armed: pytest.MonkeyPatch) -> None:
    arm(armed, "a:3:raise")
    failpoint("a")
    failpoint("a")
    with pytest.raises(FailpointReached, match="failpoint a"):
        failpoint("a")
    failpoint("a")


def test_a_full_disk_is_told_as_the_system_tells_it(armed: pytest.MonkeyPatch) -> None:
    arm(armed, "a:1:enospc")
    with pytest.raises(OSError, match="failpoint a") as full:
        failpoint("a")
    assert full.value.errno == errno.ENOSPC


@pytest.mark.parametrize("text", ["a", "a:1", "a:0:kill", "a:x:kill", "a:1:sleep", "a:-1:raise"])
def test_a_failpoint_that_cannot_be_read_says_how_to_write_it(armed: pytest.MonkeyPatch, text: str) -> None:
    arm(armed, text)
    with pytest.raises(ValueError, match="name:n:action"):
        failpoint("a")


def test_a_killed_process_ends_at_once() -> None:
    program = "from data.failpoints import failpoint; failpoint('a'); print('still there')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT_ROOT,
        env=os.environ | {"CHALKLINE_FAILPOINT": "a:1:kill"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
