"""The quarantine from a terminal: what waits, a rehearsal, a correction, a replay, and giving up."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter
from data.operations import corrections as decisions
from data.operations.store import Operations
from data.operations.tables import AuditEntry
from data.settings import Settings
from orchestration import cli

YESTERDAY = datetime(2026, 3, 1, 17, tzinfo=UTC)
NOTE = ("--note", "the app of the agency")
FEED = ("--source", "rails.pull", "--kind", "sessions")


def a_session(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "session_id": f"s{number:03}",
        "tutor_id": "t1",
        "status": "finished",
        "scheduled_start_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
        "student_comment": "Ada was late",
    } | changes


@pytest.fixture
def refused(deployed: Settings, lake: LakeWriter) -> LakeWriter:
    """Three records wait for their status, one for its rating, and one came by webhook."""
    bring(lake, *(a_session(number, status="done") for number in range(3)), a_session(9, student_rating=6))
    bring(lake, a_session(7, status="done"), source="rails.webhook")
    return lake


def bring(lake: LakeWriter, *records: Any, source: str = "rails.pull", at: datetime = YESTERDAY) -> None:
    take_in(lake, "sessions", list(records), Arrival(source, at, date(2026, 3, 1)))


def say(*words: str) -> str:
    result = CliRunner().invoke(cli.app, ["quarantine", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def fail(capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, *words: str) -> str:
    patch.setattr(sys, "argv", ["chalkline", "quarantine", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    return " ".join(capsys.readouterr().err.split())


def session_count(lake: LakeWriter) -> int:
    return int(lake.read("select count(*) as n from lake.raw_marketplace.sessions").item())


def test_causes_are_listed_with_what_to_do_the_most_frequent_first(refused: LakeWriter) -> None:
    listed = say("list")
    assert listed.index("status") < listed.index("student_rating")
    assert "waiting 3" in listed
    assert "replace it by the one that is meant" in listed
    assert "3 rows" in listed


def test_what_is_settled_is_listed_only_when_asked_for(refused: LakeWriter) -> None:
    say("discard", *FEED, "--field", "student_rating", *NOTE)
    assert "student_rating" not in say("list")
    assert "student_rating" in say("list", "--settled")


def test_examples_leave_personal_text_out_unless_asked_for_and_then_it_is_written_down(
    refused: LakeWriter, operations: Operations
) -> None:
    shown = say("show", *FEED, "--field", "status", "--limit", "2")
    assert "2 records; values and personal text are left out" in shown
    assert '"status": "done"' in shown
    assert "Ada was late" not in shown
    assert "Ada was late" in say("show", *FEED, "--field", "status", "--personal")
    with operations.session() as session:
        (entry,) = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "quarantine.read"))
        assert entry.details["records"] == 3


def test_a_rehearsal_says_what_would_be_loaded_and_decides_nothing(
    refused: LakeWriter, operations: Operations
) -> None:
    told = say(
        "fix", *FEED, "--field", "status", "--replace", "done", "--with", "finished", "--dry-run", *NOTE
    )
    assert "would load 3 of 4 waiting records" in told
    assert "1 still for student_rating" in told
    assert "nothing was decided" in told
    with operations.session() as session:
        assert decisions.corrections_in_force(session) == []


def test_a_correction_for_two_feeds_and_a_replay_load_what_they_mend_and_nothing_else(
    refused: LakeWriter, operations: Operations
) -> None:
    told = say(
        "fix", *FEED, "--source", "rails.webhook", "--field", "status", "--replace", "done", "--with", "finished", *NOTE
    )  # fmt: skip
    assert "would load 4 of 5 waiting records" in told
    assert "in force for rails.pull sessions" in told
    assert "in force for rails.webhook sessions" in told
    assert session_count(refused) == 0, "only a replay loads"
    told = say("replay")
    assert "tried 5: 4 loaded, 0 known already" in told
    assert "1 still for student_rating" in told
    assert session_count(refused) == 4
    with operations.session() as session:
        (kept,) = decisions.recent_replays(session)
        assert kept.outcome is not None
        assert (kept.outcome["tried"], kept.outcome["loaded"]) == (5, 4)
    bring(refused, a_session(50, status="done"))
    assert session_count(refused) == 4, "the helper brings without corrections; feeds ask the house for them"


def test_a_correction_is_listed_and_retired(refused: LakeWriter, operations: Operations) -> None:
    say("fix", *FEED, "--field", "stars", "--rename-to", "student_rating", *NOTE)
    assert "the app of the agency" in say("corrections")
    with operations.session() as session:
        (row,) = decisions.corrections_in_force(session)
    assert "is retired" in say("retire", str(row.correction_id))
    assert "0 rows" in say("corrections")


@pytest.mark.parametrize(
    ("options", "action", "values"),
    [
        (("--rename-to", "student_rating"), "rename", (None, "student_rating")),
        (("--replace", "6", "--with", "5"), "replace", ("6", "5")),
        (("--clear",), "clear", (None, None)),
        (("--clear", "--only", "6"), "clear", ("6", None)),
        (("--fill", "1"), "fill", (None, "1")),
        (("--time-format", "%d.%m.%Y", "--zone", "UTC"), "parse_time", ("%d.%m.%Y", "UTC")),
    ],
)
def test_every_way_to_correct_can_be_said(
    refused: LakeWriter,
    operations: Operations,
    options: tuple[str, ...],
    action: str,
    values: tuple[Any, Any],
) -> None:
    say("fix", *FEED, "--field", "stars", *options, *NOTE)
    with operations.session() as session:
        (row,) = decisions.corrections_in_force(session)
    assert (row.action, (row.old_value, row.new_value), row.created_by) == (action, values, "command line")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "say one of --rename-to, --replace, --clear, --fill, --time-format"),
        (("--clear", "--fill", "1"), "you said --clear and --fill"),
        (("--only", "6"), "--only belongs to --clear"),
        (("--replace", "6"), "replace of stars needs a new value"),
        (("--with", "6"), "replace of stars needs the value or pattern that it mends"),
        (("--time-format", "%Y"), "parse_time of stars needs a time zone"),
        (("--time-format", "%Y", "--zone", "Mars"), "parse_time of stars needs a time zone"),
    ],
)
def test_a_correction_that_says_too_little_or_too_much_is_refused_in_one_line(
    refused: LakeWriter,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    told: str,
) -> None:
    line = fail(capsys, monkeypatch, "fix", *FEED, "--field", "stars", *options, *NOTE)
    assert told in line
    assert "Traceback" not in line


def test_giving_up_wants_a_reason_and_holds_for_good(
    refused: LakeWriter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "say why" in fail(capsys, monkeypatch, "discard", *FEED, "--note", " ")
    assert "1 records are given up" in say("discard", *FEED, "--field", "student_rating", *NOTE)
    bring(refused, a_session(9, student_rating=6), at=YESTERDAY + timedelta(days=3))
    assert "student_rating" not in say("list")


def test_a_wish_about_an_unknown_kind_names_the_known_ones(
    refused: LakeWriter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = fail(capsys, monkeypatch, "replay", "--kind", "lessons")
    assert "there is no kind 'lessons'; choose one of sessions, customers" in line
