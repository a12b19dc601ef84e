"""Bulk import: history in a CSV or Parquet file comes in by the same contracts as every other record.

What belongs here: the steps of one import and its account. What does not: mappings (mapping.py), reading
(reading.py), SQL (evaluation.py), words (report.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.ingest.evaluation import Evaluation
from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.report import ImportReport, RefusalTally
from data.clock import Clock, business_date
from data.contracts import Judged, judge
from data.lake.intake import Arrival, Batch, take_in
from data.lake.writer import LakeWriter

CHUNK_ROWS = 50_000
SAMPLE_ROWS = 1_000
TOO_FEW_TO_TELL = 100

Progress = Callable[[int, int], None]
"""Called with the records done and the records in all, after every chunk."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


def import_file(
    lake: LakeWriter,
    file: Path,
    mapping: Mapping,
    *,
    clock: Clock,
    business_time_zone: str,
    progress: Progress = quiet,
    chunk_rows: int = CHUNK_ROWS,
) -> ImportReport:
    """Import one kind of record from one file, in chunks by event time, each chunk one transaction.

    A second import adds nothing; one that was killed half-way is finished by running it again. Raises
    UnreadableFile or MappingError, and then nothing was stored. A bad record never holds back a good one: it
    goes to quarantine, and the report says why.
    """
    with Evaluation(file, mapping) as evaluation:
        total = evaluation.summary.record_count
        tally = RefusalTally(mapping.kind)
        batches: list[Batch] = []
        done = 0
        progress(done, total)
        for records in evaluation.chunks(chunk_rows):
            if not batches:
                _look_at_sample(mapping, file, records)
            now = clock.now()
            arrival = Arrival(mapping.source, now, business_date(now, business_time_zone))
            batch = take_in(lake, mapping.kind, records, arrival)
            if batch.quarantined_count:
                tally.add(judge(mapping.kind, records).refusals)
            batches.append(batch)
            done += len(records)
            progress(done, total)
        return _report(file, mapping, evaluation, tally, batches)


def _look_at_sample(mapping: Mapping, file: Path, records: list[dict[str, Any]]) -> None:
    """Stop before a wrong mapping fills the quarantine: some record of the first thousand must be good."""
    sample = records[:SAMPLE_ROWS]
    if len(sample) < TOO_FEW_TO_TELL:
        return
    judged: Judged = judge(mapping.kind, sample)
    if judged.rows:
        return
    tally = RefusalTally(mapping.kind)
    tally.add(judged.refusals)
    worst = tally.groups()[0]
    shown = worst.examples[0].value or "a value that may be personal"
    raise MappingError(
        f"mapping {mapping.name} on {file.name}: all of the first {len(sample):,} records were refused, "
        f"most for fields.{worst.field}: {worst.reason} (such as {shown}); nothing was stored"
    )


def _report(
    file: Path, mapping: Mapping, evaluation: Evaluation, tally: RefusalTally, batches: list[Batch]
) -> ImportReport:
    summary = evaluation.summary
    return ImportReport(
        source=mapping.source,
        kind=mapping.kind,
        file_name=file.name,
        describes=mapping.describes,
        file_row_count=summary.file_row_count,
        read_count=sum(batch.read_count for batch in batches),
        loaded_count=sum(batch.loaded_count for batch in batches),
        duplicate_count=sum(batch.duplicate_count for batch in batches),
        quarantined_count=sum(batch.quarantined_count for batch in batches),
        first_event_at=summary.first_event_at,
        last_event_at=summary.last_event_at,
        refusals=tally.groups(),
        empty_fields=summary.empty_fields,
        lacking_columns=summary.lacking_columns,
        time_zone=mapping.time_zone,
        repeated_times=summary.repeated_times,
        skipped_times=summary.skipped_times,
        notes=mapping.notes,
        batch_ids=tuple(batch.batch_id for batch in batches),
    )
