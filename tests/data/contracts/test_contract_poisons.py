"""What the contracts refuse: the field, the reason and the value are named, and nothing is made up instead."""

import json
import random
from datetime import date, datetime
from typing import Any

import pytest
from contract_builders import of_the_api, ours, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contracts import CONTRACTS, Kind, judge
from data.contracts.validation import RECORD_LIMIT, VALUE_LIMIT

NAN, INFINITY = float("nan"), float("inf")
DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]
DEEP_OBJECT: dict[str, Any] = {}
for _ in range(5_000):
    DEEP_OBJECT = {"a": DEEP_OBJECT}

NO_TIMES = [
    ("a number", 1_772_366_400, "is not an ISO 8601 time"),
    ("a number as text", "1772366400", "is not an ISO 8601 time"),
    ("a float", 1.5e9, "is not an ISO 8601 time"),
    ("true", True, "is not an ISO 8601 time"),
    ("a list", [], "is not an ISO 8601 time"),
    ("no text at all", "", "is not an ISO 8601 time"),
    ("a day", "2026-03-01", "is not an ISO 8601 time"),
    ("words", "tomorrow", "is not an ISO 8601 time"),
    ("other digits", "٢٠٢٦-٠٣-٠١T١٠:٠٠:٠٠Z", "is not an ISO 8601 time"),
    ("an American time", "03/01/2026 10:00", "is not an ISO 8601 time"),
    ("naive", "2026-03-01T10:00:00", "has no time zone"),
    ("naive object", datetime(2026, 3, 1), "has no time zone"),
    ("year 1", "0001-01-01T00:00:00Z", "is outside 2000 to 2099"),
    ("before year 1", "0001-01-01T00:00:00+10:00", "is outside 2000 to 2099"),
    ("year 9999", "9999-12-31T23:59:59Z", "is outside 2000 to 2099"),
    ("after year 9999", "9999-12-31T23:59:59-10:00", "is outside 2000 to 2099"),
    ("1999", "1999-12-31T23:59:59.999Z", "is outside 2000 to 2099"),
    ("2100", "2100-01-01T00:00:00Z", "is outside 2000 to 2099"),
    ("the 30th of February", "2026-02-30T10:00:00Z", "Input should be a valid datetime"),
    ("hour 25", "2026-03-01T25:00:00Z", "Input should be a valid datetime"),
    ("U+0000", "2026-03-01T10:00:00Z\x00", "Input should be a valid datetime"),
]
NO_IDENTIFIERS = [
    ("null", None, "valid string"),
    ("empty", "", "at least 1 character"),
    ("blank", " \t\n ", "at least 1 character"),
    ("too long", "x" * 129, "at most 128 characters"),
    ("1 MB", "x" * 1_000_000, "at most 128 characters"),
    ("a fraction", 1.5, "valid string"),
    ("not a number", NAN, "valid string"),
    ("true", True, "valid string"),
    ("a list", ["s1"], "valid string"),
    ("an object", {"email": "ann@example.org"}, "valid string"),
    ("nested too deeply", DEEP, "valid string"),
    ("nested objects", DEEP_OBJECT, "valid string"),
    ("U+0000", "s\x001", "contains U+0000"),
    ("a lone surrogate", "s\ud800", "valid string"),
    ("a number without end", 10**5_000, "limit"),
]
NO_RATINGS = [
    ("zero", 0, "greater than or equal to 1"),
    ("six", 6, "less than or equal to 5"),
    ("a hair too much", 5.000001, "less than or equal to 5"),
    ("negative", -1, "greater than or equal to 1"),
    ("1e308", 1e308, "less than or equal to 5"),
    ("not a number", NAN, ""),
    ("infinite", INFINITY, ""),
    ("minus infinite", -INFINITY, ""),
    ("true", True, "is not a number"),
    ("words", "five", "valid number"),
    ("the text nan", "nan", ""),
    ("a list", [5], "valid number"),
]
SESSION_POISONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no status", {"status": None}, "status", "'scheduled', 'finished' or 'cancelled'"),
    ("an unknown status", {"status": "done"}, "status", "'scheduled', 'finished' or 'cancelled'"),
    (
        "an unknown rescheduler",
        {"rescheduled_by": "nobody"},
        "rescheduled_by",
        "'tutor', 'student' or 'system'",
    ),
    ("an unknown join kind", {"join_kind": "hall"}, "join_kind", "'meeting' or 'queue'"),
    ("a negative count", {"reschedule_count": -1}, "reschedule_count", "greater than or equal to 0"),
    ("a huge count", {"reschedule_count": 10_001}, "reschedule_count", "less than or equal to 10000"),
    ("a count of 1e308", {"reschedule_count": 1e308}, "reschedule_count", "integer"),
    ("a broken count", {"reschedule_count": 1.5}, "reschedule_count", "integer"),
    ("a count that is true", {"reschedule_count": True}, "reschedule_count", "is not a number"),
    ("no yes and no no", {"reports_attendance": "maybe"}, "reports_attendance", "valid boolean"),
    ("null for a fact", {"reports_attendance": None}, "reports_attendance", "valid boolean"),
    ("two for a fact", {"booked_followup": 2}, "booked_followup", "valid boolean"),
    (
        "a comment of 1 MB",
        {"student_comment": "x" * 1_000_000},
        "student_comment",
        "at most 20000 characters",
    ),
    ("U+0000 in a comment", {"tutor_comment": "a\x00b"}, "tutor_comment", "contains U+0000"),
    ("a surrogate in a summary", {"ai_summary": "\udc00"}, "ai_summary", "valid string"),
    ("a number as comment", {"student_comment": 5}, "student_comment", "valid string"),
    ("end before start", {"scheduled_end_at": "2026-03-01T09:59:59Z"}, "scheduled_end_at", "lies before"),
    ("tutor left before joining", {"tutor_left_at": "2026-03-01T10:00:59Z"}, "tutor_left_at", "lies before"),
    (
        "student left before joining",
        {"customer_left_at": "2026-03-01T10:00Z"},
        "customer_left_at",
        "lies before",
    ),
    ("feedback as text", {"student_feedback": "great"}, "student_feedback", "is not an object"),
    ("feedback as a list", {"tutor_feedback": [5]}, "tutor_feedback", "is not an object"),
    ("subjects as text", {"subjects_covered": "maths"}, "subjects_covered", "is not a list"),
    ("subjects of lists", {"subject_id": None, "subjects_covered": [[1]]}, "subject_id", "valid string"),
    ("a text for was_rescheduled", {"was_rescheduled": "false"}, "was_rescheduled", "is not true or false"),
]
TUTOR_POISONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("leave that ends before it starts", {"leaves": [{"starts_on": "2026-04-02", "ends_on": "2026-04-01"}]},
     "leaves.0", "ends_on lies before starts_on"),
    ("leave from a number", {"leaves": [{"starts_on": 0, "ends_on": 86_400}]}, "leaves.0.starts_on", "is not a day"),
    ("leave without an end", {"leaves": [{"starts_on": "2026-04-02"}]}, "leaves.0.ends_on", "required"),
    ("leave since year 1", {"leaves": [{"starts_on": "0001-01-01", "ends_on": "2026-01-01"}]},
     "leaves.0.starts_on", "is outside 2000 to 2099"),
    ("leave until 9999", {"leaves": [{"starts_on": date(2026, 1, 1), "ends_on": "9999-12-31"}]},
     "leaves.0.ends_on", "is outside 2000 to 2099"),
    ("leave at an instant", {"leave": [{"starts_on": datetime(2026, 1, 1), "ends_on": "2026-01-02"}], "leaves": None},
     "leaves", "valid list"),
    ("leave as an object", {"leaves": {}}, "leaves", "valid list"),
    ("an eighth weekday", {"availability": [{"weekday": 7, "start": "09:00", "end": "10:00"}]},
     "availability.0.weekday", "less than or equal to 6"),
    ("a weekday that is true", {"availability": [{"weekday": True, "start": "09:00", "end": "10:00"}]},
     "availability.0.weekday", "is not a number"),
    ("a slot at 24:30", {"availability": [{"weekday": 1, "start": "09:00", "end": "24:30"}]},
     "availability.0.end", "is not a time of day"),
    ("a slot in other digits", {"availability": [{"weekday": 1, "start": "٠٩:٠٠", "end": "10:00"}]},
     "availability.0.start", "is not a time of day"),
    ("a slot in superscript", {"availability": [{"weekday": 1, "start": "²²:00", "end": "10:00"}]},
     "availability.0.start", "is not a time of day"),
    ("a slot with seconds", {"availability": [{"weekday": 1, "start": "09:00:00", "end": "10:00"}]},
     "availability.0.start", "is not a time of day"),
    ("a subject without a name", {"subjects": ["maths", None]}, "subjects.1", "valid string"),
    ("too many subjects", {"subjects": ["maths"] * 101}, "subjects", "at most 100 items"),
    ("too many slots", {"availability": [{"weekday": 1, "start": "09:00", "end": "10:00"}] * 201},
     "availability", "at most 200 items"),
]  # fmt: skip
OTHER_POISONS: list[tuple[Kind, str, dict[str, Any], str, str]] = [
    ("customers", "a goal without an id", {"goals": [{"subject": "maths"}]}, "goals.0.goal_id", "required"),
    ("customers", "a goal set in no zone", {"goals": [{"goal_id": "g", "set_at": "2026-01-01T10:00:00"}]},
     "goals.0.set_at", "has no time zone"),
    ("customers", "a goal that is a text", {"goals": ["g1"]}, "goals.0", ""),
    ("customers", "a name of 201 letters", {"full_name": "x" * 201}, "full_name", "at most 200 characters"),
    ("customers", "a channel with U+0000", {"acquisition_channel": "a\x00"}, "acquisition_channel", "U+0000"),
    ("inbound_calls", "a call without a time", {"called_at": None}, "called_at", "is not an ISO 8601 time"),
    ("customers", "a zone of no clock", {"time_zone": "Mars/Olympus"}, "time_zone", "is no time zone"),
    ("customers", "a zone with an offset", {"time_zone": "UTC+2"}, "time_zone", "is no time zone"),
    ("customers", "an empty zone", {"time_zone": ""}, "time_zone", "is no time zone"),
    ("tutors", "a zone with U+0000", {"time_zone": "UTC\x00"}, "time_zone", "is no time zone"),
    ("tutors", "a zone outside the folder", {"time_zone": "../UTC"}, "time_zone", "is no time zone"),
    ("tutors", "a zone that is a number", {"time_zone": 2}, "time_zone", "valid string"),
    ("tutors", "a zone of 101 letters", {"time_zone": "x" * 101}, "time_zone", "at most 100 characters"),
    ("reschedules", "a move of no session", {"session_id": None}, "session_id", "valid string"),
    ("reschedules", "a move from nowhere", {"original_start_at": None}, "original_start_at", "ISO 8601"),
    ("reschedules", "a move at no time", {"rescheduled_at": None}, "rescheduled_at", "ISO 8601"),
    ("reschedules", "a move to a day", {"new_start_at": "2026-03-02"}, "new_start_at", "ISO 8601"),
    ("reschedules", "a stranger who moves", {"rescheduled_by": "coach"}, "rescheduled_by", "'tutor', 'student'"),
    ("reschedules", "a reason of 201 letters", {"reason_code": "x" * 201}, "reason_code", "at most 200 characters"),
    ("engagement_events", "a stranger", {"actor_type": "admin"}, "actor_type", "'tutor' or 'customer'"),
    ("engagement_events", "nothing that happened", {"event_type": None}, "event_type", "valid string"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"), [case[1:] for case in NO_TIMES], ids=[case[0] for case in NO_TIMES]
)
@pytest.mark.parametrize("name", ["updated_at", "scheduled_start_at", "tutor_joined_at"])
def test_what_is_no_time_is_refused(name: str, value: Any, reason: str) -> None:
    field, why = refused("sessions", ours("sessions", **{name: value}))
    assert field == name
    assert reason in why


@pytest.mark.parametrize(
    ("value", "reason"), [case[1:] for case in NO_IDENTIFIERS], ids=[case[0] for case in NO_IDENTIFIERS]
)
@pytest.mark.parametrize("kind", CONTRACTS)
def test_what_is_no_identifier_is_refused(kind: Kind, value: Any, reason: str) -> None:
    field, why = refused(kind, ours(kind, **{CONTRACTS[kind].key: value}))
    assert field == CONTRACTS[kind].key
    assert reason in why


@pytest.mark.parametrize(
    ("value", "reason"), [case[1:] for case in NO_RATINGS], ids=[case[0] for case in NO_RATINGS]
)
@pytest.mark.parametrize("side", ["student", "tutor"])
def test_what_is_no_rating_is_refused(side: str, value: Any, reason: str) -> None:
    for record in (
        ours("sessions", **{f"{side}_rating": value}),
        of_the_api("sessions", **{f"{side}_feedback": {"rating": value}}),
    ):
        field, why = refused("sessions", record)
        assert field == f"{side}_rating"
        assert reason in why


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [case[1:] for case in SESSION_POISONS],
    ids=[case[0] for case in SESSION_POISONS],
)
def test_a_poisoned_session_is_refused_by_name(changes: dict[str, Any], field: str, reason: str) -> None:
    place, why = refused("sessions", ours("sessions", **changes))
    assert place == field
    assert reason in why


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [case[1:] for case in TUTOR_POISONS],
    ids=[case[0] for case in TUTOR_POISONS],
)
def test_a_poisoned_tutor_is_refused_by_name(changes: dict[str, Any], field: str, reason: str) -> None:
    place, why = refused("tutors", ours("tutors", **changes))
    assert place == field
    assert reason in why


