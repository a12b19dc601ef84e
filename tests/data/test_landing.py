"""The landing: a message is there once and whole, whoever stores, takes or dies in between."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data.landing import TRACK_SOURCE, WEBHOOK_SOURCE, Drop, Landing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BAD_IDS = [
    "",
    ".",
    "..",
    "a.b",
    "a/b",
    "../x",
    "/etc/passwd",
    "a b",
    "a\n",
    "a\x00",
    "é",
    "١",
    "x" * 129,
    "a\\b",
    "%2e",
]


def a_drop(message_id: str = "msg_1", body: bytes = b'{"a": 1}', at: datetime = NOON) -> Drop:
    return Drop(message_id, at, body)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


def claimed(landing: Landing, **options: Any) -> list[str]:
    return [drop.message_id for drop in landing.claim(**options)]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\x00\xff\n\r\n", b"line\nline", "👩‍🏫".encode(), b"x" * 200_000]
)
def test_a_message_is_kept_byte_for_byte(landing: Landing, body: bytes) -> None:
    drop = a_drop(body=body)
    assert landing.store(drop) == "stored"
    assert list(landing.claim()) == [drop]


def test_the_same_message_again_is_a_duplicate_whenever_it_comes(landing: Landing) -> None:
    assert landing.store(a_drop()) == "stored"
    for _ in range(3):
        assert landing.store(a_drop(at=NOON + timedelta(days=30))) == "duplicate"
    claimed(landing)
    assert landing.store(a_drop()) == "duplicate"
    landing.finish(["msg_1"])
    assert landing.store(a_drop()) == "duplicate"
    assert landing.waiting() == []


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_another_body_under_a_known_id_is_a_conflict_and_not_kept(landing: Landing, moves: int) -> None:
    landing.store(a_drop())
    if moves:
        claimed(landing)
    if moves == 2:
        landing.finish(["msg_1"])
    assert landing.store(a_drop(body=b'{"a": 2}')) == "conflict"
    assert landing.store(a_drop()) == "duplicate"


@pytest.mark.parametrize("message_id", BAD_IDS)
def test_an_id_that_is_no_file_name_is_refused(landing: Landing, tmp_path: Path, message_id: str) -> None:
    with pytest.raises(ValueError, match="is not made of letters"):
        landing.store(a_drop(message_id))
    assert not [place for place in tmp_path.rglob("*") if place.is_file()]


@pytest.mark.parametrize("message_id", ["a", "-", "_", "x" * 128, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"])
def test_an_id_of_letters_digits_and_dashes_is_taken(landing: Landing, message_id: str) -> None:
    assert landing.store(a_drop(message_id)) == "stored"
    assert landing.waiting() == [message_id]


def test_of_eight_who_store_the_same_id_at_once_exactly_one_stores(landing: Landing) -> None:
    for number in range(40):
        together = threading.Barrier(8)

        def store(name: str = f"m{number}", wait: threading.Barrier = together) -> str:
            wait.wait(timeout=30)
            return landing.store(a_drop(name))

        with ThreadPoolExecutor(8) as pool:
            verdicts = [future.result() for future in [pool.submit(store) for _ in range(8)]]
        assert sorted(verdicts) == ["duplicate"] * 7 + ["stored"]
    assert len(landing.waiting()) == 40


def test_of_eight_bodies_under_one_id_exactly_one_is_kept(landing: Landing) -> None:
    for number in range(20):
        together = threading.Barrier(8)

        def store(body: int, name: str = f"m{number}", wait: threading.Barrier = together) -> str:
            wait.wait(timeout=30)
            return landing.store(a_drop(name, body=b"%d" % body))

        with ThreadPoolExecutor(8) as pool:
            verdicts = [future.result() for future in [pool.submit(store, body) for body in range(8)]]
        assert sorted(verdicts) == ["conflict"] * 7 + ["stored"]


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(("body", "verdict"), [(b'{"a": 1}', "duplicate"), (b"other", "conflict")])
def test_a_taker_that_comes_between_look_and_link_does_not_make_a_message_two(
    landing: Landing, monkeypatch: pytest.MonkeyPatch, finished: bool, body: bytes, verdict: str
) -> None:
    link = os.link

    def another_is_faster(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        assert landing.store(a_drop()) == "stored"
        assert claimed(landing) == ["msg_1"]
        if finished:
            landing.finish(["msg_1"])
        link(source, target)

    monkeypatch.setattr(os, "link", another_is_faster)
    assert landing.store(a_drop(body=body)) == verdict
    assert claimed(landing) == ([] if finished else ["msg_1"])


def test_storing_while_messages_are_taken_loses_and_doubles_nothing(landing: Landing) -> None:
    names = [f"m{number}" for number in range(150)]
    done = threading.Event()
    taken: list[str] = []
    verdicts: list[str] = []

    def store(seed: int) -> None:
        order = names.copy()
        random.Random(seed).shuffle(order)
        verdicts.extend(landing.store(a_drop(name)) for name in order)

    def take() -> None:
        while not done.is_set() or landing.waiting():
            batch = claimed(landing, limit=7)
            taken.extend(batch)
            landing.finish(batch)

    taker = threading.Thread(target=take)
    taker.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store, range(4)))
    done.set()
    taker.join()
    assert sorted(taken) == sorted(names)
    assert verdicts.count("stored") == 150
    assert verdicts.count("duplicate") == 450


def test_a_claim_that_was_never_finished_is_taken_up_again(landing: Landing, tmp_path: Path) -> None:
    for number in range(5):
        landing.store(a_drop(f"m{number}"))
    first = list(landing.claim(limit=3))
    landing.store(a_drop("m9"))
    again = Landing(tmp_path / "landing")
    assert list(again.claim(limit=3)) == first
    assert len(list(again.claim())) == 6
    assert again.waiting() == ["m0", "m1", "m2", "m3", "m4", "m9"]


def test_a_claim_that_dies_while_it_moves_loses_nothing(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        landing.store(a_drop(f"m{number}"))
    rename, moved = os.rename, []

    def die_at_the_fourth(source: Path, target: Path) -> None:
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(source)
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", die_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            claimed(landing)
    assert sorted(claimed(landing)) == [f"m{number}" for number in range(6)]


def test_finishing_twice_or_by_halves_is_safe(landing: Landing, tmp_path: Path) -> None:
    for number in range(4):
        landing.store(a_drop(f"m{number}"))
    claimed(landing)
    landing.finish(["m0", "unknown"])
    landing.finish(["m0"])
    assert claimed(landing) == ["m1", "m2", "m3"]
    landing.finish(["m1", "m2", "m3"])
    landing.finish(["m1", "m2", "m3"])
    assert claimed(landing) == []
    assert len(list((tmp_path / "landing" / "archive").rglob("*.json"))) == 4
    assert list((tmp_path / "landing" / "claimed").iterdir()) == []


def test_only_what_was_claimed_can_be_finished(landing: Landing) -> None:
    landing.store(a_drop())
    landing.finish(["msg_1"])
    assert landing.waiting() == ["msg_1"]


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_crash_while_storing_leaves_no_half_message(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, step, crash)
        with pytest.raises(OSError, match="No space left"):
            landing.store(a_drop())
    assert landing.waiting() == []
    assert not [place for place in tmp_path.rglob("*") if place.is_file()]
    assert landing.store(a_drop()) == "stored"


def test_whoever_reads_while_others_write_reads_whole_messages(landing: Landing, tmp_path: Path) -> None:
    body = b"x" * 300_000
    stop = threading.Event()
    lengths: set[int] = set()

    def watch() -> None:
        while not stop.is_set():
            for place in (tmp_path / "landing" / "inbox").glob("*"):
                lengths.add(len(place.read_bytes().partition(b"\n")[2]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(60):
        landing.store(a_drop(f"m{number}", body=body))
    stop.set()
    watcher.join()
    assert lengths <= {len(body)}


def test_a_duplicate_is_not_acknowledged_before_the_first_one_is_durable(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stored it may have died between its link and its last sync."""
    landing.store(a_drop())
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))[1]
    )
    assert landing.store(a_drop()) == "duplicate"
    assert synced == [landing._inbox.stat().st_ino]


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_message_is_found_wherever_it_lies(landing: Landing, moves: int) -> None:
    assert landing.find("msg_1") is None
    landing.store(a_drop())
    landing.store(a_drop("msg_2"))
    if moves:
        claimed(landing)
    if moves == 2:
        landing.finish(["msg_1"])
    assert landing.find("msg_1") == a_drop()
    assert landing.find("msg") is None


