"""What can be done about a refusal: one sentence for whoever reads it, and the correction to begin with.

What belongs here: reading the reasons of the contracts. What does not: trying a correction (data.contracts.rehearsal)
and deciding (data.operations.corrections).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from data.contracts.corrections import Action


@dataclass(frozen=True)
class Advice:
    """What to do about one reason. action is the correction to begin with; None where none can help."""

    text: str
    action: Action | None


_BY_REASON: tuple[tuple[str, Advice], ...] = (
    (
        r"Field required",
        Advice(
            "The source may call the field otherwise: rename that one. If it has no such field, fill it.",
            "rename",
        ),
    ),
    (
        r"is not an ISO 8601 time|valid datetime|is not a day like|is not a time of day",
        Advice("The source writes times its own way: say how, and in which zone.", "parse_time"),
    ),
    (
        r"has no time zone",
        Advice("The source leaves out the zone: say how it writes times, and in which zone.", "parse_time"),
    ),
    (
        r"^Input should be '.*'",
        Advice("The source has a word of its own: replace it by the one that is meant.", "replace"),
    ),
    (
        r"is no time zone",
        Advice(
            "The source names the zone its own way: replace it by a name such as America/New_York.", "replace"
        ),
    ),
    (
        r"is outside 2000 to 2099",
        Advice(
            "The source writes a placeholder where it knows no time: clear that value if the field may be empty.",
            "clear",
        ),
    ),
    (
        r"(greater|less) than or equal to|finite number|exceeded maximum size",
        Advice(
            "The number cannot be: ask the source what it means, and clear or replace that value.", "clear"
        ),
    ),
    (
        r"is not a number|valid (number|integer)|unable to parse string as",
        Advice("The source sends words where a number belongs: clear or replace them.", "clear"),
    ),
    (
        r"valid (string|boolean|list|dictionary or instance)|is not an object|is not a list|is not true or false",
        Advice(
            "The value has another type than it should: look at examples, then replace or clear it.", "clear"
        ),
    ),
    (
        r"lies before",
        Advice(
            "Two times contradict each other: ask the source which is right, and clear the other.", "clear"
        ),
    ),
    (
        r"at (least|most) \d+ (character|item)",
        Advice(
            "The text is too short or too long to be what the field holds: clear it if it may be empty.",
            "clear",
        ),
    ),
    (
        r"U\+0000|lone surrogate",
        Advice(
            "The text is broken at the source: tell its owner; clear the field if the rest is worth having.",
            "clear",
        ),
    ),
)
_WHOLE_RECORD = Advice(
    "The record as a whole cannot be read: a correction cannot help. Tell the source; replay after a new version.",
    None,
)
_OTHERWISE = Advice("Look at examples, and ask the owner of the source what the value means.", None)


def advice(field: str, reason: str) -> Advice:
    """Return what to do about records that were refused for one field and reason."""
    if field == "record":
        return _WHOLE_RECORD
    return next((one for pattern, one in _BY_REASON if re.search(pattern, reason)), _OTHERWISE)
