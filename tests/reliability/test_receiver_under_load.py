"""Kills and bursts in small, and judges that find what is missing."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.landing import Drop, Landing
from tests.reliability import burst, receiver_kills
from tests.reliability.receiver_kills import Acknowledged, lost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as.
    made = Path(tempfile.mkdtemp(prefix="chalk-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.reliability
def test_two_kills_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    said: list[str] = []
    verdict = receiver_kills.run(folder, seed=11, kills=2, say=said.append)
    assert verdict.is_whole, "\n".join(said)
    assert verdict.tried == 2


@pytest.mark.reliability
def test_a_small_burst_is_stored_whole_while_the_lake_is_written(folder: Path) -> None:
    said: list[str] = []
    verdict = burst.run(folder, seed=11, count=120, seconds=2.0, say=said.append)
    assert verdict.is_whole, "\n".join(said)
    assert verdict.tried == 120


def acknowledged(*names: str, body: bytes = b"{}") -> dict[str, Acknowledged]:
    return {name: Acknowledged(0, hashlib.sha256(body).hexdigest()) for name in names}


def test_what_is_missing_doubled_or_damaged_is_found(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    for name in ("whole", "doubled", "damaged", "cut"):
        landing.store(Drop(name, NOON, b"{}"))
    inbox = tmp_path / "inbox"
    (tmp_path / "archive" / "aa").mkdir()
    shutil.copy(inbox / "doubled.json", tmp_path / "archive" / "aa")
    (inbox / "damaged.json").write_bytes((inbox / "damaged.json").read_bytes() + b" ")
    (inbox / "cut.json").write_bytes(b'{"message_id": ')
    wrong = lost(tmp_path, acknowledged("whole", "doubled", "damaged", "cut", "gone"))
    assert wrong == {
        "doubled": "in 2 places",
        "damaged": "not readable as it was sent",
        "cut": "not readable as it was sent",
        "gone": "lost",
    }


def test_a_message_is_whole_at_every_place_of_its_way(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    for name in ("archived", "claimed", "waiting"):
        landing.store(Drop(name, NOON, b"{}"))
        taken = [drop.message_id for drop in landing.claim()] if name != "waiting" else []
        if name == "archived":
            landing.finish(taken)
    assert lost(tmp_path, acknowledged("archived", "claimed", "waiting")) == {}


def test_a_burst_is_the_same_for_the_same_seed() -> None:
    assert burst.events(seed=1, count=50) == burst.events(seed=1, count=50) != burst.events(seed=2, count=50)
    assert len({message.message_id for message in burst.events(seed=1, count=500)}) == 500
