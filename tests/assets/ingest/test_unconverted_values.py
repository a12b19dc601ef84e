"""One bad cell is one refused record, shown as it was written; what looks odd in a file is told with its line."""

from pathlib import Path

import pytest
from import_builders import BOOKINGS, bookings_mapping, rehearse, run_import, sessions_of, write_text

from assets.ingest import sandbox
from assets.ingest.events import Oddity
from assets.ingest.mapping import MappingError
from assets.ingest.report import ImportReport
from data.lake.writer import LakeWriter

LESSONS = """booking,coach,pupil,topic,day,clock,lasts,came,stars
007,anna,p1,maths,"Jan 10, 2026",3:00 PM,1h 30m,3:04 PM,5/5 stars
008,ben,p2,physics,"Feb 30, 2026",4:00 PM,1h,,
009,anna,p1,maths,"Jan 11, 2026",25:00 PM,1h,,
010,ben,p2,maths,"Jan 12, 2026",5:00 PM,about an hour,,4/5 stars
011,anna,p3,maths,"Jan 13, 2026",5:00 PM,45m,late,4/5 stars
012,anna,p3,maths,"Jan 14, 2026",5:00 PM,,,7/5 stars
"""
LESSON = {
    "local_times": {
        "planned": "strptime(day || ' ' || clock, '%b %d, %Y %I:%M %p')",
        "arrived": "strptime(day || ' ' || came, '%b %d, %Y %I:%M %p')",
    },
    "fields": {
        "scheduled_start_at": "planned",
        "scheduled_end_at": "planned + lasts::interval",
        "tutor_joined_at": "arrived",
        "student_rating": "regexp_extract(stars, '^[0-9]+')::double",
        "updated_at": "timestamp '2026-02-01'",
    },
    "constants": {"reports_attendance": False},
}


def refused(report: ImportReport) -> dict[int, tuple[str, str | None]]:
    """Return field and shown value by line."""
    return {
        example.line: (group.field, example.value) for group in report.refusals for example in group.examples
    }


def test_a_value_that_does_not_convert_is_refused_as_it_was_written(tmp_path: Path) -> None:
    report = rehearse(write_text(tmp_path, LESSONS), bookings_mapping(**LESSON))
    found = refused(report)
    assert report.loaded_count == 1
    assert found[3] == ("scheduled_start_at", '"Feb 30, 2026 4:00 PM"')
    assert found[4] == ("scheduled_start_at", '"Jan 11, 2026 25:00 PM"')
    assert found[5] == ("scheduled_end_at", '"Jan 12, 2026 5:00 PM about an hour"')
    assert found[6] == ("tutor_joined_at", '"Jan 13, 2026 late"')
    assert found[7] == ("student_rating", "7.0")


def test_what_converts_comes_in_as_if_no_other_value_was_bad(lake: LakeWriter, tmp_path: Path) -> None:
    first_two = "\n".join(LESSONS.splitlines()[:2]) + "\n"
    run_import(lake, write_text(tmp_path, first_two), bookings_mapping(**LESSON))
    alone = sessions_of(lake)
    report = run_import(lake, write_text(tmp_path, LESSONS, "more.csv"), bookings_mapping(**LESSON))
    assert (report.loaded_count, report.duplicate_count, report.quarantined_count) == (0, 1, 5)
    assert sessions_of(lake) == alone


def test_nothing_is_not_a_failure(tmp_path: Path) -> None:
    text = BOOKINGS + "010,ben,p1,maths,2026-01-12 10:00,,many\n011,ben,p1,maths,2026-01-13 10:00,,3\n"
    mapping = bookings_mapping(
        fields={"student_rating": "case when coach = 'ben' then null else stars::double end"},
        constants={"reports_attendance": False},
    )
    report = rehearse(write_text(tmp_path, text), mapping)
    assert (report.loaded_count, report.quarantined_count) == (5, 0)
    mapping = bookings_mapping(
        fields={"student_rating": "case when coach = 'anna' then null else stars::double end"}
    )
    report = rehearse(write_text(tmp_path, text), mapping)
    assert refused(report) == {5: ("student_rating", '"ben many"')}
    assert report.loaded_count == 4, "for anna the expression gives nothing, and that is no failure"


