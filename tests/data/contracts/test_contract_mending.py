"""Advice on refusals matches the words in which contracts really refuse, and a rehearsal says what a mend would do."""

import json

import pytest
from contract_builders import ours, refused
from test_contract_poisons import NO_TIMES, OTHER_POISONS, SESSION_POISONS, TUTOR_POISONS

from data.contracts import Correction, Kind
from data.contracts.json_text import names_once
from data.contracts.mending import advice
from data.contracts.rehearsal import StillRefused, rehearse

NOBODY_KNOWS = advice("rating", "words that no contract says")
POISONS: list[tuple[Kind, dict[str, object]]] = [
    *[("sessions", changes) for _, changes, _, _ in SESSION_POISONS],
    *[("tutors", changes) for _, changes, _, _ in TUTOR_POISONS],
    *[(kind, changes) for kind, _, changes, _, _ in OTHER_POISONS],
]


def test_every_refusal_that_a_correction_can_mend_is_told_which() -> None:
    for kind, changes in POISONS:
        field, reason = refused(kind, ours(kind, **changes))
        told = advice(field, reason)
        assert told is not NOBODY_KNOWS, f"{field}: {reason}"
        assert (told.action is None) == (field == "record")


@pytest.mark.parametrize(
    ("reason", "action"),
    [(reason, "parse_time") for _, _, reason in NO_TIMES[:12]]
    + [("Field required", "rename"), ("Input should be 'scheduled' or 'finished'", "replace")],
)
def test_the_advice_begins_with_the_correction_that_fits(reason: str, action: str) -> None:
    assert advice("scheduled_start_at", reason).action == action


def test_a_record_that_cannot_be_read_is_beyond_correction() -> None:
    assert advice("record", "Field required").action is None


def test_a_rehearsal_counts_what_would_pass_and_why_the_others_would_not() -> None:
    records = [
        ours("sessions"),
        *[ours("sessions", status="done", session_id=f"s{number}") for number in (2, 3)],
        *[ours("sessions", status="done", session_id=f"s{number}", student_rating=6) for number in (4, 5)],
        ours("sessions", student_rating="five", session_id="s6"),
    ]
    before = json.dumps(records)
    mend = Correction(action="replace", field="status", old_value="done", new_value="finished")
    tried = rehearse("sessions", records, [mend])
    assert (tried.tried, tried.passing) == (6, 3)
    (most, rest) = tried.still_refused
    assert (most.field, most.count, rest.field, rest.count) == ("student_rating", 2, "student_rating", 1)
    assert "less than or equal to 5" in most.reason
    assert json.dumps(records) == before, "what is rehearsed stays as it is"
    assert rehearse("sessions", records, []).passing == 1
    assert rehearse("sessions", [], [mend]).still_refused == ()


def test_causes_of_equal_size_stand_in_one_order() -> None:
    records = [ours("sessions", status="done"), ours("sessions", student_rating=6, session_id="s2")]
    found = rehearse("sessions", records, []).still_refused
    assert found == rehearse("sessions", records[::-1], []).still_refused
    assert all(isinstance(one, StillRefused) and one.count == 1 for one in found)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1, "a": 1}', {"a": 1}),
        ('{"a": 1, "a": 2, "b": 3}', {"a": [1, 2], "b": 3}),
        ('{"a": {"b": 1, "b": 2}}', {"a": {"b": [1, 2]}}),
        ('{"a": null, "a": "x", "a": null}', {"a": [None, "x"]}),
        ("{}", {}),
    ],
)
def test_a_name_said_twice_is_no_value_that_somebody_chose(text: str, read: dict[str, object]) -> None:
    assert json.loads(text, object_pairs_hook=names_once) == read
