"""Bulk import: history in a CSV or Parquet file comes in by the same contracts as every other record.

What belongs here: the steps of one import, and of its rehearsal. What does not: mappings (mapping.py), reading
(reading.py), SQL (evaluation.py), where a run begins (resuming.py), refusals and words (refusals.py, report.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

from assets.ingest.arrivals import CorrectionsOf, uncorrected
from assets.ingest.evaluation import Chunk, Evaluation
from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.reading import is_parquet
from assets.ingest.refusals import RefusalTally, RefusedRecord, refused_in
from assets.ingest.report import ImportReport, ShownRecord
from assets.ingest.resuming import chunks_to_keep, import_id
from assets.ingest.unpacking import Limits
from data.clock import Clock, business_date
from data.contracts import CONTRACTS, Correction, judge
from data.lake.imports import FinishedChunk, note_chunk
from data.lake.intake import Arrival, Batch, take_in
from data.lake.writer import LakeWriter

CHUNK_ROWS = 50_000
SAMPLE_ROWS = 1_000
TOO_FEW_TO_TELL = 100

Progress = Callable[[int, int], None]
"""Called with the records done and the records in all: first with those of a run that was stopped, then per chunk."""
Refused = Callable[[RefusedRecord], None]
"""Called with every refused record, in the order of the file's events."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


def unwritten(_refused: RefusedRecord) -> None:
    """Write no refusal down."""


def import_file(
    lake: LakeWriter,
    file: Path,
    mapping: Mapping,
    *,
    clock: Clock,
    business_time_zone: str,
    limits: Limits,
    corrections: CorrectionsOf = uncorrected,
    progress: Progress = quiet,
    refused: Refused = unwritten,
    from_start: bool = False,
    chunk_rows: int = CHUNK_ROWS,
) -> ImportReport:
    """Import one kind of record from one file, in chunks by event time, each chunk one transaction.

    A second import adds nothing. One that was stopped goes on behind its last finished chunk, unless from_start.
    Raises UnreadableFile or MappingError, and then nothing was stored. A bad record never holds back a good one: it
    goes to quarantine, and the report says why. Counts by cause add up to the records refused.
    """
    mended = corrections(mapping.source, mapping.kind)
    with _chunks_of(file, mapping, limits, chunk_rows) as chunks:
        identity = import_id(file, mapping, mended, chunk_rows=chunk_rows)
        with lake.alone(f"import.{identity}"):
            kept = chunks_to_keep(lake, identity, record_count=chunks.record_count, from_start=from_start)
            account = _Account(mapping, mended, refused)
            for number, finished in enumerate(kept):
                account.add(finished, partial(chunks.read, number))
            resumed_at = account.read_count
            progress(resumed_at, chunks.record_count)
            for number in range(len(kept), chunks.count):
                chunk = chunks.read(number)
                if number == 0:
                    _look_at_sample(file, mapping, mended, chunk)
                now = clock.now()
                arrival = Arrival(mapping.source, now, business_date(now, business_time_zone), mended)
                note = partial(note_chunk, lake, identity, number)
                batch = take_in(lake, mapping.kind, chunk.records, arrival, also=note)
                account.add(batch, partial(_same, chunk))
                progress(account.read_count, chunks.record_count)
        return _report(file, mapping, chunks, account, identity=identity, resumed_at=resumed_at)


def _same(chunk: Chunk) -> Chunk:
    return chunk


def rehearse_file(
    file: Path,
    mapping: Mapping,
    *,
    limits: Limits,
    corrections: CorrectionsOf = uncorrected,
    progress: Progress = quiet,
    refused: Refused = unwritten,
    show: int = 0,
    chunk_rows: int = CHUNK_ROWS,
) -> ImportReport:
    """Read, map and judge a whole file and store nothing: the lake is not even opened.

    The report shows the first `show` records as they would come in, and of each refused record all that is wrong
    with it. Raises UnreadableFile or MappingError.
    """
    mended = corrections(mapping.source, mapping.kind)
    with _chunks_of(file, mapping, limits, chunk_rows) as chunks:
        account = _Account(mapping, mended, refused)
        shown: tuple[ShownRecord, ...] = ()
        progress(0, chunks.record_count)
        for number in range(chunks.count):
            chunk = chunks.read(number)
            if number == 0:
                shown = tuple(_shown_records(mapping, chunk, mended, show))
            account.rehearse(chunk)
            progress(account.read_count, chunks.record_count)
        report = _report(file, mapping, chunks, account, identity="", resumed_at=0)
        return dataclasses.replace(report, is_rehearsal=True, shown=shown)


@dataclass(frozen=True)
class _Chunks:
    """The records of a file, cut."""

    evaluation: Evaluation
    size: int

    @property
    def record_count(self) -> int:
        return self.evaluation.summary.record_count

    @property
    def count(self) -> int:
        return ceil(self.record_count / self.size)

    def read(self, number: int) -> Chunk:
        return self.evaluation.chunk(number, self.size)


