"""What an import did, for the person who ran it: the account, the refusals, the gaps of the source.

What belongs here: words. What does not: importing (files.py), counting refusals (refusals.py), mail (assets/act).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from assets.ingest.events import Oddity
from assets.ingest.refusals import RefusalGroup, RefusedRecord
from data.contracts import Kind

VALUE_WIDTH = 60


@dataclass(frozen=True)
class ShownRecord:
    """One record as it would come in: its values by field, or why it would be refused."""

    line: int
    values: Mapping[str, str]
    refused: str | None


@dataclass(frozen=True)
class ImportReport:
    """The account of one import. read_count = loaded_count + duplicate_count + quarantined_count, always.

    Times are naive UTC. `empty_fields` are contract fields that no record of the file fills, `partly_empty` those that
    some do not; `changed_customers` are ids that stand for two customers. resumed_at: records that
    were in from a run that was stopped; the counts are of the whole file all the same. In a rehearsal nothing was
    stored: loaded_count are the records that would be taken in, and import_id names nothing.
    """

    import_id: str
    source: str
    kind: Kind
    file_name: str
    describes: str
    rows_are_lines: bool
    file_row_count: int
    read_count: int
    loaded_count: int
    duplicate_count: int
    quarantined_count: int
    resumed_at: int
    is_rehearsal: bool
    first_event_at: datetime | None
    last_event_at: datetime | None
    refusals: tuple[RefusalGroup, ...]
    empty_fields: tuple[str, ...]
    partly_empty: tuple[Oddity, ...]
    changed_customers: tuple[Oddity, ...]
    lacking_columns: tuple[str, ...]
    unmatched: tuple[Oddity, ...]
    repeated_times: Oddity
    skipped_times: Oddity
    notes: tuple[str, ...]
    batch_ids: tuple[str, ...]
    shown: tuple[ShownRecord, ...] = ()

    @property
    def is_refused_wholly(self) -> bool:
        """Whether no record of the file keeps the contract."""
        return self.quarantined_count == self.read_count

    @property
    def place(self) -> str:
        """What a row of the file is called: a line of a CSV, a row of a Parquet file."""
        return "line" if self.rows_are_lines else "row"

    def render(self, *, with_values: bool = True) -> str:
        """Return the report as plain text. Refused values can hold anything: without them it may be kept."""
        lines = [
            f"{self.file_name} -> {self.kind} ({self.source})",
            f"  {self.describes}",
            "",
            *self._account(),
            *self._span(),
            *self._oddities(),
            *self._shown(),
            *self._refused(with_values=with_values),
            *self._gaps(),
        ]
        return "\n".join(lines)

    def _account(self) -> list[str]:
        lines = [
            f"  rows in the file       {self.file_row_count:>12,}",
            f"  records read           {self.read_count:>12,}",
        ]
        if self.is_rehearsal:
            return [
                *lines,
                f"  would be taken in      {self.loaded_count:>12,}",
                f"  would be quarantined   {self.quarantined_count:>12,}",
                "  nothing was stored, and nobody looked whether a record is known already",
            ]
        if self.resumed_at:
            lines.append(f"  in before it stopped   {self.resumed_at:>12,}")
        return [
            *lines,
            f"  loaded                 {self.loaded_count:>12,}",
            f"  already known          {self.duplicate_count:>12,}",
            f"  quarantined            {self.quarantined_count:>12,}",
        ]

    def _span(self) -> list[str]:
        if self.first_event_at is None or self.last_event_at is None:
            return []
        return [
            f"  events from {self.first_event_at:%Y-%m-%d %H:%M} to {self.last_event_at:%Y-%m-%d %H:%M} UTC"
        ]

    def _oddities(self) -> list[str]:
        lines = [
            f"  {lookup.count:,} found nothing in the lookup {lookup.name}{self._first_at(lookup)}"
            for lookup in self.unmatched
        ]
        for oddity, told in (
            (self.repeated_times, "occur twice in {}; taken as the earlier"),
            (self.skipped_times, "never occur in {}; shifted by the gap"),
        ):
            if oddity.count:
                lines.append(f"  {oddity.count:,} times {told.format(oddity.name)}{self._first_at(oddity)}")
        if self.changed_customers:
            ids = len(self.changed_customers)
            first = self.changed_customers[0]
            lines.append(
                f"  {ids:,} {'id names' if ids == 1 else 'ids name'} two customers, and the newest version counts: "
                f"is it one id for two things? {first.name} at {self.place} {first.line:,}"
            )
        return lines

    def _first_at(self, oddity: Oddity) -> str:
        return f", first at {self.place} {oddity.line:,}" if oddity.line is not None else ""

    def _shown(self) -> list[str]:
        lines = []
        for record in self.shown:
            lines += ["", f"From {self.place} {record.line}:"]
            if record.refused is not None:
                lines.append(f"  refused, {record.refused}")
            lines += [f"  {name:<28} {value}" for name, value in record.values.items()]
        return lines

    def _refused(self, *, with_values: bool) -> list[str]:
        if not self.refusals:
            return []
        told = (
            " (all that is wrong; a record may stand under several)"
            if self.is_rehearsal
            else " (chalkline quarantine list shows them all)"
        )
        lines = ["", f"Refused{told}:"]
        for group in self.refusals:
            lines.append(f"  {group.count:>8,}  {group.field}: {group.reason}")
            if with_values:
                lines += [f"            {self.place} {_told(example)}" for example in group.examples]
                lines += [f"            to mend: {group.hint}"] if group.hint else []
            else:
                numbers = ", ".join(f"{example.line:,}" for example in group.examples)
                lines.append(f"            first at {self.place} {numbers}")
        return lines

    def _gaps(self) -> list[str]:
        lines = []
        if self.lacking_columns:
            lines += ["", f"Columns that this file lacks: {', '.join(self.lacking_columns)}"]
        if self.empty_fields:
            lines += ["", f"Fields that stayed empty: {', '.join(self.empty_fields)}"]
        if self.partly_empty:
            told = [f"{one.name} in {one.count:,}{self._first_at(one)}" for one in self.partly_empty]
            lines += ["", "Fields that some records lack:", *(f"  - {one}" for one in told)]
        if self.notes:
            lines += ["", "What to know about this source:", *(f"  - {note}" for note in self.notes)]
        return lines


def _told(example: RefusedRecord) -> str:
    name = "a record without an id" if example.record_id is None else example.record_id
    value = "value not shown, may be personal" if example.value is None else example.value[:VALUE_WIDTH]
    return f"{example.line:,}, {name}: {value}"