def test_a_drop_says_which_feed_brought_it_and_older_ones_are_webhooks(
    landing: Landing, tmp_path: Path
) -> None:
    landing.store(a_drop("webhook"))
    landing.store(Drop("app", NOON, b"{}", TRACK_SOURCE))
    old = tmp_path / "landing" / "inbox" / "old.json"
    old.write_bytes(b'{"message_id": "old", "received_at": "2026-03-01T12:00:00+00:00"}\n{}')
    assert {drop.message_id: drop.source for drop in landing.claim()} == {
        "webhook": WEBHOOK_SOURCE,
        "app": TRACK_SOURCE,
        "old": WEBHOOK_SOURCE,
    }


@pytest.mark.parametrize("claims", [0, 1, 30])
def test_storing_does_not_search_the_archive_nor_the_inbox(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claims: int
) -> None:
    """What a message costs does not grow with what came before it."""
    for number in range(claims):
        landing.store(a_drop(f"m{number}"))
        claimed(landing)
        if number % 2:
            landing.finish([f"m{number}"])
    listed: list[Path] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: (listed.append(place), listdir(place))[1])
    monkeypatch.setattr(os, "scandir", lambda place: pytest.fail(f"{place} is searched"))
    assert landing.store(a_drop("new")) == "stored"
    assert set(listed) == {tmp_path / "landing" / "claimed"}


def test_a_message_is_durable_before_it_is_acknowledged(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("sync"), fsync(handle))[1])
    monkeypatch.setattr(os, "link", lambda *places: (order.append("link"), link(*places))[1])
    landing.store(a_drop())
    assert order == ["sync", "link", "sync"]
