"""Suggests the expression that would mend a refused field, for whoever writes a mapping.

What belongs here: habits of exports that are met again and again. What does not: refusing (data/contracts).
"""

from __future__ import annotations

import json
import re

IS_NO_TIME = "is not an ISO 8601 time"
TIME_PATTERNS = (
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y", ""),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", "%d.%m.%y", ""),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y", "; %d/%m/%Y if the day stands first"),
    (r"\d{1,2}/\d{1,2}/\d{2}", "%m/%d/%y", "; %d/%m/%y if the day stands first"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y", "; %m-%d-%Y if the month stands first"),
)
CLOCK_PATTERNS = (
    (r"", ""),
    (r"[ T]\d{1,2}:\d{2}", " %H:%M"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}", " %H:%M:%S"),
    (r" \d{1,2}:\d{2} ?[AaPp][Mm]", " %I:%M %p"),
    (r" \d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]", " %I:%M:%S %p"),
)
EPOCH = re.compile(r"not a time: (\d{10}|\d{13})(\.\d+)?")
CAST = re.compile(r"::\w+$")
"""A conversion at the end of an expression: what mends the value comes before it."""
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def hint_for(reason: str, value: str | None, expression: str | None) -> str | None:
    """Return what to try for a refused value (JSON text, or None when it may not be shown); None if nothing fits."""
    found = _read(value)
    x = CAST.sub("", expression or "x")
    if found is None:
        return "the value is empty in these rows; leave such rows out with where" if value == "null" else None
    text = str(found).strip()
    if reason == IS_NO_TIME:
        return _time_hint(text, x)
    if "valid number" in reason or "valid integer" in reason:
        return _number_hint(text, x)
    if reason.startswith("Input should be '"):
        word = f"when {_sql_text(text)} then …"
        is_case = x.lower().startswith("case ")
        return (
            f"add to the case: {word}"
            if is_case
            else f"translate the words of the source: case {x} {word} end"
        )
    if "valid boolean" in reason:
        return f"write a condition: {x} = {_sql_text(text)}"
    return None


def _read(value: str | None) -> object:
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


def _time_hint(text: str, x: str) -> str | None:
    epoch = EPOCH.fullmatch(text)
    if epoch:
        seconds = f"({x})::double" + (" / 1000" if len(epoch[1]) == 13 else "")
        return f"seconds since 1970: to_timestamp({seconds})"
    for day, day_format, doubt in TIME_PATTERNS:
        for clock, clock_format in CLOCK_PATTERNS:
            if re.fullmatch(day + clock, text):
                return f"strptime({x}, '{day_format}{clock_format}'){doubt}"
    return None


def _number_hint(text: str, x: str) -> str | None:
    if DECIMAL_COMMA.fullmatch(text):
        return f"a decimal comma: replace({x}, ',', '.')"
    if re.search(r"\d", text):
        return f"the number in a text: nullif(regexp_extract({x}, '[0-9.]+'), '')"
    return f"leave what is no number empty: try_cast({x} as double)"


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
