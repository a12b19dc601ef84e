"""Webhook messages on their way from the landing into the lake: none is lost, none is doubled."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pull_builders import CLOCK

from assets.ingest import messages
from assets.ingest.messages import take_messages
from assets.ingest.pull import Account
from data.contracts import Correction
from data.lake.writer import LakeWriter
from data.landing import TRACK_SOURCE, WEBHOOK_SOURCE, Drop, Landing
from data.settings import Settings

RECEIVED = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


@pytest.fixture
def take(lake: LakeWriter, landing: Landing, state_settings: Settings) -> Any:
    return lambda: take_messages(lake, landing, state_settings, clock=CLOCK)


def drop(landing: Landing, number: int, body: bytes | None = None, **changes: Any) -> None:
    session = {
        "session_id": f"s{number}",
        "tutor_id": "t1",
        "student_id": "c1",
        "session_start_time": "2026-03-01T10:00:00Z",
    } | changes
    document = {"type": "session.completed", "timestamp": "2026-03-01T11:05:00Z", "data": session}
    landing.store(Drop(f"m{number}", RECEIVED, body if body is not None else json.dumps(document).encode()))


def counts(account: Account) -> tuple[int, ...]:
    return tuple(account.total(name) for name in ("read", "loaded", "duplicate", "quarantined"))


def session_ids(lake: LakeWriter) -> list[str]:
    return lake.read("select session_id from lake.raw_marketplace.sessions order by 1")[
        "session_id"
    ].to_list()


def test_messages_become_sessions_and_are_archived(lake: LakeWriter, landing: Landing, take: Any) -> None:
    for number in range(5):
        drop(landing, number)
    assert counts(take()) == (5, 5, 0, 0)
    assert landing.waiting() == []
    row = lake.read(
        "select source, status, updated_at, ingested_at from lake.raw_marketplace.sessions limit 1"
    ).row(0)
    assert row == ("rails.webhook", "finished", datetime(2026, 3, 1, 11, 5), datetime(2026, 3, 1, 12))
    assert take().batches == []


def test_a_taker_killed_between_lake_and_archive_leaves_duplicates_only(
    lake: LakeWriter, landing: Landing, take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        drop(landing, number)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Landing, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            take()
    assert session_ids(lake) == [f"s{number}" for number in range(6)]
    assert len(landing.waiting()) == 6
    drop(landing, 7)
    assert counts(take()) == (7, 1, 6, 0)
    assert landing.waiting() == []
    assert len(session_ids(lake)) == 7


def test_a_taker_killed_before_the_lake_loses_nothing(
    lake: LakeWriter, landing: Landing, take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(landing, 1)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(messages, "take_in", die)
        with pytest.raises(KeyboardInterrupt):
            take()
    assert session_ids(lake) == []
    assert counts(take()) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[" * 5_000,
        b'{"type": ' + b"[" * 950 + b"]" * 950 + b"}",
        b'{"data": {"session_id": ' + b"[" * 950 + b"]" * 950 + b"}}",
        b'{"type": "email.bounced", "data": {}}',
        b'{"data": {"session_id": "x", "session_start_time": "0001-01-01T00:00:00+10:00"}}',
        b'{"session_id": "\\ud800"}',
        b'{"session_id": "a\\u0000"}',
        b'{"session_id": ' + b"9" * 5_000 + b"}",
        b"\xff\xfe",
    ],
)
def test_a_message_that_nobody_can_read_is_quarantined_and_blocks_no_other(
    lake: LakeWriter, landing: Landing, take: Any, body: bytes
) -> None:
    drop(landing, 1)
    drop(landing, 2, body)
    drop(landing, 3)
    assert counts(take()) == (3, 2, 0, 1)
    assert session_ids(lake) == ["s1", "s3"]
    assert landing.waiting() == []
    refused = lake.read("select source, reason from lake.raw_quality.quarantined_records").row(0)
    assert refused[0] == "rails.webhook"
    assert refused[1]


def test_the_same_session_in_two_messages_is_one_version(
    lake: LakeWriter, landing: Landing, take: Any
) -> None:
    drop(landing, 1, session_id="s")
    drop(landing, 2, session_id="s")
    drop(landing, 3, session_id="s", student_feedback={"rating": 4})
    assert counts(take()) == (3, 2, 1, 0)


def test_a_redelivery_after_the_archive_brings_nothing(lake: LakeWriter, landing: Landing, take: Any) -> None:
    drop(landing, 1)
    take()
    drop(landing, 1)
    assert landing.waiting() == []
    assert take().batches == []


LOGIN = {
    "actor_type": "tutor",
    "actor_id": "t1",
    "event_type": "login",
    "occurred_at": "2026-03-01T10:00:00Z",
}


def test_what_the_apps_report_says_that_they_did(lake: LakeWriter, landing: Landing, take: Any) -> None:
    event = LOGIN | {"event_id": "e1", "updated_at": "2026-03-01T10:00:00Z"}
    for number, (source, events) in enumerate(
        [(TRACK_SOURCE, [event]), (WEBHOOK_SOURCE, [event | {"event_id": "e2"}]), (TRACK_SOURCE, [event])]
    ):
        body = json.dumps({"type": "engagement.event", "data": {"events": events}}).encode()
        landing.store(Drop(f"m{number}", RECEIVED, body, source))
    account = take()
    assert counts(account) == (3, 2, 1, 0)
    rows = lake.read("select event_id, source from lake.raw_marketplace.engagement_events order by all")
    assert rows.rows() == [("e1", TRACK_SOURCE), ("e2", WEBHOOK_SOURCE)]
    assert {(batch.source, batch.read_count) for batch in account.batches} == {
        (TRACK_SOURCE, 2),
        (WEBHOOK_SOURCE, 1),
    }


def test_each_feed_is_mended_by_what_was_decided_about_it(
    lake: LakeWriter, landing: Landing, state_settings: Settings
) -> None:
    for source in (TRACK_SOURCE, WEBHOOK_SOURCE):
        body = json.dumps(
            {"type": "engagement.event", "timestamp": "2026-03-01T10:00:00Z", "data": LOGIN | {"id": "e1"}}
        )
        landing.store(Drop(source.replace(".", "_"), RECEIVED, body.encode(), source))

    def decided(source: str, kind: str) -> tuple[Correction, ...]:
        return (Correction("rename", "id", new_value="event_id"),) if source == TRACK_SOURCE else ()

    account = take_messages(lake, landing, state_settings, clock=CLOCK, corrections=decided)
    assert {batch.source: batch.quarantined_count for batch in account.batches} == {
        TRACK_SOURCE: 0,
        WEBHOOK_SOURCE: 1,
    }
