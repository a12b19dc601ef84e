"""What the contracts let in, and that they keep it as it came."""

import random
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from contract_builders import NAMES_OF_THE_API, OURS, kept, of_the_api, ours, refused

from data.contracts import CONTRACTS, Kind, judge, version_hash
from data.contracts.fields import RAILS_ZONES, ZONES

KINDS: tuple[Kind, ...] = get_args(Kind)
PLAIN_TEXTS = {
    "sql": "Robert'); drop table sessions;--",
    "xss": "<script>alert(1)</script>",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "minus formula": "-2+3",
    "template": "{{ 7 * 7 }} ${7*7} %s",
    "path": "../../etc/passwd",
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "emoji": "👩‍🏫🇩🇪 \U0001f9ea",
    "combining": "Z\u0351\u036ba\u030al\u0327go",
    "line breaks": "a\r\nb\tc\u2028d",
    "spaces": "  kept  ",
    "empty": "",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_record_passes_under_our_names(kind: Kind) -> None:
    row = kept(kind, ours(kind))
    assert row.keys() - {"version_hash"} == CONTRACTS[kind].model_fields.keys()
    assert row["updated_at"] == datetime(2026, 3, 1, 12, 0, 0, 123_000)


@pytest.mark.parametrize("kind", KINDS)
def test_the_apis_names_give_the_very_same_version(kind: Kind) -> None:
    assert kept(kind, of_the_api(kind)) == kept(kind, ours(kind))


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in NAMES_OF_THE_API[k]])
def test_each_name_of_the_api_is_understood_by_itself(kind: Kind, name: str) -> None:
    record = ours(kind)
    record[NAMES_OF_THE_API[kind][name]] = record.pop(name)
    assert kept(kind, record) == kept(kind, ours(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_the_contract_requires_is_enough(kind: Kind) -> None:
    contract = CONTRACTS[kind]
    needed = {name for name, field in contract.model_fields.items() if field.is_required()}
    row = kept(kind, {name: value for name, value in ours(kind).items() if name in needed})
    assert contract.key in needed
    assert "updated_at" in needed
    assert all(row[name] is not None for name in needed)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_changes_nothing(kind: Kind) -> None:
    assert kept(kind, ours(kind, brand_new={"deep": [1]})) == kept(kind, ours(kind))


def test_times_of_any_offset_become_naive_utc() -> None:
    row = kept("sessions", ours("sessions", scheduled_start_at="2026-03-01T15:00:00+05:00"))
    assert row["scheduled_start_at"] == datetime(2026, 3, 1, 10)
    aware = datetime(2026, 3, 1, 5, tzinfo=timezone(timedelta(hours=-5)))
    assert kept("sessions", ours("sessions", scheduled_start_at=aware))["scheduled_start_at"] == datetime(
        2026, 3, 1, 10
    )


def test_numbers_as_identifiers_are_kept_as_text() -> None:
    row = kept("sessions", ours("sessions", session_id=2**70, tutor_id=7, customer_id="007"))
    assert (row["session_id"], row["tutor_id"], row["customer_id"]) == (str(2**70), "7", "007")


@pytest.mark.parametrize("text", PLAIN_TEXTS.values(), ids=PLAIN_TEXTS.keys())
def test_hostile_and_foreign_text_is_kept_to_the_letter(text: str) -> None:
    assert kept("sessions", ours("sessions", student_comment=text))["student_comment"] == text
    assert kept("customers", ours("customers", full_name=text))["full_name"] == text
    if text.strip():
        assert kept("sessions", ours("sessions", session_id=text))["session_id"] == text.strip()


def test_the_longest_text_is_kept_and_one_letter_more_is_not() -> None:
    assert len(kept("sessions", ours("sessions", ai_summary="x" * 20_000))["ai_summary"]) == 20_000
    assert refused("sessions", ours("sessions", ai_summary="x" * 20_001))[0] == "ai_summary"


def test_feedback_is_flattened() -> None:
    record = of_the_api("sessions", student_feedback={"rating": 2, "description": "Late."})
    row = kept("sessions", record | {"tutor_feedback": None})
    assert (row["student_rating"], row["student_comment"]) == (2.0, "Late.")
    assert (row["tutor_rating"], row["tutor_comment"]) == (None, None)


def test_a_flat_rating_wins_over_feedback_and_an_empty_one_does_not() -> None:
    feedback = {"rating": 2, "description": "Late."}
    assert (
        kept("sessions", ours("sessions", student_rating=4, student_feedback=feedback))["student_rating"] == 4
    )
    assert (
        kept("sessions", ours("sessions", student_rating=None, student_feedback=feedback))["student_rating"]
        == 2
    )


@pytest.mark.parametrize(("told", "count"), [(True, 1), (False, 0), (None, None)])
def test_was_rescheduled_stands_in_for_a_missing_count(told: bool | None, count: int | None) -> None:
    record = ours("sessions", was_rescheduled=told, reschedule_count=None)
    assert kept("sessions", record)["reschedule_count"] == count
    assert kept("sessions", record | {"reschedule_count": 3})["reschedule_count"] == 3


@pytest.mark.parametrize("subjects", [None, []])
def test_no_subjects_covered_leaves_the_subject_unknown(subjects: Any) -> None:
    record = of_the_api("sessions", subjects_covered=subjects)
    assert kept("sessions", record)["subject_id"] is None


@pytest.mark.parametrize("time", ["00:00", "09:30", "23:59", "24:00"])
def test_every_time_of_a_day_is_a_slot_edge(time: str) -> None:
    slot = {"weekday": 6, "start_time": time, "end_time": time}
    assert kept("tutors", ours("tutors", availability=[slot]))["availability"] == [slot]


@pytest.mark.parametrize(
    ("told", "kept_as"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" Asia/Kolkata ", "Asia/Kolkata"),
        ("UTC", "UTC"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Sydney", "Australia/Sydney"),
        (None, None),
    ],
)
@pytest.mark.parametrize("kind", ["customers", "tutors"])
def test_a_time_zone_is_kept_under_its_iana_name(kind: Kind, told: Any, kept_as: str | None) -> None:
    assert kept(kind, ours(kind, time_zone=told))["time_zone"] == kept_as


def test_every_rails_zone_stands_for_one_that_a_clock_knows() -> None:
    assert set(RAILS_ZONES.values()) <= ZONES
    assert not set(RAILS_ZONES) & ZONES


def test_a_move_without_a_new_time_is_kept() -> None:
    row = kept("reschedules", ours("reschedules", new_start_at=None, rescheduled_by=None, reason_code=None))
    assert (row["new_start_at"], row["rescheduled_by"], row["reason_code"]) == (None, None, None)


def test_leave_becomes_days() -> None:
    assert kept("tutors", ours("tutors"))["leaves"] == [
        {"starts_on": date(2026, 4, 1), "ends_on": date(2026, 4, 1)}
    ]


def test_the_version_does_not_depend_on_the_order_of_fields() -> None:
    generator = random.Random(7)
    for kind in KINDS:
        expected = kept(kind, ours(kind))["version_hash"]
        for _ in range(20):
            fields = list(ours(kind).items())
            generator.shuffle(fields)
            assert kept(kind, dict(fields))["version_hash"] == expected
        row = {name: value for name, value in kept(kind, ours(kind)).items() if name != "version_hash"}
        assert version_hash(dict(reversed(row.items()))) == expected


def test_the_version_stays_what_it_was_when_the_code_was_written() -> None:
    # A change here makes every known record a new version at its next pull: it must be meant.
    assert {kind: kept(kind, ours(kind))["version_hash"] for kind in KINDS} == {
        "sessions": "4ec2baf950b2369795d49914",
        "customers": "703c2ddcce84a45b8492c7dc",
        "tutors": "81c6c13db843c10dacada522",
        "inbound_calls": "c2eb86fa9338856374e1a18b",
        "reschedules": "77efe2c386b132455c424f92",
        "engagement_events": "742ac947a42d11f72bbdcbdc",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_belongs_to_the_version(kind: Kind) -> None:
    row = {name: value for name, value in kept(kind, ours(kind)).items() if name != "version_hash"}
    hashes = {version_hash(row | {name: "changed"}) for name in row}
    assert len(hashes) == len(OURS[kind])
    assert version_hash(row) not in hashes


def test_equal_instants_in_different_offsets_are_one_version() -> None:
    here = kept("inbound_calls", ours("inbound_calls", called_at="2026-03-01T04:00:00-05:00"))
    there = datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert here == kept("inbound_calls", ours("inbound_calls", called_at=there))


def test_a_bad_record_holds_back_no_good_one() -> None:
    judged = judge("sessions", [ours("sessions"), None, ours("sessions", session_id="s2"), {}, "x"])
    assert [row["session_id"] for row in judged.rows] == ["s1", "s2"]
    assert len(judged.refusals) == 3
