"""Webhooks fired by hand, for demonstrations and tests: one made-up session, sent once or several times."""

from datetime import datetime, timedelta
from typing import Any

import httpx

from app.mock_rails.webhooks import Message, message_of, signed_headers

KINDS = ("ok", "tutor_no_show", "tutor_late", "early_end", "poor_first_session")
FORGED_SECRET = "whsec_Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2Vk"


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def a_session(kind: str, *, session_id: str, tutor_id: str, student_id: str, now: datetime) -> dict[str, Any]:
    """A session that ended a minute ago, an hour long, in the shape of the API."""
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}; known: {', '.join(KINDS)}")
    end = now - timedelta(minutes=1)
    start = end - timedelta(hours=1)
    absent = kind == "tutor_no_show"
    joined = start + timedelta(minutes=25 if kind == "tutor_late" else 0)
    left = end - timedelta(minutes=25 if kind == "early_end" else 0)
    rating = 1 if kind == "poor_first_session" else None
    return {
        "session_id": session_id,
        "tutor_id": tutor_id,
        "student_id": student_id,
        "subjects_covered": ["algebra"],
        "status": "finished",
        "session_start_time": _iso(start),
        "session_end_time": _iso(end),
        "tutor_join_time": None if absent else _iso(joined),
        "tutor_leave_time": None if absent else _iso(left),
        "student_join_time": _iso(start),
        "student_leave_time": _iso(start + timedelta(minutes=15) if absent else left),
        "is_first_session": kind == "poor_first_session",
        "was_rescheduled": False,
        "reschedule_count": 0,
        "rescheduled_by": None,
        "tutor_feedback": None,
        "student_feedback": None
        if rating is None
        else {"rating": rating, "description": "We did not get anywhere today."},
        "student_booked_followup": False,
        "booked_at": _iso(start - timedelta(days=2)),
        "updated_at": _iso(now),
        "video_url": None,
        "transcript_url": None,
        "ai_summary": None,
    }


def send(
    session: dict[str, Any],
    *,
    url: str,
    secret: str,
    happened_at: datetime,
    now: datetime,
    message_id: str | None,
    times: int,
    forge: bool,
) -> list[int]:
    """Post the session under one message id and return the status codes; `forge` signs wrongly."""
    message = message_of("session.completed", session, happened_at)
    if message_id:
        message = Message(message_id, message.occurred_at, message.body)
    headers = signed_headers(message, secret=FORGED_SECRET if forge else secret, sent_at=now)
    with httpx.Client(timeout=10) as client:
        return [client.post(url, content=message.body, headers=headers).status_code for _ in range(times)]
