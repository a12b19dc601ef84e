"""Webhooks fired by hand, for demonstrations and tests: one made-up event, sent once or several times."""

from datetime import datetime, timedelta

import httpx

from app.mock_rails.announcements import PATIENCE, Message, Record, absence_of, iso, message_of
from app.mock_rails.clock import micros
from app.mock_rails.webhooks import signed_headers

SESSION_KINDS = ("ok", "tutor_no_show", "tutor_late", "early_end", "poor_first_session", "late_feedback")
KINDS = (*SESSION_KINDS, "rescheduled", "no_show_notice", "engagement")
FORGED_SECRET = "whsec_Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2Vk"
FEEDBACK = {
    "poor_first_session": {"rating": 1, "description": "We did not get anywhere today."},
    "late_feedback": {"rating": 2, "description": "It was hard to follow."},
}


def _planned(session_id: str, tutor_id: str, student_id: str, *, start: datetime, now: datetime) -> Record:
    """A session of an hour that is still to come."""
    unknown = (
        "tutor_join_time", "tutor_leave_time", "student_join_time", "student_leave_time", "rescheduled_by",
        "tutor_feedback", "student_feedback", "video_url", "transcript_url", "ai_summary",
    )  # fmt: skip
    return {
        "session_id": session_id,
        "tutor_id": tutor_id,
        "student_id": student_id,
        "subjects_covered": ["algebra"],
        "status": "scheduled",
        "session_start_time": iso(start),
        "session_end_time": iso(start + timedelta(hours=1)),
        "is_first_session": False,
        "was_rescheduled": False,
        "reschedule_count": 0,
        "student_booked_followup": False,
        "booked_at": iso(start - timedelta(days=2)),
        "updated_at": iso(now),
        **dict.fromkeys(unknown),
    }


def a_session(kind: str, *, session_id: str, tutor_id: str, student_id: str, now: datetime) -> Record:
    """A session that ended a minute ago, an hour long, in the shape of the API."""
    _refuse_unknown(kind, SESSION_KINDS)
    end = now - timedelta(minutes=1)
    start = end - timedelta(hours=1)
    absent = kind == "tutor_no_show"
    joined = start + timedelta(minutes=25 if kind == "tutor_late" else 0)
    left = end - timedelta(minutes=25 if kind == "early_end" else 0)
    return _planned(session_id, tutor_id, student_id, start=start, now=now) | {
        "status": "finished",
        "tutor_join_time": None if absent else iso(joined),
        "tutor_leave_time": None if absent else iso(left),
        "student_join_time": iso(start),
        "student_leave_time": iso(start + timedelta(minutes=15) if absent else left),
        "is_first_session": kind == "poor_first_session",
        "student_feedback": FEEDBACK.get(kind),
    }


def _a_move(session_id: str, tutor_id: str, student_id: str, now: datetime) -> Record:
    """A session of in three hours that its tutor moves by a day."""
    original = now + timedelta(hours=3)
    start = original + timedelta(days=1)
    moved = {"was_rescheduled": True, "reschedule_count": 1, "rescheduled_by": "tutor"}
    return {
        "reschedule_id": f"rsc_{session_id}_{micros(now) // 1000}",
        "session_id": session_id,
        "tutor_id": tutor_id,
        "student_id": student_id,
        "rescheduled_by": "tutor",
        "reason": "schedule_conflict",
        "original_start_time": iso(original),
        "new_start_time": iso(start),
        "rescheduled_at": iso(now),
        "updated_at": iso(now),
        "session": _planned(session_id, tutor_id, student_id, start=start, now=now) | moved,
    }


def an_event(
    kind: str, *, session_id: str, tutor_id: str, student_id: str, now: datetime
) -> tuple[str, Record]:
    """Type and data of the event that a kind stands for, as if it happened now. Raises ValueError if unknown."""
    _refuse_unknown(kind, KINDS)
    people = {"session_id": session_id, "tutor_id": tutor_id, "student_id": student_id}
    if kind == "rescheduled":
        return "session.rescheduled", _a_move(session_id, tutor_id, student_id, now)
    if kind == "no_show_notice":
        start = now - PATIENCE
        session = _planned(session_id, tutor_id, student_id, start=start, now=now)
        return "tutor.no_show", absence_of(session, student_join_time=iso(start))
    if kind == "engagement":
        return "engagement.event", {
            "event_id": f"evt_{session_id}_{micros(now) // 1000}",
            "actor_type": "tutor",
            "actor_id": tutor_id,
            "event_type": "message_sent",
            "occurred_at": iso(now),
            "session_id": session_id,
            "updated_at": iso(now),
        }
    event_type = "session.updated" if kind == "late_feedback" else "session.completed"
    return event_type, a_session(kind, **people, now=now)


def _refuse_unknown(kind: str, known: tuple[str, ...]) -> None:
    if kind not in known:
        raise ValueError(f"Unknown kind {kind!r}; known: {', '.join(known)}")


def send(
    event_type: str,
    data: Record,
    *,
    url: str,
    secret: str,
    happened_at: datetime,
    now: datetime,
    message_id: str | None,
    times: int,
    forge: bool,
) -> list[int]:
    """Post an event under one message id and return the status codes; `forge` signs wrongly."""
    message = message_of(event_type, data, happened_at)
    if message_id:
        message = Message(message_id, message.occurred_at, message.body)
    headers = signed_headers(message, secret=FORGED_SECRET if forge else secret, sent_at=now)
    with httpx.Client(timeout=10) as client:
        return [client.post(url, content=message.body, headers=headers).status_code for _ in range(times)]
