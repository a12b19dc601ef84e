"""Which records of a file were refused: counted by cause for the report, and written down line by line.

What belongs here: refusals as somebody with the file in hand needs them. What does not: why a record is refused
(data/contracts), and the report around them (report.py).
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from assets.ingest.evaluation import Chunk
from assets.ingest.hints import hint_for
from data.contracts import CONTRACTS, Correction, Kind, Refusal, faults, judge

EXAMPLES = 3
WHOLE_RECORD = "record"
COLUMNS = ("line", "record_id", "field", "reason", "value")
STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class RefusedRecord:
    """One fault of a refused record of a file. value is JSON text, or None where it may be personal."""

    line: int
    record_id: str | None
    field: str
    reason: str
    value: str | None


@dataclass
class RefusalGroup:
    """All records that were refused for one field and one reason. hint: what to try in the mapping."""

    field: str
    reason: str
    count: int = 0
    examples: list[RefusedRecord] = dataclasses.field(default_factory=list)
    hint: str | None = None


def refused_in(
    kind: Kind, chunk: Chunk, corrections: Sequence[Correction], *, first: int | None = None
) -> Iterator[tuple[RefusedRecord, ...]]:
    """Judge the records of a chunk, or its first ones, and give for each that is refused all that is wrong with it.

    What stands first is why it is refused: that is what the quarantine says.
    """
    if not judge(kind, chunk.records[:first], corrections=corrections).refusals:
        return
    for record, line in zip(chunk.records[:first], chunk.lines[:first], strict=True):
        found = faults(kind, record, corrections=corrections)
        if found:
            yield tuple(
                RefusedRecord(line, one.record_id, one.field, one.reason, _shown(kind, record, one))
                for one in found
            )


def _shown(kind: Kind, record: Mapping[str, Any], refusal: Refusal) -> str | None:
    """Return what may be shown of a refused value: never a personal field, and of a whole record what is wrong."""
    personal = CONTRACTS[kind].personal
    if refusal.field == WHOLE_RECORD or refusal.field.split(".")[0] in personal:
        return None
    if refusal.reason.split(" ", 1)[0] != refusal.field:
        return _readable(refusal.value)
    # The reason is about several fields, and the value is the whole record, which can hold anything.
    named = set(re.findall(r"[a-z_]+", refusal.reason)) & CONTRACTS[kind].model_fields.keys() - personal
    return json.dumps({name: record.get(name) for name in sorted(named)}, default=str)


def _readable(value: str) -> str:
    """Return JSON text with its letters as they are, where they can be written at all."""
    try:
        text = json.dumps(json.loads(value), ensure_ascii=False)
        text.encode("utf-8")
    except (ValueError, RecursionError):
        return value
    return text


class RefusalTally:
    """Counts refusals by field and reason, and keeps the first few of each."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        self._expressions = expressions
        self._groups: dict[tuple[str, str], RefusalGroup] = {}

    def add(self, refused: Iterable[RefusedRecord]) -> None:
        """Count these refusals."""
        for one in refused:
            key = (one.field, one.reason)
            group = self._groups.get(key)
            if group is None:
                hint = hint_for(one.reason, one.value, self._expressions.get(one.field))
                group = self._groups[key] = RefusalGroup(one.field, one.reason, hint=hint)
            group.count += 1
            if len(group.examples) < EXAMPLES:
                group.examples.append(one)

    def groups(self) -> tuple[RefusalGroup, ...]:
        """Return the groups, the largest first."""
        return tuple(
            sorted(self._groups.values(), key=lambda group: (-group.count, group.field, group.reason))
        )


class RefusalFile:
    """A CSV with one row per refused record. It appears whole when the import is done, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.unfinished")
        self._stream = self._unfinished.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def __enter__(self) -> RefusalFile:
        return self

    def __exit__(
        self, failed: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if failed is None:
            os.replace(self._unfinished, self._path)
        else:
            self._unfinished.unlink(missing_ok=True)

    def write(self, refused: RefusedRecord) -> None:
        """Add one record."""
        self._writer.writerow(
            [
                refused.line,
                _harmless(refused.record_id or ""),
                refused.field,
                refused.reason,
                "not shown, may be personal" if refused.value is None else _harmless(refused.value),
            ]
        )


def _harmless(text: str) -> str:
    # A spreadsheet runs what begins like a formula, and refused values come from outside.
    return f"'{text}" if text.startswith(STARTS_A_FORMULA) else text
