"""A mapping is judged before any data is read, and its errors name the field and the fix."""

from pathlib import Path

import pytest
import yaml
from import_builders import bookings_mapping

from assets.ingest.mapping import MAPPINGS, MappingError, field_class, load_mapping


def a_file(folder: Path, **changes: object) -> Path:
    content = bookings_mapping().model_dump(mode="json") | changes
    path = folder / "school.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def without(section: str, *names: str) -> dict[str, object]:
    content = bookings_mapping().model_dump(mode="json")[section]
    return {section: {name: value for name, value in content.items() if name not in names}}


def added(section: str, **entries: object) -> dict[str, object]:
    return {section: bookings_mapping().model_dump(mode="json")[section] | entries}


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_mapping_that_ships_keeps_the_contract(path: Path) -> None:
    assert path.stem.startswith(load_mapping(path).name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            added("fields", studnet_rating="stars"),
            "fields.studnet_rating: is no field of sessions; did you mean",
        ),
        (added("fields", student_id="pupil"), "fields.student_id: .* the contract calls it customer_id"),
        (without("fields", "updated_at"), "fields.updated_at: is missing; every record of sessions needs it"),
        (
            without("constants", "join_kind"),
            "constants.join_kind: is missing; say what a missing join time means",
        ),
        (
            without("fields", "tutor_joined_at"),
            "constants.reports_attendance: is true, .* would be a no-show",
        ),
        (added("constants", join_kind="lounge"), "constants.join_kind: 'lounge' breaks the contract"),
        (added("constants", subject_id="maths"), "constants.subject_id: is also given under fields"),
        (
            added("fields", student_rating=5),
            "fields.student_rating: is not an expression; write it in quotes",
        ),
        ({"time_zone": "New York"}, "time_zone: 'New York' is no time zone"),
        ({"kind": "lessons"}, "kind: Input should be 'sessions'"),
        ({"feilds": {}}, "feilds: is no setting of a mapping; did you mean fields"),
        ({"read": {"delimeter": ";"}}, "read.delimeter: is no setting of a mapping; did you mean delimiter"),
        ({"read": {"encoding": "ascii-ish"}}, "read.encoding: 'ascii-ish' is no encoding"),
        ({"group_by": ["booking"]}, "order_by: missing; with group_by"),
        ({"read": {"skip_first": -1}}, "read.skip_first: Input should be greater than or equal to 0"),
        ({"repeat": 3}, "repeat: is not an expression; write it in quotes"),
        ({"lookups": {"staff": {"file": "staff.csv"}}}, "lookups.staff.key: is missing"),
        (
            {"lookups": {"staff": {"file": "staff.csv", "keys": {"a": "b"}}}},
            "lookups.staff.keys: is no setting of a mapping; did you mean key",
        ),
        ({"name": "My School"}, "name: String should match pattern"),
    ],
)
def test_a_wrong_mapping_names_the_file_the_field_and_the_fix(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(MappingError, match=message) as caught:
        load_mapping(a_file(tmp_path, **changes))
    assert "school.yml" in str(caught.value)


def test_all_problems_of_a_mapping_are_told_at_once(tmp_path: Path) -> None:
    changes = without("fields", "updated_at", "session_id") | without("constants", "status")
    with pytest.raises(MappingError) as caught:
        load_mapping(a_file(tmp_path, **changes))
    assert all(name in str(caught.value) for name in ("updated_at", "session_id", "status"))


def test_a_key_that_is_written_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "school.yml"
    path.write_text("name: school\nname: other\n")
    with pytest.raises(MappingError, match="'name' is written twice"):
        load_mapping(path)


def test_a_mapping_that_is_not_there_lists_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"does not exist; .*marketplace_sessions\.yml"):
        load_mapping(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("session_id", "text"),
        ("status", "text"),
        ("scheduled_start_at", "instant"),
        ("student_rating", "number"),
        ("reschedule_count", "number"),
        ("reported_late", "flag"),
    ],
)
def test_a_field_knows_what_sort_of_value_it_holds(name: str, expected: str) -> None:
    assert field_class("sessions", name) == expected
    assert field_class("tutors", "subjects") == "list"
