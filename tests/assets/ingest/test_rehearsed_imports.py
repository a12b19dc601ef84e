"""A dry run reads and judges a whole file, says what would happen, and touches no store."""

import csv
from pathlib import Path

import pytest
from import_builders import BOOKINGS, a_fresh_lake, bookings_mapping, rehearse, run_import, write_text

from assets.ingest.hints import hint_for
from assets.ingest.refusals import RefusalFile, RefusedRecord
from data.contracts import Correction

BAD = BOOKINGS + "010,ben,p1,maths,2026-01-12 10:00,,11\n"


def test_a_dry_run_says_what_would_come_in_and_needs_no_lake(tmp_path: Path) -> None:
    report = rehearse(write_text(tmp_path, BAD), bookings_mapping())
    assert (report.read_count, report.loaded_count, report.quarantined_count) == (4, 3, 1)
    assert not report.is_refused_wholly
    for words in ("would be taken in                 3", "nothing was stored", "line 5, 010:"):
        assert words in report.render()


def test_a_dry_run_knows_the_corrections(tmp_path: Path) -> None:
    mend = Correction("replace", "student_rating", '"11"', "5")
    report = rehearse(write_text(tmp_path, BAD), bookings_mapping(), corrections=lambda *_: (mend,))
    assert report.quarantined_count == 0


def test_a_dry_run_shows_the_first_records_as_they_would_come_in(tmp_path: Path) -> None:
    mapping = bookings_mapping(fields={"student_comment": "'told by ' || pupil"})
    report = rehearse(write_text(tmp_path, BAD), mapping, show=2)
    assert [record.line for record in report.shown] == [2, 3]
    assert report.shown[0].values["scheduled_start_at"] == "2026-01-10 20:00:00"
    assert "tutor_joined_at" not in report.shown[1].values, "what is empty is left out"
    assert "told by" not in report.render(), "personal values are not shown"


def test_a_dry_run_shows_why_a_record_would_be_refused(tmp_path: Path) -> None:
    text = BOOKINGS.splitlines()[0] + "\n010,ben,p1,maths,2026-01-12 10:00,,11\n"
    report = rehearse(write_text(tmp_path, text), bookings_mapping(), show=1)
    assert report.is_refused_wholly
    assert "refused, student_rating: Input should be less than or equal to 5" in report.render()


def test_a_dry_run_names_all_that_is_wrong_with_a_record_and_an_import_why_it_is_refused(
    tmp_path: Path,
) -> None:
    file = write_text(tmp_path, BOOKINGS + "010,ben,p1,maths,soon,,11\n")
    report = rehearse(file, bookings_mapping())
    assert {group.field for group in report.refusals} == {
        "updated_at",
        "scheduled_start_at",
        "student_rating",
    }
    assert report.quarantined_count == 1
    with a_fresh_lake() as lake:
        report = run_import(lake, file, bookings_mapping())
    assert [(group.field, group.count) for group in report.refusals] == [("updated_at", 1)]


def test_a_mapping_that_is_wrong_for_every_row_is_explained_and_not_only_counted(tmp_path: Path) -> None:
    rows = "".join(f"x{i},ben,p1,maths,2026-01-12 10:00,,many\n" for i in range(200))
    report = rehearse(write_text(tmp_path, BOOKINGS.splitlines()[0] + "\n" + rows), bookings_mapping())
    assert report.is_refused_wholly
    assert report.refusals[0].count == 200
    assert report.refusals[0].hint == "leave what is no number empty: try_cast(stars as double)"


def test_the_values_of_several_fields_are_shown_when_they_do_not_agree_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    mapping = bookings_mapping(
        fields={
            "scheduled_end_at": "came",
            "ai_summary": "'a summary of ' || pupil",
            "tutor_joined_at": "null",
        },
        constants={"reports_attendance": False},
    )
    report = rehearse(write_text(tmp_path, BOOKINGS), mapping)
    (group,) = report.refusals
    assert group.reason == "scheduled_end_at lies before scheduled_start_at"
    assert group.examples[0].value == (
        '{"scheduled_end_at": "2026-01-11T19:59:00.000000Z", "scheduled_start_at": "2026-01-11T20:00:00.000000Z"}'
    )


def test_a_report_that_is_kept_holds_no_refused_value(tmp_path: Path) -> None:
    report = rehearse(write_text(tmp_path, BAD.replace("11\n", "unmöglich\n")), bookings_mapping())
    assert "unmöglich" in report.render()
    kept = report.render(with_values=False)
    assert "unmöglich" not in kept
    assert "first at line 5" in kept


def test_refusals_are_written_down_line_by_line(tmp_path: Path) -> None:
    text = BAD + '011,ben,p1,"two\nlines",2026-01-12 10:00,,"=1+1"\n,ben,p1,maths,2026-01-13 10:00,,\n'
    target = tmp_path / "refused.csv"
    with RefusalFile(target) as file:
        rehearse(write_text(tmp_path, text), bookings_mapping(), refused=file.write)
    with target.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["line"], row["record_id"], row["field"]) for row in rows] == [
        ("5", "010", "student_rating"),
        ("6", "011", "student_rating"),
        ("8", "", "session_id"),
    ]
    assert rows[0]["value"] == '"11"'


def test_what_a_spreadsheet_would_run_is_made_harmless_and_what_is_personal_is_left_out(
    tmp_path: Path,
) -> None:
    target = tmp_path / "refused.csv"
    with RefusalFile(target) as file:
        file.write(RefusedRecord(2, "=cmd|' /C calc'!A0", "status", "is wrong", "-1"))
        file.write(RefusedRecord(3, "7", "full_name", "is too long", None))
    text = target.read_text()
    assert ",'=cmd" in text.replace('"', "")
    assert ",'-1" in text
    assert "not shown, may be personal" in text


def test_a_file_of_refusals_of_an_import_that_failed_is_not_left_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with RefusalFile(tmp_path / "refused.csv"):
            raise RuntimeError("the import failed")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


TIME = "is not an ISO 8601 time"
NUMBER = "Input should be a valid number, unable to parse string as a number"


@pytest.mark.parametrize(
    ("reason", "value", "hint"),
    [
        (TIME, '"10.01.2026 15:00"', "strptime(x, '%d.%m.%Y %H:%M')"),
        (TIME, '"1/10/2026 3:00 PM"', "strptime(x, '%m/%d/%Y %I:%M %p'); %d/%m/%Y if the day stands first"),
        (TIME, '"not a time: 1768075200"', "seconds since 1970: to_timestamp((x)::double)"),
        (TIME, '"not a time: 1768075200000"', "seconds since 1970: to_timestamp((x)::double / 1000)"),
        (TIME, '"tomorrow"', None),
        (TIME, "null", "the value is empty in these rows; leave such rows out with where"),
        (NUMBER, '"4,5"', "a decimal comma: replace(x, ',', '.')"),
        (NUMBER, '"4 stars"', "the number in a text: nullif(regexp_extract(x, '[0-9.]+'), '')"),
        (
            "Input should be 'scheduled', 'finished' or 'cancelled'",
            '"abgesagt"',
            "translate the words of the source: case x when 'abgesagt' then … end",
        ),
        ("Input should be a valid boolean, unable to interpret input", '"ja"', "write a condition: x = 'ja'"),
        ("is outside 2000 to 2099", '"1899-12-30T00:00:00Z"', None),
        (NUMBER, None, None),
    ],
)
def test_a_habit_that_is_known_gives_a_hint(reason: str, value: str | None, hint: str | None) -> None:
    assert hint_for(reason, value, "x") == hint