@pytest.mark.parametrize(
    ("kind", "changes", "field", "reason"),
    [(case[0], *case[2:]) for case in OTHER_POISONS],
    ids=[case[1] for case in OTHER_POISONS],
)
def test_other_poison_is_refused_by_name(
    kind: Kind, changes: dict[str, Any], field: str, reason: str
) -> None:
    place, why = refused(kind, ours(kind, **changes))
    assert place == field
    assert reason in why


@pytest.mark.parametrize("record", [None, True, 7, 1.5, NAN, "text", [], [["status", "finished"]], DEEP])
@pytest.mark.parametrize("kind", CONTRACTS)
def test_what_is_no_record_at_all_is_refused(kind: Kind, record: Any) -> None:
    assert refused(kind, record)[0] == "record"


@pytest.mark.parametrize("kind", CONTRACTS)
@pytest.mark.parametrize("version", ["absent", None, 5])
def test_a_record_without_its_time_of_change_is_refused(kind: Kind, version: Any) -> None:
    record = ours(kind, updated_at=version)
    if version == "absent":
        del record["updated_at"]
    assert refused(kind, record)[0] == "updated_at"


def test_a_refusal_names_the_record_and_shows_it() -> None:
    refusal = judge("sessions", [ours("sessions", student_rating=6)]).refusals[0]
    assert (refusal.record_id, refusal.value) == ("s1", "6")
    assert json.loads(refusal.record_json)["student_rating"] == 6


