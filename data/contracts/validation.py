"""Judges records against their contract. Pure: nothing is stored here.

A refused record names the field, the reason and the value, so that somebody can mend it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from data.contracts.corrections import Correction, corrected
from data.contracts.records import CONTRACTS, Kind, Record

VALUE_LIMIT = 500
RECORD_LIMIT = 1_000_000
"""A refused record is kept whole up to this many characters, so that it can be judged again once it is mended."""
UNWRITABLE = "that cannot be written down"
"""Stands in the text of a refused record for a part that has no text of its own."""


@dataclass(frozen=True)
class Refusal:
    """A record that was refused, and why."""

    quarantine_id: str
    record_id: str | None
    field: str
    reason: str
    value: str
    record_json: str


@dataclass
class Judged:
    """What came of a batch: rows that keep the contract, and refusals. read = len(rows) + len(refusals)."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def judge(kind: Kind, records: Iterable[Any], *, corrections: Sequence[Correction] = ()) -> Judged:
    """Validate records one by one; a bad one never holds back a good one.

    Corrections are applied first. What is refused is kept as it came, not as it was mended.
    """
    contract = CONTRACTS[kind]
    judged = Judged()
    for record in records:
        try:
            row = contract.model_validate(corrected(record, corrections)).model_dump()
        except ValidationError as error:
            judged.refusals.append(_refusal(kind, contract, record, _problems(error)[0]))
        except RecursionError:
            judged.refusals.append(_refuse(kind, contract, record, "record", "is nested too deeply", ""))
        else:
            row["version_hash"] = version_hash(row)
            judged.rows.append(row)
    return judged


def faults(kind: Kind, record: Any, *, corrections: Sequence[Correction] = ()) -> list[Refusal]:
    """Return everything that is wrong with one record, where a judge names what it meets first. Empty if nothing is.

    For whoever mends a source: one look shows all that there is to mend.
    """
    contract = CONTRACTS[kind]
    try:
        contract.model_validate(corrected(record, corrections))
    except ValidationError as error:
        return [_refusal(kind, contract, record, problem) for problem in _problems(error)]
    except RecursionError:
        return [_refuse(kind, contract, record, "record", "is nested too deeply", "")]
    return []


def version_hash(row: Mapping[str, Any]) -> str:
    """Return a digest of the contract fields: equal rows of one id are the same version, whoever brought them."""
    text = json.dumps(row, default=_canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"no canonical text for {type(value).__name__}")


def _problems(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    return error.errors(include_url=False, include_context=False)


def _refusal(kind: Kind, contract: type[Record], record: Any, problem: Mapping[str, Any]) -> Refusal:
    place = ".".join(str(part) for part in problem["loc"])
    reason = problem["msg"].removeprefix("Value error, ")
    if not place:
        # What a contract says of a whole record begins with the field that it is about.
        place = reason.split(" ", 1)[0] if problem["type"] == "value_error" else "record"
    return _refuse(kind, contract, record, place, reason, _short(problem.get("input"), VALUE_LIMIT))


def _refuse(kind: Kind, contract: type[Record], record: Any, place: str, reason: str, value: str) -> Refusal:
    # Told apart by the whole text: two long records may begin alike.
    text = _text(record)
    identifier = record.get(contract.key) if isinstance(record, Mapping) else None
    digest = hashlib.blake2b(f"{kind}\x1f{text}\x1f{reason}".encode("utf-8", "replace"), digest_size=12)
    return Refusal(
        quarantine_id=digest.hexdigest(),
        # Anything but a plain identifier may hold personal text, which has its own place.
        record_id=_identifier(identifier),
        field=place,
        reason=reason,
        value=value,
        record_json=text[:RECORD_LIMIT],
    )


def _identifier(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _clean(value if isinstance(value, str) else _text(value))[:128]


def _short(value: Any, limit: int) -> str:
    return _text(value)[:limit]


def _text(value: Any) -> str:
    whole = _json(value)
    if whole is not None:
        return whole
    # Too deep, too long a number, or keys of several types: what can be shown of a record still is.
    unwritable = f'"a {{}} {UNWRITABLE}"'
    if not isinstance(value, Mapping):
        return unwritable.format(type(value).__name__)
    parts = (
        f"{_json(str(name))}: {_json(part) or unwritable.format(type(part).__name__)}"
        for name, part in value.items()
    )
    return "{" + ", ".join(sorted(parts)) + "}"


def _json(value: Any) -> str | None:
    try:
        return _clean(json.dumps(value, default=str, sort_keys=True, ensure_ascii=True))
    except (RecursionError, ValueError, TypeError):
        return None


def _clean(text: str) -> str:
    return text.replace("\x00", "\\u0000").encode("utf-8", "replace").decode("utf-8")
