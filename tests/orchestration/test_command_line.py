"""The command line: what it prints, what it changes, and how it fails."""

import json
import sys
from datetime import UTC, datetime

import polars as pl
import pytest
from rich.console import Console
from typer.testing import CliRunner

from data.lake.connection import LakeError
from data.lake.writer import LakeWriter
from data.operations import publications, users
from data.operations.publications import Publication
from data.operations.store import Operations
from data.settings import Settings
from orchestration import cli
from orchestration.asking import ask, print_rows

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "name": ["Dana", "[bold]Zora[/bold]", "[/] =1+1"],
        "parts": [[1, 2], None, []],
        "detail": [{"a": 1.5, "b": "x"}, {"a": None, "b": "ä"}, None],
    }
)


@pytest.fixture
def published(lake: LakeWriter, operations: Operations) -> int:
    """One published version with one row of the roster; after it the lake went on."""
    lake.connection.execute("insert into lake.raw_operations.roster values ('nora@example.org', 'T-1', null)")
    version = publish(operations, lake.snapshot_id())
    lake.connection.execute("insert into lake.raw_operations.roster values ('sam@example.org', 'T-2', null)")
    return version


def publish(operations: Operations, snapshot_id: int) -> int:
    with operations.session() as session:
        row = publications.publish(
            session, snapshot_id=snapshot_id, lane="fast", as_of_date=NOON.date(), checks={}, now=NOON
        )
        assert isinstance(row, Publication)
        return row.publication_id


def say(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fail(capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, *words: str) -> str:
    """Run the command as a user does. Returns the line that it fails with."""
    patch.setattr(sys, "argv", ["chalkline", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("sql", "select 1"),
            "LakeError: nothing is published yet; run `make day` or `chalkline run nightly`",
        ),
        (("rollback", "99"), "PublicationNotFound: there is no published version 99"),
        (("run", "weekly"), "LaneFailed: there is no lane 'weekly'; choose one of"),
        (("run", "fast", "--as-of", "yesterday"), "ValueError: Invalid isoformat string: 'yesterday'"),
        (("backfill", "2026-03-02", "2026-03-01"), "LaneFailed: the first day, 2026-03-02, is after"),
        (("users", "add", "ana@example.org", "--role", "king"), "ValueError: 'king' is not a role"),
        (("users", "add", "nobody", "--role", "viewer"), "ValueError"),
        (("users", "link", "nobody@example.org"), "ValueError: there is no user nobody@example.org"),
        (("import", "/nowhere.csv", "--mapping", "/nowhere.yml"), "nowhere"),
        (("day", "--source", "[/red]"), "RuntimeError: SOURCE=[/red] is not known; choose world"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_a_known_failure_is_one_line_without_a_traceback(
    deployed: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    told: str,
) -> None:
    line = fail(capsys, monkeypatch, *words)
    assert told in line
    assert "Traceback" not in line
    assert line.count("\n") == 1


def test_a_query_that_names_nothing_known_fails_with_what_is_missing(
    deployed: Settings, published: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = fail(capsys, monkeypatch, "sql", "select * from marts.fct_nothing")
    assert "fct_nothing" in line
    assert "Traceback" not in line


def test_a_question_is_answered_from_the_published_version(deployed: Settings, published: int) -> None:
    answer = say("sql", "select coach_email from raw_operations.roster", "--format", "csv")
    assert answer == "coach_email\nnora@example.org\n"


def test_a_question_can_be_asked_of_an_older_version(
    deployed: Settings, published: int, operations: Operations, lake: LakeWriter
) -> None:
    publish(operations, lake.snapshot_id())
    count = "select count(*) as n from raw_operations.roster"
    assert ask(deployed, count)["n"][0] == 2
    assert ask(deployed, count, version=published)["n"][0] == 1


def test_a_question_cannot_change_anything(deployed: Settings, published: int) -> None:
    with pytest.raises(LakeError):
        ask(deployed, "delete from raw_operations.roster")


def test_a_rollback_shows_an_older_version_and_holds_it_until_publish(
    deployed: Settings, published: int, operations: Operations, lake: LakeWriter
) -> None:
    newest = publish(operations, lake.snapshot_id())
    told = say("rollback", str(published))
    assert f"version {newest + 1} shows again what version {published} showed" in " ".join(told.split())
    assert "chalkline publish" in told
    with operations.session() as session:
        assert publications.hold_in_force(session) is not None
        row = publications.current(session)
        assert row is not None
        assert row.rolled_back_to == published
    assert "the hold is released; readers now see version" in say("publish")
    assert "readers now see version" in say("publish")
    with operations.session() as session:
        assert publications.hold_in_force(session) is None
        row = publications.current(session)
        assert row is not None
        assert row.lake_snapshot_id == lake.snapshot_id()


def test_versions_are_listed_newest_first(
    deployed: Settings, published: int, operations: Operations, lake: LakeWriter
) -> None:
    newest = publish(operations, lake.snapshot_id())
    listed = [line.split()[1] for line in say("versions").splitlines() if line.startswith("version ")]
    assert listed == [str(newest), str(published)]


def test_the_same_person_is_added_once_and_can_get_a_new_link(
    deployed: Settings, operations: Operations
) -> None:
    link = say("users", "add", "ana@example.org", "--role", "analyst", "--name", "Ana").strip()
    assert link.startswith(f"{deployed.public_url}/setup?token=")
    again = say("users", "link", "ana@example.org").strip()
    assert again not in ("", link)
    # Links are opened today, whatever day the deployment replays.
    with operations.session() as session:
        users.set_password(
            session, token=again.split("=")[1], password="a long enough one", now=datetime.now(UTC)
        )


def test_secrets_are_printed_for_the_sender(deployed: Settings) -> None:
    assert say("secret").strip()


@pytest.mark.parametrize(
    "command", [["--help"], ["users", "--help"], ["quarantine", "--help"], ["world", "--help"]]
)
def test_every_group_of_commands_explains_itself(command: list[str]) -> None:
    assert "Usage" in say(*command)


def printed(capsys: pytest.CaptureFixture[str], rows: pl.DataFrame, format: str, width: int = 100) -> str:
    print_rows(rows, format=format, console=Console(width=width))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_csv_writes_nested_values_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, ROWS, "csv").splitlines()
    assert lines == [
        "name,parts,detail",
        'Dana,"[1, 2]","{""a"": 1.5, ""b"": ""x""}"',
        '[bold]Zora[/bold],,"{""a"": null, ""b"": ""ä""}"',
        "[/] =1+1,[],",
    ]


def test_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in printed(capsys, ROWS, "json").splitlines()]
    assert lines == ROWS.to_dicts()


def test_a_table_shows_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in data are data, not markup."""
    text = printed(capsys, ROWS, "table")
    assert "[bold]Zora[/bold]" in text
    assert "[/] =1+1" in text
    assert text.endswith("3 rows\n")


def test_what_is_wider_than_the_screen_is_written_from_top_to_bottom(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wide = pl.DataFrame({f"column_{number}": [f"value {number} [/x]"] for number in range(20)})
    text = printed(capsys, wide, "table", width=60)
    assert "row 1" in text
    assert "column_19  value 19 [/x]" in text


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_no_rows_are_no_error(capsys: pytest.CaptureFixture[str], format: str) -> None:
    printed(capsys, ROWS.clear(), format)
    printed(capsys, pl.DataFrame(), format)


def test_a_long_answer_says_what_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, pl.DataFrame({"n": range(250)}), "table")
    assert "250 rows, 50 not shown; use --format csv" in text
    assert len(printed(capsys, pl.DataFrame({"n": range(250)}), "csv").splitlines()) == 251