def test_a_needed_time_that_was_tried_is_shown_as_it_was_written(tmp_path: Path) -> None:
    mapping = bookings_mapping(
        fields={"scheduled_start_at": "try_strptime(begins, '%Y-%m-%d %H:%M')", "updated_at": "begins"}
    )
    text = BOOKINGS + "010,ben,p1,maths,2026-02-31 10:00,,4\n011,ben,p1,maths,,,4\n"
    found = refused(rehearse(write_text(tmp_path, text), mapping))
    assert found[5][1] == '"2026-02-31 10:00"'
    assert found[6][1] == "null"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local_times": {"planned": "strptime(day, '%Y')"}}, "local_times.planned: Invalid Input Error"),
        ({"fields": {"student_rating": "coach::double"}}, "fields.student_rating: Conversion Error"),
        ({"fields": {"subject_id": "(topic || lasts)::int::varchar"}}, "fields.subject_id: Conversion Error"),
    ],
)
def test_an_expression_that_converts_no_row_or_makes_a_text_is_a_mistake_of_the_mapping(
    tmp_path: Path, changes: dict[str, dict[str, str]], message: str
) -> None:
    merged = {name: LESSON[name] | changes.get(name, {}) for name in LESSON}
    with pytest.raises(MappingError) as error:
        rehearse(write_text(tmp_path, LESSONS), bookings_mapping(**merged))
    assert message in str(error.value)


def test_an_expression_that_fails_on_very_many_rows_is_a_mistake_of_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{number:03},anna,p1,maths,2026-01-10 15:00,,{'?' if number % 2 else 4}" for number in range(20)]
    file = write_text(tmp_path, "\n".join([BOOKINGS.splitlines()[0], *rows]))
    mapping = bookings_mapping(
        fields={"student_rating": "stars::double"}, constants={"reports_attendance": False}
    )
    monkeypatch.setattr(sandbox, "MOST_FAILING", 10)
    assert rehearse(file, mapping).quarantined_count == 10
    monkeypatch.setattr(sandbox, "MOST_FAILING", 9)
    with pytest.raises(MappingError, match="Conversion Error"):
        rehearse(file, mapping)


def test_a_field_that_some_records_lack_is_told_with_the_first_line(tmp_path: Path) -> None:
    report = rehearse(write_text(tmp_path, BOOKINGS), bookings_mapping(defaults={"student_comment": "none"}))
    assert report.partly_empty == (Oddity("tutor_joined_at", 1, 3), Oddity("student_rating", 1, 3))
    assert "  - tutor_joined_at in 1, first at line 3" in report.render()


def test_an_id_that_stands_for_two_customers_is_told(tmp_path: Path) -> None:
    text = BOOKINGS + "007,ben,p9,physics,2026-01-12 10:00,,4\n008,ben,p2,physics,2026-01-12 16:00,,3\n"
    report = rehearse(write_text(tmp_path, text), bookings_mapping())
    assert report.changed_customers == (Oddity("007", 2, 5),)
    assert (
        "1 id names two customers, and the newest version counts: is it one id for two things? 007 at line 5"
        in (report.render())
    )


def test_a_time_that_does_not_occur_is_told_with_its_line(tmp_path: Path) -> None:
    text = BOOKINGS + "010,ben,p1,maths,2026-03-08 02:30,,4\n"
    report = rehearse(
        write_text(tmp_path, text), bookings_mapping(fields={"updated_at": "timestamp '2026-04-01'"})
    )
    assert report.skipped_times == Oddity("America/New_York", 1, 5)
    assert "  1 times never occur in America/New_York; shifted by the gap, first at line 5" in report.render()