@pytest.mark.parametrize("identifier", [{"email": "ann@example.org"}, ["ann@example.org"], 1.5, True, None])
def test_a_refused_record_has_no_other_identifier_than_a_plain_one(identifier: Any) -> None:
    assert judge("sessions", [ours("sessions", session_id=identifier)]).refusals[0].record_id is None


def test_what_a_refusal_keeps_is_bounded_and_can_be_stored_anywhere() -> None:
    hostile = ours("sessions", session_id="s\x00" * 1_000, student_comment="\ud800" * 1_000_000)
    refusal = judge("sessions", [hostile]).refusals[0]
    assert len(refusal.record_id or "") <= 128
    assert len(refusal.value) <= VALUE_LIMIT
    assert len(refusal.record_json) <= RECORD_LIMIT
    for text in (refusal.record_id or "", refusal.value, refusal.record_json, refusal.reason):
        assert "\x00" not in text
        text.encode()


def test_two_long_records_that_begin_alike_are_two_refusals() -> None:
    long = {"ai_summary": "x" * 100_000}
    refusals = judge(
        "sessions", [ours("sessions", session_id=name, **long) for name in ("s1", "s2", "s1")]
    ).refusals
    assert len({refusal.quarantine_id for refusal in refusals}) == 2


def test_a_refusal_of_the_same_record_is_the_same_refusal() -> None:
    record = ours("sessions", student_rating=6)
    again = dict(reversed(record.items()))
    first, second = judge("sessions", [record, again]).refusals
    assert first == second


