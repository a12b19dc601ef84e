"""Good records of every kind, under the API's names and under ours."""

from typing import Any

from data.contracts import Kind, judge

UPDATED = "2026-03-01T12:00:00.123Z"

OURS: dict[Kind, dict[str, Any]] = {
    "sessions": {
        "session_id": "s1",
        "tutor_id": "t1",
        "customer_id": "c1",
        "subject_id": "maths",
        "status": "finished",
        "scheduled_start_at": "2026-03-01T10:00:00Z",
        "scheduled_end_at": "2026-03-01T11:00:00Z",
        "tutor_joined_at": "2026-03-01T10:01:00Z",
        "tutor_left_at": "2026-03-01T11:00:00Z",
        "customer_joined_at": "2026-03-01T10:00:30Z",
        "customer_left_at": "2026-03-01T10:59:00Z",
        "reports_attendance": True,
        "reports_customer_attendance": True,
        "join_kind": "meeting",
        "reported_late": False,
        "is_first_reported": True,
        "reschedule_count": 1,
        "rescheduled_by": "student",
        "student_rating": 5,
        "tutor_rating": 4.5,
        "booked_followup": True,
        "booked_at": "2026-02-20T09:00:00Z",
        "student_comment": "Clear.",
        "tutor_comment": "Quick.",
        "ai_summary": "Fractions.",
        "transcript_url": "https://files.example/t/1",
        "video_url": "https://files.example/v/1",
        "updated_at": UPDATED,
    },
    "customers": {
        "customer_id": "c1",
        "signed_up_at": "2026-01-05T08:00:00+01:00",
        "acquisition_channel": "friend",
        "time_zone": "America/New_York",
        "is_active": True,
        "goals": [
            {"goal_id": "g1", "subject_id": "maths", "set_at": "2026-01-06T08:00:00Z", "completed_at": None}
        ],
        "full_name": "Ann Example",
        "email": "ann@example.org",
        "phone": "+1 555 0100",
        "updated_at": UPDATED,
    },
    "tutors": {
        "tutor_id": "t1",
        "hired_at": "2025-09-01T00:00:00Z",
        "time_zone": "Europe/Berlin",
        "is_active": False,
        "subjects": ["maths", "physics"],
        "availability": [{"weekday": 0, "start_time": "09:30", "end_time": "24:00"}],
        "leaves": [{"starts_on": "2026-04-01", "ends_on": "2026-04-01"}],
        "full_name": "Ben Example",
        "email": "ben@example.org",
        "updated_at": UPDATED,
    },
    "inbound_calls": {
        "call_id": "k1",
        "customer_id": "c1",
        "called_at": "2026-03-01T09:00:00Z",
        "reason_code": "billing",
        "updated_at": UPDATED,
    },
    "reschedules": {
        "reschedule_id": "r1",
        "session_id": "s1",
        "tutor_id": "t1",
        "customer_id": "c1",
        "rescheduled_by": "tutor",
        "reason_code": "illness",
        "original_start_at": "2026-03-01T10:00:00Z",
        "new_start_at": "2026-03-02T10:00:00Z",
        "rescheduled_at": "2026-02-28T18:00:00Z",
        "updated_at": UPDATED,
    },
    "engagement_events": {
        "event_id": "e1",
        "actor_type": "customer",
        "actor_id": "c1",
        "event_type": "login",
        "occurred_at": "2026-03-01T09:00:00Z",
        "session_id": None,
        "updated_at": UPDATED,
    },
}

NAMES_OF_THE_API: dict[Kind, dict[str, str]] = {
    "sessions": {
        "customer_id": "student_id",
        "scheduled_start_at": "session_start_time",
        "scheduled_end_at": "session_end_time",
        "tutor_joined_at": "tutor_join_time",
        "tutor_left_at": "tutor_leave_time",
        "customer_joined_at": "student_join_time",
        "customer_left_at": "student_leave_time",
        "is_first_reported": "is_first_session",
        "booked_followup": "student_booked_followup",
    },
    "customers": {"is_active": "active", "full_name": "name"},
    "tutors": {"is_active": "active", "full_name": "name", "leaves": "leave"},
    "inbound_calls": {"called_at": "call_date"},
    "reschedules": {
        "customer_id": "student_id",
        "reason_code": "reason",
        "original_start_at": "original_start_time",
        "new_start_at": "new_start_time",
    },
    "engagement_events": {},
}


def ours(kind: Kind, **changes: Any) -> dict[str, Any]:
    """A good record under our names."""
    return OURS[kind] | changes


def of_the_api(kind: Kind, **changes: Any) -> dict[str, Any]:
    """The same record under the API's names; feedback and subjects are nested there."""
    names = NAMES_OF_THE_API[kind]
    record = {names.get(name, name): value for name, value in OURS[kind].items()}
    if kind == "sessions":
        for side in ("student", "tutor"):
            rating, comment = record.pop(f"{side}_rating"), record.pop(f"{side}_comment")
            record[f"{side}_feedback"] = {"rating": rating, "description": comment}
        record["subjects_covered"] = [record.pop("subject_id"), "physics"]
    if kind == "customers":
        record["goals"] = [{"goal_id": "g1", "subject": "maths", "set_at": "2026-01-06T08:00:00Z"}]
    if kind == "tutors":
        record["availability"] = [{"weekday": 0, "start": "09:30", "end": "24:00"}]
    return record | changes


def kept(kind: Kind, record: Any) -> dict[str, Any]:
    """The row of a record that must be accepted."""
    judged = judge(kind, [record])
    assert judged.refusals == [], judged.refusals
    return judged.rows[0]


def refused(kind: Kind, record: Any) -> tuple[str, str]:
    """Field and reason of a record that must be refused."""
    judged = judge(kind, [record])
    assert judged.rows == []
    return judged.refusals[0].field, judged.refusals[0].reason
