"""Corrections: what somebody decided about the habits of a source, applied to its records before they are judged.

A source that renames a column or writes a time in its own way is mended here, for its records to come and for those
in quarantine. Pure: a record in, a mended copy out. Who decides and where it is kept: data.operations.corrections.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from data.contracts.fields import ZONES
from data.contracts.records import CONTRACTS, Kind

Action = Literal["rename", "replace", "clear", "fill", "parse_time"]


@dataclass(frozen=True)
class Correction:
    """One habit of one feed, mended. field is a name of the record as the source sends it; a.b reaches one level in.

    rename: the value of field moves to new_value, unless that is there already. replace: field becomes new_value
    where it is old_value. clear: field becomes empty, where it is old_value if one is given. fill: an empty field
    becomes new_value. parse_time: a text in the pattern old_value (as strptime has it) becomes an instant; new_value
    is the zone of the clock that wrote it. Values are JSON; text that is no JSON stands for itself.
    """

    action: Action
    field: str
    old_value: str | None = None
    new_value: str | None = None

    def __post_init__(self) -> None:
        """Refuse a correction that says too little or cannot work. Raises ValueError naming what is missing."""
        if not self.field:
            raise ValueError("a correction names a field")
        if self.action in ("rename", "replace", "fill") and self.new_value is None:
            raise ValueError(f"{self.action} of {self.field} needs a new value")
        if self.action == "rename" and not self.new_value:
            raise ValueError(f"rename of {self.field} needs a new name")
        if self.action in ("replace", "parse_time") and self.old_value is None:
            raise ValueError(f"{self.action} of {self.field} needs the value or pattern that it mends")
        if self.action == "parse_time" and self.new_value not in ZONES:
            raise ValueError(f"parse_time of {self.field} needs a time zone such as America/New_York")

    def apply(self, record: dict[str, Any]) -> None:
        """Mend a record in place. What does not fit stays as it is, for the contract to judge."""
        holder, name = _reach(record, self.field)
        if holder is not None:
            _MENDS[self.action](self, holder, name)


def corrected(record: Any, corrections: Iterable[Correction]) -> Any:
    """Return a record with all corrections applied in their order; the record given is not touched."""
    corrections = tuple(corrections)
    if not corrections or not isinstance(record, dict):
        return record
    mended = {name: dict(value) if isinstance(value, dict) else value for name, value in record.items()}
    for correction in corrections:
        correction.apply(mended)
    return mended


def known_fields(kind: Kind) -> frozenset[str]:
    """Return every name that a contract understands: its own, and those of the API."""
    contract = CONTRACTS[kind]
    names = {*contract.model_fields, *contract.folded}
    for info in contract.model_fields.values():
        choices = getattr(info.validation_alias, "choices", ())
        names.update(str(choice) for choice in choices)
    return frozenset(names)


def _reach(record: Mapping[str, Any], path: str) -> tuple[dict[str, Any] | None, str]:
    head, _, tail = path.partition(".")
    if not tail:
        return record if isinstance(record, dict) else None, head
    inner = record.get(head)
    return (inner if isinstance(inner, dict) else None), tail


def _rename(correction: Correction, holder: dict[str, Any], name: str) -> None:
    target = str(correction.new_value)
    if name in holder and holder.get(target) is None:
        holder[target] = holder.pop(name)


def _replace(correction: Correction, holder: dict[str, Any], name: str) -> None:
    if name in holder and _is_same(holder[name], correction.old_value):
        holder[name] = _value(correction.new_value)


def _clear(correction: Correction, holder: dict[str, Any], name: str) -> None:
    if name in holder and (correction.old_value is None or _is_same(holder[name], correction.old_value)):
        holder[name] = None


def _fill(correction: Correction, holder: dict[str, Any], name: str) -> None:
    if holder.get(name) is None:
        holder[name] = _value(correction.new_value)


def _parse_time(correction: Correction, holder: dict[str, Any], name: str) -> None:
    present = holder.get(name)
    if isinstance(present, str):
        holder[name] = _instant(present, str(correction.old_value), str(correction.new_value))


_MENDS: dict[Action, Callable[[Correction, dict[str, Any], str], None]] = {
    "rename": _rename,
    "replace": _replace,
    "clear": _clear,
    "fill": _fill,
    "parse_time": _parse_time,
}


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_same(present: Any, text: str | None) -> bool:
    # In Python true is 1; in JSON it is not.
    wanted = _value(text)
    return bool(present == wanted) and isinstance(present, bool) == isinstance(wanted, bool)


def _instant(text: str, pattern: str, zone: str) -> str:
    try:
        moment = datetime.strptime(text.strip(), pattern)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        # OverflowError: the first hours of the year 1 in Tokyo lie before all years in UTC.
        return text
