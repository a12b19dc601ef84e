"""Corrections mend what they are meant for, leave everything else as it is, and never stop a batch."""

import copy
from typing import Any

import pytest
from contract_builders import of_the_api, ours
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contracts import CONTRACTS, Correction, Kind, judge
from data.contracts.corrections import corrected, known_fields

NEW_YORK = "America/New_York"
DOTTED = "%d.%m.%Y %H:%M"


def mended(record: Any, *corrections: Correction) -> Any:
    """What corrections make of a record; the record itself must stay as it was."""
    before = copy.deepcopy(record)
    after = corrected(record, corrections)
    assert record == before
    return after


def test_a_renamed_field_is_understood_again() -> None:
    rename = Correction("rename", "pupil_id", new_value="student_id")
    assert mended({"pupil_id": "c1", "x": 1}, rename) == {"student_id": "c1", "x": 1}


@pytest.mark.parametrize("there", ["c2", "", 0, False])
def test_a_name_that_is_there_already_is_not_written_over(there: Any) -> None:
    rename = Correction("rename", "pupil_id", new_value="student_id")
    record = {"pupil_id": "c1", "student_id": there}
    assert mended(record, rename) == record


def test_an_empty_field_is_no_hindrance_to_a_new_name() -> None:
    rename = Correction("rename", "pupil_id", new_value="student_id")
    assert mended({"pupil_id": "c1", "student_id": None}, rename) == {"student_id": "c1"}


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        ("done", "finished", "done", "finished"),
        ("done", "finished", "Done", "Done"),
        ("10", "5", 10, 5),
        ("10", "5", 10.0, 5),
        ("10", "5", "10", "10"),
        ('"10"', "5", "10", 5),
        ("1", "2", True, True),
        ("true", "false", 1, 1),
        ("true", "false", True, False),
        ("null", "none", None, "none"),
        ("[]", "null", [], None),
        ("n/a", "null", "n/a", None),
        ("", "null", "", None),
    ],
)
def test_a_value_is_replaced_where_it_is_the_very_one(old: str, new: str, before: Any, after: Any) -> None:
    found = mended({"x": before}, Correction("replace", "x", old, new))["x"]
    assert found == after
    assert type(found) is type(after)


def test_an_absent_field_is_not_replaced() -> None:
    assert mended({"y": 1}, Correction("replace", "x", "null", "0")) == {"y": 1}


def test_a_field_is_cleared_always_or_where_it_is_one_value() -> None:
    assert mended({"x": "unknown"}, Correction("clear", "x")) == {"x": None}
    assert mended({"x": "unknown"}, Correction("clear", "x", "unknown")) == {"x": None}
    assert mended({"x": "known"}, Correction("clear", "x", "unknown")) == {"x": "known"}
    assert mended({"x": True}, Correction("clear", "x", "1")) == {"x": True}
    assert mended({"y": 1}, Correction("clear", "x")) == {"y": 1}


@pytest.mark.parametrize(
    ("record", "after"),
    [
        ({}, {"x": "UTC"}),
        ({"x": None}, {"x": "UTC"}),
        ({"x": ""}, {"x": ""}),
        ({"x": 0}, {"x": 0}),
        ({"x": False}, {"x": False}),
    ],
)
def test_only_an_empty_field_is_filled(record: dict[str, Any], after: dict[str, Any]) -> None:
    assert mended(record, Correction("fill", "x", new_value="UTC")) == after


@pytest.mark.parametrize(
    ("text", "pattern", "zone", "instant"),
    [
        ("01.03.2026 10:30", DOTTED, NEW_YORK, "2026-03-01T15:30:00+00:00"),
        ("01.07.2026 10:30", DOTTED, NEW_YORK, "2026-07-01T14:30:00+00:00"),
        (" 01.03.2026 10:30\n", DOTTED, "UTC", "2026-03-01T10:30:00+00:00"),
        ("03/01/2026 10:30 PM", "%m/%d/%Y %I:%M %p", "UTC", "2026-03-01T22:30:00+00:00"),
        ("2026-03-01 10:30 +0200", "%Y-%m-%d %H:%M %z", NEW_YORK, "2026-03-01T08:30:00+00:00"),
    ],
)
def test_a_time_of_another_pattern_becomes_an_instant(
    text: str, pattern: str, zone: str, instant: str
) -> None:
    assert mended({"x": text}, Correction("parse_time", "x", pattern, zone)) == {"x": instant}


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T10:30:00Z", "31.02.2026 10:30", "01.01.0001 00:30", "31.12.9999 23:30", "", "\x00", "\ud800",
        None, 7, True, [], {"a": 1}, "9" * 10_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("zone", ["Asia/Tokyo", NEW_YORK])
def test_a_time_that_does_not_fit_stays_as_it_is(value: Any, zone: str) -> None:
    after = mended({"x": value}, Correction("parse_time", "x", DOTTED, zone))
    if value in ("01.01.0001 00:30", "31.12.9999 23:30"):
        # One of the two zones can still tell the instant; the contract refuses it in any case.
        assert isinstance(after["x"], str)
    else:
        assert after == {"x": value}


