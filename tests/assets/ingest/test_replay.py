"""Replay of the quarantine: what was mended is loaded once, the rest waits with its newest reason, nothing is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from assets.ingest.replay import ReplayReport, carry_out_waiting, replay
from data.clock import FixedClock
from data.contracts import Correction, Kind
from data.contracts.validation import RECORD_LIMIT
from data.lake.intake import Arrival, Batch, take_in
from data.lake.waiting import Scope, causes, waiting_list, waiting_records
from data.lake.writer import LakeWriter
from data.operations import corrections as decisions
from data.operations.store import Operations

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
MUCH_LATER = NOON + timedelta(hours=2)
STARS = Correction("rename", "stars", new_value="student_rating")


def a_session(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "session_id": f"s{number:03}",
        "tutor_id": "t1",
        "status": "finished",
        "scheduled_start_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
    } | changes


def bring(
    lake: LakeWriter,
    *records: Any,
    at: datetime = NOON,
    source: str = "rails.pull",
    kind: Kind = "sessions",
    corrections: tuple[Correction, ...] = (),
) -> Batch:
    return take_in(lake, kind, list(records), Arrival(source, at, date(2026, 3, 1), corrections))


def replay_all(
    lake: LakeWriter, *mended: Correction, at: datetime = LATER, scope: Scope | None = None
) -> ReplayReport:
    report = replay(
        lake,
        scope or Scope(),
        clock=FixedClock(at),
        time_zone="America/New_York",
        corrections=lambda _source, _kind: mended,
        by="test",
    )
    assert report.tried == report.loaded + report.duplicate + report.refused.total() + report.not_whole
    return report


def waiting(lake: LakeWriter) -> list[tuple[str | None, str]]:
    rows = waiting_list(lake.read, Scope())
    return sorted(rows.select("record_id", "reason").iter_rows())


def settlements(lake: LakeWriter) -> list[str]:
    return lake.read("select settlement from lake.raw_quality.quarantine_settlements order by 1")[
        "settlement"
    ].to_list()


def ratings(lake: LakeWriter) -> dict[str, float]:
    rows = lake.read("select session_id, student_rating from lake.raw_marketplace.sessions")
    return dict(rows.iter_rows())


def test_what_a_correction_mends_is_loaded_under_its_own_source_and_waits_no_longer(lake: LakeWriter) -> None:
    bring(lake, a_session(1, status="done"), a_session(2, student_rating=6), source="rails.webhook")
    report = replay_all(lake, Correction("replace", "status", "done", "finished"))
    assert (report.tried, report.loaded, report.duplicate) == (2, 1, 0)
    assert [one.field for one in report.still_refused] == ["student_rating"]
    assert [record_id for record_id, _ in waiting(lake)] == ["s002"]
    row = lake.read("select source, ingested_at from lake.raw_marketplace.sessions").row(0)
    assert row == ("rails.webhook", LATER.replace(tzinfo=None))
    assert settlements(lake) == ["loaded"]


def test_a_second_replay_without_a_new_decision_changes_nothing(lake: LakeWriter) -> None:
    bring(lake, a_session(1, status="done"), a_session(2, student_rating=6))
    mend = Correction("replace", "status", "done", "finished")
    replay_all(lake, mend)
    before = causes(lake.read, with_settled=True)
    again = replay_all(lake, mend, at=MUCH_LATER)
    assert (again.tried, again.loaded) == (1, 0)
    assert causes(lake.read, with_settled=True).equals(before)


def test_a_replay_is_no_arrival_it_adds_neither_sightings_nor_shapes(lake: LakeWriter) -> None:
    bring(lake, a_session(1, status="done"), a_session(2, student_rating=6))
    counted = "select (select count(*) from lake.raw_quality.quarantine_sightings), "
    counted += "(select count(*) from lake.raw_quality.record_shapes)"
    before = lake.read(counted).row(0)
    replay_all(lake, Correction("replace", "status", "done", "finished"))
    assert lake.read(counted).row(0) == before


def test_a_record_that_is_refused_for_another_reason_waits_once_under_the_new_one(lake: LakeWriter) -> None:
    bring(lake, a_session(1, status="done", student_rating=6))
    report = replay_all(lake, Correction("replace", "status", "done", "finished"))
    assert report.loaded == 0
    assert [one.field for one in report.still_refused] == ["student_rating"]
    ((record_id, reason),) = waiting(lake)
    assert (record_id, "less than or equal to 5" in reason) == ("s001", True)
    assert settlements(lake) == ["superseded"]
    last = replay_all(
        lake,
        Correction("replace", "status", "done", "finished"),
        Correction("clear", "student_rating", "6"),
        at=MUCH_LATER,
    )
    assert last.loaded == 1
    assert waiting(lake) == []


def test_a_reason_that_comes_back_after_a_correction_was_retired_waits_again(lake: LakeWriter) -> None:
    bring(lake, a_session(1, status="done", student_rating=6))
    replay_all(lake, Correction("replace", "status", "done", "finished"))
    replay_all(lake, at=MUCH_LATER)
    ((_, reason),) = waiting(lake)
    assert "'finished'" in reason


def test_what_came_by_another_way_meanwhile_is_a_duplicate(lake: LakeWriter) -> None:
    bring(lake, a_session(1, stars=5, updated_at="yesterday"), source="rails.webhook")
    bring(lake, a_session(1, student_rating=5), source="rails.pull")
    report = replay_all(lake, STARS, Correction("replace", "updated_at", "yesterday", "2026-03-01T11:00:00Z"))
    assert (report.loaded, report.duplicate) == (0, 1)
    assert settlements(lake) == ["duplicate"]
    assert waiting(lake) == []


def test_of_two_refused_records_that_become_one_version_one_is_loaded_and_one_is_a_duplicate(
    lake: LakeWriter,
) -> None:
    bring(lake, a_session(1, status="done", odd=1), a_session(1, status="done", odd=2))
    report = replay_all(lake, Correction("replace", "status", "done", "finished"))
    assert (report.loaded, report.duplicate) == (1, 1)
    assert settlements(lake) == ["duplicate", "loaded"]


def test_a_replay_is_narrowed_by_its_scope(lake: LakeWriter) -> None:
    mend = Correction("replace", "status", "done", "finished")
    bring(lake, a_session(1, status="done"))
    bring(lake, a_session(2, status="done"), source="rails.webhook")
    report = replay_all(lake, mend, scope=Scope(source="rails.webhook", kind="sessions", field="status"))
    assert (report.tried, report.loaded) == (1, 1)
    assert [record_id for record_id, _ in waiting(lake)] == ["s001"]


def test_what_was_too_long_to_be_kept_whole_is_told_and_goes_on_waiting(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_comment="x" * (RECORD_LIMIT + 10)))
    report = replay_all(lake, Correction("clear", "student_comment"))
    assert (report.tried, report.not_whole, report.loaded) == (1, 1, 0)
    assert len(waiting(lake)) == 1


def test_words_that_stand_for_what_could_not_be_written_are_never_loaded(lake: LakeWriter) -> None:
    deep: Any = "end"
    for _ in range(3_000):
        deep = [deep]
    bring(lake, a_session(1, student_comment=deep))
    report = replay_all(lake)
    assert (report.not_whole, report.loaded) == (1, 0)


@pytest.mark.parametrize("comment", ["\ud800", "a\x00b", float("nan"), 10**40, "🙂 مرحبا"])
def test_a_refused_record_is_judged_again_as_it_came(lake: LakeWriter, comment: Any) -> None:
    bring(lake, a_session(1, status="done", tutor_comment=comment))
    before = waiting(lake)
    replay_all(lake)
    assert waiting(lake) == before, "the same record for the same reason is the same refusal"
    assert settlements(lake) == []


def test_batches_of_a_replay_add_up(lake: LakeWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.ingest.replay.RECORDS_PER_BATCH", 7)
    bring(lake, *(a_session(number, status="done" if number % 3 else "odd") for number in range(30)))
    done: list[int] = []
    report = replay(
        lake,
        Scope(),
        clock=FixedClock(LATER),
        time_zone="America/New_York",
        corrections=lambda _source, _kind: (Correction("replace", "status", "done", "finished"),),
        by="test",
        progress=lambda count, _total: done.append(count),
    )
    assert (report.tried, report.loaded) == (30, 20)
    assert done == [7, 14, 21, 28, 30]
    account = lake.read(
        "select sum(tried_count), sum(loaded_count), sum(refused_count) from lake.raw_quality.replays"
    ).row(0)
    assert account == (30, 20, 10)
    batches = lake.read(
        "select bool_and(read_count = loaded_count + duplicate_count + quarantined_count) "
        "from lake.raw_quality.ingestion_batches"
    ).item()
    assert batches is True


def test_killed_in_a_batch_nothing_of_it_is_settled_and_a_rerun_goes_on(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.ingest.replay.RECORDS_PER_BATCH", 4)
    bring(lake, *(a_session(number, status="done") for number in range(10)))
    mend = Correction("replace", "status", "done", "finished")

    def die(done: int, _total: int) -> None:
        if done == 4:
            monkeypatch.setattr("assets.ingest.replay._account_for", broken)

    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(
            lake,
            Scope(),
            clock=FixedClock(LATER),
            time_zone="America/New_York",
            corrections=lambda _source, _kind: (mend,),
            by="test",
            progress=die,
        )
    assert len(ratings(lake)) == 4
    assert len(waiting(lake)) == 6
    monkeypatch.undo()
    assert replay_all(lake, mend, at=MUCH_LATER).loaded == 6
    assert len(ratings(lake)) == 10


def test_a_refused_record_that_comes_again_after_it_was_settled_waits_again(lake: LakeWriter) -> None:
    bad = a_session(1, status="done")
    bring(lake, bad)
    replay_all(lake, Correction("replace", "status", "done", "finished"))
    assert waiting(lake) == []
    bring(lake, bad, at=MUCH_LATER)
    assert len(waiting(lake)) == 1


def test_a_newer_valid_state_of_a_pulled_record_settles_the_refused_one(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_rating=6), a_session(2, student_rating=6))
    bring(lake, a_session(1, student_rating=5, updated_at="2026-03-01T11:30:00Z"), at=LATER)
    assert [record_id for record_id, _ in waiting(lake)] == ["s002"]
    assert settlements(lake) == ["overtaken"]


def test_an_older_state_that_comes_late_does_not_settle_a_newer_refused_one(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_rating=6))
    bring(lake, a_session(1, updated_at="2026-03-01T10:30:00Z"), at=LATER)
    assert len(waiting(lake)) == 1


def test_a_newer_message_does_not_settle_an_older_one_since_each_may_tell_a_part(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_rating=6), source="rails.webhook")
    newer = a_session(1, updated_at="2026-03-01T11:30:00Z")
    bring(lake, newer, source="rails.webhook", at=LATER)
    assert len(waiting(lake)) == 1
    bring(lake, a_session(1, student_rating=5), source="rails.webhook", at=MUCH_LATER)
    assert waiting(lake) == []


def test_another_source_settles_nothing(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_rating=6), source="import.bookings")
    bring(lake, a_session(1, student_rating=5, updated_at="2026-03-01T12:30:00Z"), source="rails.pull")
    assert len(waiting(lake)) == 1


@pytest.mark.parametrize("broken", [{"updated_at": "not a time: 20260301"}, {"student_rating": "five"}])
def test_a_file_that_is_imported_again_by_a_mended_mapping_settles_what_it_loads(
    lake: LakeWriter, broken: dict[str, Any]
) -> None:
    source = "import.bookings"
    bring(lake, a_session(1, **broken), a_session(2, tutor_id=[1]), source=source)
    bring(lake, a_session(1, student_rating=5), a_session(2, tutor_id=[1]), source=source, at=LATER)
    assert [record_id for record_id, _ in waiting(lake)] == ["s002"]


def test_what_somebody_gave_up_stays_given_up_when_it_comes_again(
    lake: LakeWriter, operations: Operations
) -> None:
    bad = a_session(1, student_rating=6)
    bring(lake, bad, a_session(2, status="done"))
    with operations.session() as session:
        decisions.request_discard(
            session,
            source="rails.pull",
            kind="sessions",
            field="student_rating",
            note="test data",
            actor="ana",
            now=LATER,
        )
    bring(lake, a_session(3, student_rating=6), at=LATER + timedelta(minutes=1))
    (outcome,) = carry_out(lake, operations, at=MUCH_LATER)
    assert outcome["discarded"] == 1, "what came after the decision is not meant by it"
    bring(lake, bad, at=MUCH_LATER + timedelta(hours=1))
    assert [record_id for record_id, _ in waiting(lake)] == ["s002", "s003"]


def carry_out(lake: LakeWriter, operations: Operations, *, at: datetime) -> list[dict[str, Any]]:
    def in_force(source: str, kind: Kind) -> tuple[Correction, ...]:
        with operations.session() as session:
            return decisions.corrections_for(session, source=source, kind=kind)

    return carry_out_waiting(
        lake, operations, clock=FixedClock(at), time_zone="America/New_York", corrections=in_force
    )


def test_a_wish_is_carried_out_once_with_the_corrections_in_force(
    lake: LakeWriter, operations: Operations
) -> None:
    bring(lake, a_session(1, status="done"), a_session(2, student_rating=6))
    with operations.session() as session:
        for source in ("rails.pull", "rails.webhook"):
            decisions.add_correction(
                session,
                source=source,
                kind="sessions",
                correction=Correction("replace", "status", "done", "finished"),
                note="the app says done",
                actor="ana",
                now=NOON,
            )
        decisions.request_replay(session, actor="ana", now=NOON, kind="sessions")
    (outcome,) = carry_out(lake, operations, at=LATER)
    assert (outcome["tried"], outcome["loaded"]) == (2, 1)
    assert outcome["still_refused"][0]["count"] == 1
    assert carry_out(lake, operations, at=MUCH_LATER) == []
    with operations.session() as session:
        (kept,) = decisions.recent_replays(session)
        assert kept.finished_at == LATER
        assert kept.outcome is not None
        assert kept.outcome["loaded"] == 1


def test_waiting_records_are_read_as_they_came_with_their_value(lake: LakeWriter) -> None:
    bring(lake, a_session(1, student_rating=6, student_comment="Too fast"))
    (one,) = waiting_records(lake.read, Scope(field="student_rating"), limit=5)
    assert (one.value, one.is_whole, one.record["student_comment"]) == ("6", True, "Too fast")
    assert waiting_records(lake.read, Scope(field="status"), limit=5) == []
