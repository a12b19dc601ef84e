"""What an import did, for the person who ran it: the account, the refusals, the gaps of the source.

What belongs here: counting refusals and words. What does not: importing (files.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from data.contracts import CONTRACTS, Kind, Refusal

EXAMPLES = 3
VALUE_WIDTH = 60


@dataclass(frozen=True)
class RefusalExample:
    """One refused record of a group: its id, and the value unless that may be personal."""

    record_id: str | None
    value: str | None


@dataclass
class RefusalGroup:
    """All records that were refused for one field and one reason."""

    field: str
    reason: str
    count: int = 0
    examples: list[RefusalExample] = dataclasses.field(default_factory=list)


class RefusalTally:
    """Counts refusals by field and reason, and keeps the first few of each."""

    def __init__(self, kind: Kind) -> None:
        # A refusal of the whole record shows the whole record, so it can hold anything.
        self._hidden = CONTRACTS[kind].personal | {"record"}
        self._groups: dict[tuple[str, str], RefusalGroup] = {}

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Count these refusals."""
        for refusal in refusals:
            key = (refusal.field, refusal.reason)
            group = self._groups.setdefault(key, RefusalGroup(refusal.field, refusal.reason))
            group.count += 1
            if len(group.examples) < EXAMPLES:
                hidden = refusal.field.split(".")[0] in self._hidden
                value = None if hidden else refusal.value[:VALUE_WIDTH]
                group.examples.append(RefusalExample(refusal.record_id, value))

    def groups(self) -> tuple[RefusalGroup, ...]:
        """Return the groups, the largest first."""
        return tuple(
            sorted(self._groups.values(), key=lambda group: (-group.count, group.field, group.reason))
        )


@dataclass(frozen=True)
class ImportReport:
    """The account of one import. read_count = loaded_count + duplicate_count + quarantined_count, always.

    Times are naive UTC. `empty_fields` are contract fields that no record of the file fills.
    """

    source: str
    kind: Kind
    file_name: str
    describes: str
    file_row_count: int
    read_count: int
    loaded_count: int
    duplicate_count: int
    quarantined_count: int
    first_event_at: datetime | None
    last_event_at: datetime | None
    refusals: tuple[RefusalGroup, ...]
    empty_fields: tuple[str, ...]
    lacking_columns: tuple[str, ...]
    time_zone: str | None
    repeated_times: int
    skipped_times: int
    notes: tuple[str, ...]
    batch_ids: tuple[str, ...]

    def render(self) -> str:
        """Return the report as plain text, for a terminal or a log."""
        lines = [
            f"{self.file_name} -> {self.kind} ({self.source})",
            f"  {self.describes}",
            "",
            f"  rows in the file  {self.file_row_count:>12,}",
            f"  records read      {self.read_count:>12,}",
            f"  loaded            {self.loaded_count:>12,}",
            f"  already known     {self.duplicate_count:>12,}",
            f"  quarantined       {self.quarantined_count:>12,}",
            *self._span(),
            *self._clock_changes(),
            *self._refused(),
            *self._gaps(),
        ]
        return "\n".join(lines)

    def _span(self) -> list[str]:
        if self.first_event_at is None or self.last_event_at is None:
            return []
        return [
            f"  events from {self.first_event_at:%Y-%m-%d %H:%M} to {self.last_event_at:%Y-%m-%d %H:%M} UTC"
        ]

    def _clock_changes(self) -> list[str]:
        lines = []
        if self.repeated_times:
            lines.append(
                f"  {self.repeated_times:,} times occur twice in {self.time_zone}; taken as the earlier"
            )
        if self.skipped_times:
            lines.append(
                f"  {self.skipped_times:,} times never occur in {self.time_zone}; shifted by the gap"
            )
        return lines

    def _refused(self) -> list[str]:
        if not self.refusals:
            return []
        lines = ["", "Refused (chalkline quarantine list shows them all):"]
        for group in self.refusals:
            lines.append(f"  {group.count:>8,}  {group.field}: {group.reason}")
            lines += [f"            {_shown(example)}" for example in group.examples]
        return lines

    def _gaps(self) -> list[str]:
        lines = []
        if self.lacking_columns:
            lines += ["", f"Columns that this file lacks: {', '.join(self.lacking_columns)}"]
        if self.empty_fields:
            lines += ["", f"Fields that stayed empty: {', '.join(self.empty_fields)}"]
        if self.notes:
            lines += ["", "What to know about this source:", *(f"  - {note}" for note in self.notes)]
        return lines


def _shown(example: RefusalExample) -> str:
    name = "a record without an id" if example.record_id is None else example.record_id
    return (
        f"{name}: value not shown, may be personal" if example.value is None else f"{name}: {example.value}"
    )