def test_a_deep_record_still_shows_what_can_be_shown() -> None:
    refusal = judge("sessions", [ours("sessions", subject_id=DEEP)]).refusals[0]
    assert refusal.record_id == "s1"
    assert '"session_id": "s1"' in refusal.record_json


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(data=st.data(), kind=st.sampled_from(sorted(CONTRACTS)))
@settings(max_examples=300)
def test_no_json_makes_the_judge_stumble(data: st.DataObject, kind: Kind) -> None:
    names = st.sampled_from([*CONTRACTS[kind].model_fields, "student_feedback", "subjects_covered", "leave"])
    broken = st.dictionaries(names, JSON, max_size=6).map(lambda changes: ours(kind, **changes))
    records = data.draw(st.lists(JSON | broken, max_size=6))
    judged = judge(kind, records)
    assert len(judged.rows) + len(judged.refusals) == len(records)
    assert all(row["version_hash"] for row in judged.rows)
    assert all(refusal.field and refusal.reason for refusal in judged.refusals)


def test_of_ten_thousand_records_exactly_the_poisoned_thousand_are_refused() -> None:
    generator = random.Random(11)
    poisons = [case[1] for case in SESSION_POISONS]
    records = [
        ours("sessions", session_id=f"s{number}") | (generator.choice(poisons) if number % 10 == 0 else {})
        for number in range(10_000)
    ]
    judged = judge("sessions", records)
    assert {refusal.record_id for refusal in judged.refusals} == {
        f"s{number}" for number in range(0, 10_000, 10)
    }
    assert len(judged.rows) == 9_000
