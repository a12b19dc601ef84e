"""Judges records of the quarantine again, and carries out what people decided about them. No Dagster here.

What belongs here: which records, in which order, and the account of it. What does not: what a correction does
(data.contracts), who asked (data.operations.corrections), and how a record is stored (data.lake.intake).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from assets.ingest.arrivals import CorrectionsOf
from data.clock import Clock, business_date, naive_utc
from data.contracts import CONTRACTS, Judged, Kind, judge
from data.contracts.rehearsal import StillRefused, counted
from data.lake.intake import Arrival, Batch, loaded_versions, take_in
from data.lake.quarantine import discard, settle
from data.lake.waiting import QuarantinedRecord, Scope, refused_records, text_lengths, waiting_list
from data.lake.writer import LakeWriter
from data.operations import corrections as decisions
from data.operations.store import Operations
from data.operations.tables import ReplayRequest

RECORDS_PER_BATCH = 2_000
CHARACTERS_PER_BATCH = 32_000_000
"""Read at once: a refused record may be a megabyte long."""

Progress = Callable[[int, int], None]
"""Called with the records done and the records in all, after every batch."""


@dataclass
class ReplayReport:
    """The account of a replay. tried = loaded + duplicate + refused + not_whole, always.

    refused counts by field and reason; not_whole are records that were too long to be kept, and still wait.
    """

    tried: int = 0
    loaded: int = 0
    duplicate: int = 0
    not_whole: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def still_refused(self) -> tuple[StillRefused, ...]:
        """The causes that hold records back, the most frequent first."""
        return counted(self.refused.elements())

    def outcome(self) -> dict[str, Any]:
        """Return the account as the operations store keeps it."""
        return {
            "tried": self.tried,
            "loaded": self.loaded,
            "duplicate": self.duplicate,
            "not_whole": self.not_whole,
            "still_refused": [vars(one) for one in self.still_refused],
        }


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


def replay(
    lake: LakeWriter,
    scope: Scope,
    *,
    clock: Clock,
    time_zone: str,
    corrections: CorrectionsOf,
    by: str,
    request_id: int | None = None,
    progress: Progress = quiet,
) -> ReplayReport:
    """Judge what waits in a scope again, by today's contracts and corrections, and take in what passes.

    Rows and settlements of a batch are one transaction: killed half-way, a rerun goes on with what still waits. What
    is refused for another reason now waits under that reason alone. A rerun without a new decision changes nothing.
    """
    report = ReplayReport()
    with lake.alone("quarantine.replay"):
        waiting = waiting_list(lake.read, scope)
        for (source, kind), ids in _feeds(waiting):
            mended = corrections(source, kind)
            for chunk in _chunks(lake, ids):
                now = clock.now()
                arrival = Arrival(source, now, business_date(now, time_zone), mended, is_replay=True)
                _replay_chunk(lake, kind, chunk, arrival, report, by=by, request_id=request_id)
                progress(report.tried, waiting.height)
    return report


def _feeds(waiting: pl.DataFrame) -> Iterator[tuple[tuple[str, Kind], list[str]]]:
    for (source, kind), rows in waiting.group_by("source", "kind", maintain_order=True):
        yield (str(source), kind), rows["quarantine_id"].to_list()


def _chunks(lake: LakeWriter, ids: Sequence[str]) -> Iterator[list[QuarantinedRecord]]:
    lengths = text_lengths(lake.read, ids)
    chunk: list[str] = []
    characters = 0
    for identifier in ids:
        chunk.append(identifier)
        characters += lengths.get(identifier, 0)
        if len(chunk) >= RECORDS_PER_BATCH or characters >= CHARACTERS_PER_BATCH:
            yield refused_records(lake.read, chunk)
            chunk, characters = [], 0
    if chunk:
        yield refused_records(lake.read, chunk)


def _replay_chunk(
    lake: LakeWriter,
    kind: Kind,
    waiting: Sequence[QuarantinedRecord],
    arrival: Arrival,
    report: ReplayReport,
    *,
    by: str,
    request_id: int | None,
) -> None:
    whole = [one for one in waiting if one.is_whole]
    report.tried += len(waiting)
    report.not_whole += len(waiting) - len(whole)
    if not whole:
        return
    verdicts = [judge(kind, [one.record], corrections=arrival.corrections) for one in whole]

    def settled(batch: Batch) -> None:
        _settle(lake, kind, whole, verdicts, batch, by=by)
        _account_for(lake, batch, by=by, request_id=request_id)

    batch = take_in(lake, kind, [one.record for one in whole], arrival, also=settled)
    report.loaded += batch.loaded_count
    report.duplicate += batch.duplicate_count
    report.refused.update((each.field, each.reason) for one in verdicts for each in one.refusals)


def _settle(
    lake: LakeWriter,
    kind: Kind,
    waiting: Sequence[QuarantinedRecord],
    verdicts: Sequence[Judged],
    batch: Batch,
    *,
    by: str,
) -> None:
    """Say how each record ended: in the transaction that loaded it."""
    loaded = loaded_versions(lake, batch)
    ended: dict[str, list[str]] = {"loaded": [], "duplicate": [], "superseded": []}
    for one, verdict in zip(waiting, verdicts, strict=True):
        for row in verdict.rows:
            version = (row[CONTRACTS[kind].key], row["version_hash"])
            ended["loaded" if version in loaded else "duplicate"].append(one.quarantine_id)
            loaded.discard(version)
        for refusal in verdict.refusals:
            if refusal.quarantine_id != one.quarantine_id:
                ended["superseded"].append(one.quarantine_id)
    for settlement, ids in ended.items():
        settle(lake, ids, settlement, by=by, settled_at=batch.finished_at)  # type: ignore[arg-type]


def _account_for(lake: LakeWriter, batch: Batch, *, by: str, request_id: int | None) -> None:
    row = {
        "batch_id": batch.batch_id,
        "request_id": request_id,
        "source": batch.source,
        "kind": batch.kind,
        "tried_count": batch.read_count,
        "loaded_count": batch.loaded_count,
        "duplicate_count": batch.duplicate_count,
        "refused_count": batch.quarantined_count,
        "replayed_by": by,
        "replayed_at": batch.finished_at,
    }
    lake.append("raw_quality.replays", pl.DataFrame([row], schema_overrides={"request_id": pl.Int64}))


def carry_out(
    lake: LakeWriter,
    operations: Operations,
    request: ReplayRequest,
    *,
    clock: Clock,
    time_zone: str,
    corrections: CorrectionsOf,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Do what somebody decided about the quarantine, say so in the operations store, and return what came of it.

    Safe to repeat: what is settled is not touched again.
    """
    scope = scope_of(request)
    if request.action == "discard":
        count = discard(lake, scope, by=request.requested_by, discarded_at=naive_utc(clock.now()))
        outcome: Mapping[str, Any] = {"discarded": count}
    else:
        outcome = replay(
            lake,
            scope,
            clock=clock,
            time_zone=time_zone,
            corrections=corrections,
            by=request.requested_by,
            request_id=request.request_id,
            progress=progress,
        ).outcome()
    with operations.session() as session:
        decisions.finish_replay(session, request.request_id, outcome=outcome, now=clock.now())
    return dict(outcome)


def scope_of(request: ReplayRequest) -> Scope:
    """Return the records that a wish is about. What is given up is only what was there when somebody decided."""
    until = naive_utc(request.requested_at) if request.action == "discard" else None
    return Scope(request.source, request.kind, request.field, request.reason, until)


def carry_out_waiting(
    lake: LakeWriter, operations: Operations, *, clock: Clock, time_zone: str, corrections: CorrectionsOf
) -> list[dict[str, Any]]:
    """Do everything that people decided about the quarantine and nobody has done yet, in their order."""
    with operations.session() as session:
        requests = decisions.waiting_replays(session)
    return [
        {"request_id": request.request_id, "action": request.action}
        | carry_out(lake, operations, request, clock=clock, time_zone=time_zone, corrections=corrections)
        for request in requests
    ]
