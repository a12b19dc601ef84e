"""How far an import got: the chunks of a file that are in, so that a stopped one goes on behind them.

What belongs here: keeping and reading them. What does not: which runs are the same import (assets.ingest.resuming).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from data.lake.intake import Batch
from data.lake.writer import LakeWriter


@dataclass(frozen=True)
class FinishedChunk:
    """A chunk that is in, with the account of its batch."""

    batch_id: str
    read_count: int
    loaded_count: int
    duplicate_count: int
    quarantined_count: int


def note_chunk(lake: LakeWriter, import_id: str, number: int, batch: Batch) -> None:
    """Note that a chunk, counted from 0, is in; in the transaction of its batch."""
    row = {
        "import_id": import_id,
        "chunk_number": number,
        "batch_id": batch.batch_id,
        "record_count": batch.read_count,
        "finished_at": batch.finished_at,
    }
    lake.append("raw_quality.import_chunks", pl.DataFrame([row]))


def finished_chunks(lake: LakeWriter, import_id: str) -> list[FinishedChunk]:
    """Return the chunks of an import that are in, in order and without a gap."""
    rows = lake.read(
        "select chunks.chunk_number, batches.batch_id, batches.read_count, batches.loaded_count, "
        "batches.duplicate_count, batches.quarantined_count "
        "from lake.raw_quality.import_chunks as chunks "
        "inner join lake.raw_quality.ingestion_batches as batches on chunks.batch_id = batches.batch_id "
        "where chunks.import_id = $import_id order by chunks.chunk_number",
        {"import_id": import_id},
    )
    found: list[FinishedChunk] = []
    for row in rows.to_dicts():
        if row.pop("chunk_number") != len(found):
            break
        found.append(FinishedChunk(**row))
    return found


def forget_chunks(lake: LakeWriter, import_id: str) -> None:
    """Forget how far an import got: it begins anew. Its records stay, and are found to be duplicates."""
    with lake.transaction():
        lake.connection.execute(
            "delete from lake.raw_quality.import_chunks where import_id = $import_id",
            {"import_id": import_id},
        )
