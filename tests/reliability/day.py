"""The day that journeys and reliability tests start from: a tiny world, run once per test run, copied where needed.

Its clock stands still, so that every copy is the same whenever the tests run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from tests.reliability.deployment import Deployment

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""A Monday, noon in the business time zone."""
NEXT_NOON = NOON + timedelta(days=1)
SEED = 7
SHARED_ROOM = "TESTS_SHARED_ROOM"
"""Names the folder in which the processes of one test run share the day; unset where one process runs alone."""


@cache
def room() -> Path:
    """Return the folder of this process's deployments."""
    # Not pytest's own folder: that one is closed to the user the embedded server runs as. A short name, because
    # the path of the server's socket has a limit.
    folder = Path(tempfile.mkdtemp(prefix="chalk-"))
    folder.chmod(0o755)
    return folder


@cache
def tiny_day() -> Deployment:
    """Return the deployment after its day. It is only looked at: whoever writes works on a copy."""
    shared = os.environ.get(SHARED_ROOM)
    if shared is None:
        return _lived(Deployment.create(room() / "day", NOON))
    with _turn(Path(shared) / "turn"):
        done, first = Path(shared) / "lived", Deployment.create(Path(shared) / "day", NOON)
        if not done.exists():
            shutil.rmtree(first.state, ignore_errors=True)
            _lived(first).let_go()
            done.touch()
        return first.copy_to(room() / "day")


def _lived(deployment: Deployment) -> Deployment:
    deployment.chalkline("day", "--source", "world", "--profile", "tiny", "--seed", str(SEED))
    return deployment


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """Wait until no other process of the test run is in the block."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@contextmanager
def copy_of_the_day(name: str) -> Iterator[Deployment]:
    """Give a copy of the deployment after its day, for the length of a block."""
    copy = tiny_day().copy_to(room() / name)
    try:
        yield copy
    finally:
        copy.let_go()
        shutil.rmtree(copy.state, ignore_errors=True)


def leave() -> None:
    """Stop what runs in this process's folder and remove it."""
    if tiny_day.cache_info().currsize:
        tiny_day().let_go()
    if room.cache_info().currsize:
        shutil.rmtree(room(), ignore_errors=True)
    tiny_day.cache_clear()
    room.cache_clear()