@contextmanager
def _chunks_of(file: Path, mapping: Mapping, limits: Limits, size: int) -> Iterator[_Chunks]:
    with Evaluation(file, mapping, limits) as evaluation:
        yield _Chunks(evaluation, size)


class _Account:
    """Sums batches, and asks for the records of those that hold refusals, to say which and why."""

    def __init__(self, mapping: Mapping, corrections: tuple[Correction, ...], refused: Refused) -> None:
        self._kind, self._corrections, self._refused = mapping.kind, corrections, refused
        self.tally = RefusalTally(mapping.fields)
        self.batch_ids: list[str] = []
        self.loaded_count = self.duplicate_count = self.quarantined_count = 0

    @property
    def read_count(self) -> int:
        return self.loaded_count + self.duplicate_count + self.quarantined_count

    def add(self, batch: Batch | FinishedChunk, chunk: Callable[[], Chunk]) -> None:
        self.batch_ids.append(batch.batch_id)
        self.loaded_count += batch.loaded_count
        self.duplicate_count += batch.duplicate_count
        if batch.quarantined_count:
            self._count_refusals(chunk())

    def rehearse(self, chunk: Chunk) -> None:
        self.loaded_count += len(chunk.records) - self._count_refusals(chunk, is_rehearsal=True)

    def _count_refusals(self, chunk: Chunk, *, is_rehearsal: bool = False) -> int:
        count = 0
        for found in refused_in(self._kind, chunk, self._corrections):
            # Who rehearses wants to know all that there is to mend; who imports, why a record is in quarantine.
            told = found if is_rehearsal else found[:1]
            self.tally.add(told)
            for one in told:
                self._refused(one)
            count += 1
        self.quarantined_count += count
        return count


def _look_at_sample(file: Path, mapping: Mapping, corrections: tuple[Correction, ...], chunk: Chunk) -> None:
    """Stop before a wrong mapping fills the quarantine: some record of the first thousand must be good."""
    sample = min(len(chunk.records), SAMPLE_ROWS)
    if sample < TOO_FEW_TO_TELL:
        return
    refused = list(refused_in(mapping.kind, chunk, corrections, first=SAMPLE_ROWS))
    if len(refused) < sample:
        return
    tally = RefusalTally(mapping.fields)
    tally.add(found[0] for found in refused)
    worst = tally.groups()[0]
    shown = worst.examples[0].value or "a value that may be personal"
    hint = f"; to mend: {worst.hint}" if worst.hint else ""
    raise MappingError(
        f"mapping {mapping.name} on {file.name}: all of the first {sample:,} records were refused, "
        f"most for fields.{worst.field}: {worst.reason} (such as {shown}){hint}; nothing was stored"
    )


def _shown_records(
    mapping: Mapping, chunk: Chunk, corrections: tuple[Correction, ...], count: int
) -> Iterator[ShownRecord]:
    personal = CONTRACTS[mapping.kind].personal
    for record, line in zip(chunk.records[:count], chunk.lines[:count], strict=True):
        judged = judge(mapping.kind, [record], corrections=corrections)
        values = judged.rows[0] if judged.rows else record
        refusal = f"{judged.refusals[0].field}: {judged.refusals[0].reason}" if judged.refusals else None
        yield ShownRecord(
            line,
            {
                name: "(given; personal, not shown)" if name in personal else str(value)
                for name, value in values.items()
                if value not in (None, []) and name != "version_hash"
            },
            refusal,
        )


def _report(
    file: Path, mapping: Mapping, chunks: _Chunks, account: _Account, *, identity: str, resumed_at: int
) -> ImportReport:
    summary = chunks.evaluation.summary
    return ImportReport(
        import_id=identity,
        source=mapping.source,
        kind=mapping.kind,
        file_name=file.name,
        describes=mapping.describes,
        rows_are_lines=not is_parquet(file, mapping.read),
        file_row_count=summary.file_row_count,
        read_count=account.read_count,
        loaded_count=account.loaded_count,
        duplicate_count=account.duplicate_count,
        quarantined_count=account.quarantined_count,
        resumed_at=resumed_at,
        is_rehearsal=False,
        first_event_at=summary.first_event_at,
        last_event_at=summary.last_event_at,
        refusals=account.tally.groups(),
        empty_fields=summary.empty_fields,
        partly_empty=summary.partly_empty,
        changed_customers=summary.changed_customers,
        lacking_columns=summary.lacking_columns,
        unmatched=summary.unmatched,
        repeated_times=summary.repeated_times,
        skipped_times=summary.skipped_times,
        notes=mapping.notes,
        batch_ids=tuple(account.batch_ids),
    )