def test_a_field_one_level_in_is_mended_in_a_copy() -> None:
    scale = Correction("replace", "student_feedback.rating", "10", "5")
    record = of_the_api("sessions", student_feedback={"rating": 10, "description": "Great."})
    assert mended(record, scale)["student_feedback"] == {"rating": 5, "description": "Great."}
    rename = Correction("rename", "student_feedback.stars", new_value="rating")
    assert mended({"student_feedback": {"stars": 4}}, rename) == {"student_feedback": {"rating": 4}}


@pytest.mark.parametrize("inner", [None, "great", 7, [{"rating": 10}], []])
@pytest.mark.parametrize("action", ["rename", "replace", "clear", "fill", "parse_time"])
def test_a_field_that_cannot_be_reached_is_left_alone(action: Any, inner: Any) -> None:
    old, new = (DOTTED, NEW_YORK) if action == "parse_time" else ("10", "5")
    correction = Correction(action, "student_feedback.rating", old, new)
    record = {"student_feedback": inner}
    assert mended(record, correction) == record
    assert mended({}, correction) == {}


def test_corrections_are_applied_in_their_order() -> None:
    rename = Correction("rename", "state", new_value="status")
    replace = Correction("replace", "status", "done", "finished")
    assert mended({"state": "done"}, rename, replace) == {"status": "finished"}
    assert mended({"state": "done"}, replace, rename) == {"status": "done"}


@pytest.mark.parametrize("record", [None, "text", 7, [], [{"x": 1}]])
def test_what_is_no_record_stays_what_it_is(record: Any) -> None:
    assert mended(record, Correction("fill", "x", new_value="1")) == record


def test_no_correction_costs_no_copy() -> None:
    record = ours("sessions")
    assert corrected(record, ()) is record


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("rename", ""), "names a field"),
        (("rename", "x"), "needs a new value"),
        (("rename", "x", None, ""), "needs a new name"),
        (("fill", "x"), "needs a new value"),
        (("replace", "x", "1"), "needs a new value"),
        (("replace", "x", None, "1"), "needs the value or pattern"),
        (("parse_time", "x", None, "UTC"), "needs the value or pattern"),
        (("parse_time", "x", DOTTED), "needs a time zone"),
        (("parse_time", "x", DOTTED, "Mars/Olympus"), "needs a time zone"),
    ],
)
def test_a_correction_that_cannot_work_is_refused(arguments: tuple[Any, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Correction(*arguments)


def test_a_mended_record_is_judged_as_if_it_had_come_so() -> None:
    broken = ours("sessions", status="done")
    judged = judge("sessions", [broken], corrections=[Correction("replace", "status", "done", "finished")])
    assert judged.refusals == []
    assert judged.rows == judge("sessions", [ours("sessions")]).rows


def test_a_refusal_keeps_the_record_as_it_came() -> None:
    broken = ours("sessions", status="done", student_rating=9)
    plain = judge("sessions", [broken]).refusals[0]
    mending = judge(
        "sessions", [broken], corrections=[Correction("replace", "status", "done", "finished")]
    ).refusals[0]
    assert plain.field == "status"
    assert (mending.field, mending.value) == ("student_rating", "9")
    assert mending.record_json == plain.record_json
    assert '"done"' in mending.record_json


def test_a_correction_that_does_harm_holds_back_no_other_record() -> None:
    deep = Correction("fill", "tutor_id", new_value="[" * 200_000)
    times = Correction("parse_time", "booked_at", DOTTED, "Asia/Tokyo")
    records = [
        ours("sessions"),
        ours("sessions", session_id="s2", tutor_id=None, booked_at="01.01.0001 00:00"),
    ]
    judged = judge("sessions", records, corrections=[deep, times])
    assert [row["session_id"] for row in judged.rows] == ["s1"]
    assert len(judged.refusals) == 1


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_name_of_a_good_record_is_known(kind: Kind) -> None:
    known = known_fields(kind)
    assert ours(kind).keys() <= known
    assert of_the_api(kind).keys() <= known
    assert {"was_rescheduled", "student_feedback", "pupil_id"} & known == (
        {"was_rescheduled", "student_feedback"} if kind == "sessions" else set()
    )


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
TEXTS = st.sampled_from(["null", "true", "1", "{", "[]", "finished", "", "NaN", "1e999", "\ud800", DOTTED])


@st.composite
def any_correction(draw: st.DrawFn) -> Correction:
    action = draw(st.sampled_from(["rename", "replace", "clear", "fill", "parse_time"]))
    name = st.sampled_from([*CONTRACTS["sessions"].model_fields, "student_feedback.rating", "x.y", "."])
    new = draw(st.sampled_from([NEW_YORK, "Asia/Tokyo"]) if action == "parse_time" else TEXTS.filter(bool))
    return Correction(action, draw(name), draw(TEXTS), new)


@given(
    corrections=st.lists(any_correction(), max_size=4),
    changes=st.dictionaries(st.sampled_from([*CONTRACTS["sessions"].model_fields]), VALUES, max_size=4),
)
@settings(max_examples=300)
def test_no_correction_makes_the_judge_stumble(
    corrections: list[Correction], changes: dict[str, Any]
) -> None:
    record = ours("sessions", **changes)
    judged = judge("sessions", [record], corrections=corrections)
    assert len(judged.rows) + len(judged.refusals) == 1
