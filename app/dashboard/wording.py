"""How the dashboard says numbers, times and words of the domain.

What belongs here: pure formatting. What does not: what a number means (views) or its colour (palette).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

NOTHING = "–"
"""What stands where there is no value. Never a zero."""

_LABELS = {
    "tutor_no_show": "Tutor did not show up",
    "tutor_late": "Tutor was late",
    "session_ended_early": "Session ended early",
    "poor_first_session": "Poor first session",
    "high_reschedule_rate": "Reschedules often",
    "tutor_health_low": "Tutor health is low",
    "tutor_churn_risk_high": "Tutor may leave",
    "tutor_no_show_repeated": "Repeated no-shows",
    "customer_health_critical": "Customer health is critical",
    "customer_calls_repeated": "Repeated support calls",
    "supply_shortage": "Supply shortage",
    "feed_silent": "A feed is late or silent",
    "feed_failing": "A feed cannot be read",
    "last_reason": "What went wrong",
    "is_held": "Held until somebody releases it",
    "last_read_at": "Last good read",
    "last_loaded_at": "Last new record",
    "late_after_hours": "Late after, hours",
    "silent_after_hours": "Silent after, hours",
    "rails.pull": "Marketplace, pulled",
    "rails.webhook": "Marketplace, webhook",
    "p_shortage": "Probability of a shortage",
    "score_code": "Which score",
    "sample_size": "Sample",
    "worst_ratio": "Lowest supply per demand",
    "hour_count": "Hours",
    "first_hour_at": "First hour",
    "last_hour_at": "Last hour",
    "window_days": "Window, days",
    "subject_id": "Subject",
    "scheduled_start_at": "Planned start",
    "measure": "What was measured",
    "value": "Found",
    "threshold": "Limit",
    "late_minutes": "Minutes late",
    "early_end_minutes": "Minutes cut short",
    "student_rating": "Student's rating",
    "THS": "Tutor health",
    "TCRS": "Tutor churn risk",
    "OVERALL": "Overall quality",
    "SQS": "Session quality",
    "FSRS": "First-session risk",
    "HEALTH": "Customer health",
    "CHURN": "Churn risk",
}


def label(code: str | None) -> str:
    """Return a code of the domain as a person says it: known ones by name, others with spaces."""
    if not code:
        return NOTHING
    if code in _LABELS:
        return _LABELS[code]
    if code.startswith("import."):
        return f"{label(code.removeprefix('import.'))}, imported"
    text = str(code).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def is_known(value: Any) -> bool:
    """Return whether there is a value at all: neither null nor not-a-number."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def number(value: Any, digits: int = 0) -> str:
    """Return a number with thousands separators, or a dash."""
    return f"{float(value):,.{digits}f}" if is_known(value) else NOTHING


def percent(value: Any, digits: int = 0) -> str:
    """Return a rate from 0 to 1 in per cent, or a dash."""
    return f"{100 * float(value):.{digits}f} %" if is_known(value) else NOTHING


def signed(value: Any, digits: int = 0, unit: str = "") -> str:
    """Return a change with its sign, or a dash."""
    if not is_known(value):
        return NOTHING
    rounded = round(float(value), digits)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):,.{digits}f}{unit}"


def count(value: Any, one: str, many: str | None = None) -> str:
    """Return a count with its noun: 1 session, 2 sessions."""
    whole = int(value) if is_known(value) else 0
    return f"{whole:,} {one if whole == 1 else many or one + 's'}"


def day(value: date | None, *, year: bool = False) -> str:
    """Return a day as 21 Nov, or 21 Nov 2026."""
    if value is None:
        return NOTHING
    return f"{value.day} {value:%b %Y}" if year else f"{value.day} {value:%b}"


def local(value: datetime, zone: str) -> datetime:
    """Return an instant in the business time zone. A naive one is UTC, as the lake stores it."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(ZoneInfo(zone))


def clock(value: datetime | None, zone: str) -> str:
    """Return the time of day in the business time zone."""
    return f"{local(value, zone):%H:%M}" if value is not None else NOTHING


def moment(value: datetime | None, zone: str) -> str:
    """Return day and time in the business time zone: 21 Nov 14:05."""
    if value is None:
        return NOTHING
    here = local(value, zone)
    return f"{here.day} {here:%b %H:%M}"


def weekday_moment(value: datetime | None, zone: str) -> str:
    """Return weekday, day and time in the business time zone: Sat 21 Nov 14:05."""
    return f"{local(value, zone):%a} {moment(value, zone)}" if value is not None else NOTHING


def span(seconds: float | None) -> str:
    """Return a length of time in its two largest sensible units at most."""
    if seconds is None:
        return NOTHING
    minutes = int(max(0, seconds) // 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {rest} min" if rest and hours < 3 else "")
    return count(hours // 24, "day")


def ago(value: datetime | None, now: datetime) -> str:
    """Return how long ago an instant was."""
    if value is None:
        return "never"
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    seconds = (now - aware).total_seconds()
    return "just now" if seconds < 60 else f"{span(seconds)} ago"


def listed(words: Sequence[str]) -> str:
    """Return words joined as in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
