"""Turns the evidence of an alert (named values from the marts) into lines that people read.

What belongs here: labels, units, rounding. What does not: which values are evidence (the marts say).
Units come from the end of the name, as everywhere in the warehouse: _minutes, _rate, _pct, _at, _count.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from notifications.content import EvidenceLine

LABELS: Mapping[str, str] = {
    "n": "Observations",
    "sample_size": "Observations",
    "event_count": "Times",
    "score": "Score",
    "p_shortage": "Chance of a shortage",
    "ratio": "Supply for each hour of demand",
    "worst_ratio": "Supply for each hour of demand",
    "expected_unmet": "Sessions likely to go unmet",
    "expected_unmet_sessions": "Sessions likely to go unmet",
    "late_minutes": "Late by",
    "early_end_minutes": "Ended early by",
    "calls": "Calls to support",
    "window_days": "Looked back",
    "hour_count": "Hours in a row",
    "first_hour_at": "From",
    "reason_codes": "Reasons of the calls",
    "last_reason": "What went wrong",
    "is_held": "Held until somebody releases it",
    "last_read_at": "Last good read",
    "last_loaded_at": "Last new record",
    "late_after_hours": "Late after",
    "silent_after_hours": "Silent after",
    "as_of_date": "As of",
    "is_first_for_customer": "First session of this customer",
    "is_first_for_pair": "First session with this tutor",
}
"""Names whose plain words read badly."""
FACTS: Mapping[str, tuple[str, str]] = {"tutor_no_show": ("Tutor", "did not join")}
"""Measures that are a fact, not a number."""
HIDDEN = re.compile(
    r"(_id|_hash|_version|_key)$|^(measure|value|threshold|tier|score_code|scored_on|last_hour_at)$"
)
"""Names that say nothing to a reader, or are told together with another."""
ORDER = (
    "score", "components", "first_hour_at", "hour_count", "expected_unmet_sessions", "p_shortage", "worst_ratio",
    "supply_hours", "demand_hours", "late_minutes", "student_rating", "event_count", "sample_size", "window_days",
    "reason_codes", "last_reason", "is_held", "last_read_at", "last_loaded_at", "late_after_hours",
    "silent_after_hours",
)  # fmt: skip
"""What is told first. Evidence is stored as JSON, which keeps no order of its own."""


def evidence_lines(evidence: Mapping[str, Any], *, time_zone: str) -> tuple[EvidenceLine, ...]:
    """Return one line per named value, most telling first. Leaves out ids and values that are not known."""
    zone = ZoneInfo(time_zone)
    names = sorted(evidence, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    told = [
        EvidenceLine(_label(name), _value(name, evidence[name], zone) + _limit(name, evidence))
        for name in names
        if not HIDDEN.search(name) and evidence[name] is not None and evidence[name] not in ("", [], {})
    ]
    return tuple([*_measured(evidence, zone), *told])


def _measured(evidence: Mapping[str, Any], zone: ZoneInfo) -> list[EvidenceLine]:
    """The value that a rule compared, under the name of what was measured."""
    measure, value = evidence.get("measure"), evidence.get("value")
    if not isinstance(measure, str) or value is None:
        return []
    if measure in FACTS:
        return [EvidenceLine(*FACTS[measure])]
    threshold = evidence.get("threshold")
    limit = f" (limit {_value(measure, threshold, zone)})" if threshold is not None else ""
    return [EvidenceLine(_label(measure), _value(measure, value, zone) + limit)]


def _limit(name: str, evidence: Mapping[str, Any]) -> str:
    threshold = evidence.get("threshold")
    return f" (limit {number(float(threshold))})" if name == "score" and threshold is not None else ""


def evidence_sentence(lines: tuple[EvidenceLine, ...], *, most: int = 3) -> str:
    """Return the first few lines as one: "Late by 14 min · Student rating 2 · First session"."""
    return " · ".join(
        line.label if line.value == "yes" else f"{line.label} {line.value}" for line in lines[:most]
    )


def _label(name: str) -> str:
    if name in LABELS:
        return LABELS[name]
    words = re.sub(r"_(minutes|hours|days|pct|usd|count|at|date)$", "", name)
    words = re.sub(r"^(is|has)_", "", words).replace("no_show", "no-show").replace("_", " ")
    return words[:1].upper() + words[1:]


def _value(name: str, value: Any, zone: ZoneInfo) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _with_unit(name, float(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(str(key))} {_value(str(key), one, zone)}" for key, one in value.items())
    if name == "components" and isinstance(value, list):
        return _components(value)
    if isinstance(value, list | tuple):
        return ", ".join(_value(name, one, zone) for one in value)
    if isinstance(value, datetime):
        return instant(value, zone)
    if isinstance(value, date):
        return day(value)
    return _dated(name, str(value), zone)


def _components(parts: list[Any]) -> str:
    """The parts of a score that moved it most: "reschedules -20, lateness -9.5"."""
    moved = [part for part in parts if isinstance(part, Mapping) and part.get("points")]
    largest = sorted(moved, key=lambda part: -abs(float(part["points"])))[:3]
    return ", ".join(
        f"{str(part.get('name', '')).replace('_', ' ')} {number(round(float(part['points']), 2))}"
        for part in largest
    )


def _with_unit(name: str, value: float) -> str:
    for ending, written in _UNITS.items():
        if name.endswith(ending):
            return written(value)
    return number(value)


def _dated(name: str, text: str, zone: ZoneInfo) -> str:
    if not name.endswith(("_at", "_date")):
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    # The lake's instants have no zone and are UTC.
    return day(found.date()) if name.endswith("_date") else instant(found, zone)


def number(value: float) -> str:
    """Write a number as short as it is honest: 1,204 · 41.5 · 0.07."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def instant(value: datetime, zone: ZoneInfo) -> str:
    """Write an instant in the reader's zone: "Mon 2 Mar, 14:05"."""
    aware = value if value.tzinfo is not None else value.replace(tzinfo=ZoneInfo("UTC"))
    local = aware.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"


def day(value: date) -> str:
    """Write a date: "Mon 2 Mar 2026"."""
    return f"{value:%a} {value.day} {value:%b} {value.year}"


_UNITS: Mapping[str, Callable[[float], str]] = {
    "_minutes": lambda value: f"{number(round(value))} min",
    "_hours": lambda value: f"{number(value)} h",
    "_days": lambda value: f"{number(value)} days",
    "_rate": lambda value: f"{number(round(value * 100, 1))} %",
    "p_shortage": lambda value: f"{number(round(value * 100))} %",
    "_probability": lambda value: f"{number(round(value * 100))} %",
    "_pct": lambda value: f"{number(round(value, 1))} %",
    "_usd": lambda value: f"{value:,.2f} USD",
}
