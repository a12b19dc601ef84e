"""The versions of the test marketplace's sessions: booked, over, and rated three hours later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from dashboard_tables import Row

FEEDBACK_AFTER = timedelta(hours=3)


def versions_of(sessions: Iterable[Row]) -> list[Row]:
    """Return rows of core.fct_session_versions as dbt would make them of such sessions."""
    rows = []
    for session in sessions:
        start, over = session["scheduled_start_at"], session["scheduled_end_at"]
        told: list[Row] = [
            {"status": "scheduled", "updated_at": start - timedelta(days=2), "changed_fields": []},
            {"status": session["status"], "updated_at": over, "changed_fields": ["status"]},
        ]
        if session["student_rating"] is not None:
            told.append(
                {
                    "status": session["status"],
                    "updated_at": over + FEEDBACK_AFTER,
                    "changed_fields": ["student_rating"],
                    "student_rating": session["student_rating"],
                    "is_late_feedback": True,
                }
            )
        known = [version["updated_at"] + timedelta(minutes=1) for version in told]
        rows += [
            {
                **{
                    name: session[name]
                    for name in ("session_id", "tutor_id", "customer_id", "scheduled_start_at")
                },
                "version_number": number + 1,
                "version_hash": f"{session['session_id']}-{number}",
                "source": "rails.pull" if number == 0 else "rails.webhook",
                "student_rating": None,
                "is_late_feedback": False,
                "known_from": known[number],
                "known_until": known[number + 1] if number + 1 < len(known) else None,
            }
            | version
            for number, version in enumerate(told)
        ]
    return rows
