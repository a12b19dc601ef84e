"""What the command line does with the quarantine: look, rehearse, decide, carry out.

What belongs here: putting the pieces together for one person at a terminal. What does not: words and options (the
commands), and the pieces themselves (data.lake.waiting, data.contracts.rehearsal, assets.ingest.replay).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import polars as pl

from assets.ingest.replay import Progress, carry_out, quiet
from assets.resources import House
from data.contracts import Correction, Kind
from data.contracts.mending import advice
from data.contracts.personal import without_personal
from data.contracts.rehearsal import Rehearsal, counted, rehearse
from data.lake.waiting import QuarantinedRecord, Scope, causes, waiting_records
from data.operations import audit
from data.operations import corrections as decisions
from data.operations.tables import CorrectionRow, ReplayRequest
from orchestration.commands.terminal import ACTOR

MOST_REHEARSED = 20_000
"""A rehearsal reads so many waiting records of a feed, oldest first: enough to tell, and little enough to hold."""


def listed_causes(house: House, *, with_settled: bool) -> pl.DataFrame:
    """Return the causes of refusals with what to do about each. Grain: source, kind, field and reason."""
    with house.lake() as lake:
        found = causes(lake.read, with_settled=with_settled)
    next_steps = [
        advice(field or "", reason or "").text
        for field, reason in found.select("field", "reason").iter_rows()
    ]
    return found.with_columns(pl.Series("what_to_do", next_steps, dtype=pl.String))


def examples(house: House, scope: Scope, *, limit: int, personal: bool) -> list[QuarantinedRecord]:
    """Return a few waiting records. Without personal only what contracts know and do not call personal is left of them.

    Looking at personal text leaves a row in the audit log.
    """
    with house.lake() as lake:
        found = waiting_records(lake.read, scope, limit=limit)
    if personal:
        with house.operations.session() as session:
            audit.append(
                session,
                actor=ACTOR,
                action="quarantine.read",
                object_name="quarantine",
                details=asdict(scope) | {"records": len(found)},
                now=house.clock.now(),
            )
        return found
    return [replace(one, record=without_personal(one.record), value=None) for one in found]


def rehearsed(
    house: House,
    *,
    sources: Sequence[str],
    kind: str,
    correction: Correction,
) -> tuple[Rehearsal, int]:
    """Return what a correction would do to what waits of these feeds, applied after those in force.

    Beside it: how many records could not be tried, since they were not kept whole. Nothing is stored.
    """
    tried = passing = not_whole = 0
    still: list[tuple[str, str]] = []
    for source in sources:
        with house.lake() as lake:
            waiting = waiting_records(lake.read, Scope(source, kind), limit=MOST_REHEARSED)
        whole = [one.record for one in waiting if one.is_whole]
        one = rehearse(cast(Kind, kind), whole, (*house.corrections(source, cast(Kind, kind)), correction))
        tried, passing, not_whole = (
            tried + one.tried,
            passing + one.passing,
            not_whole + len(waiting) - len(whole),
        )
        still += [(cause.field, cause.reason) for cause in one.still_refused for _ in range(cause.count)]
    return Rehearsal(tried, passing, counted(still)), not_whole


def put_in_force(
    house: House, *, sources: Sequence[str], kind: str, correction: Correction, note: str
) -> list[CorrectionRow]:
    """Put a correction in force for each of these feeds. The same correction twice is one."""
    with house.operations.session() as session:
        return [
            decisions.add_correction(
                session,
                source=source,
                kind=kind,
                correction=correction,
                note=note,
                actor=ACTOR,
                now=house.clock.now(),
            )
            for source in sources
        ]


def replay_now(house: House, scope: Scope, *, progress: Progress = quiet) -> dict[str, Any]:
    """Judge what waits in a scope again, here and now, and return the account, which is also kept."""
    with house.operations.session() as session:
        request = decisions.request_replay(
            session,
            actor=ACTOR,
            now=house.clock.now(),
            source=scope.source,
            kind=scope.kind,
            field=scope.field,
            reason=scope.reason,
        )
    return _carry_out(house, request, progress)


def discard_now(house: House, scope: Scope, *, note: str) -> int:
    """Give up what waits in a scope, for good, and return how many records. Raises ValueError without a note."""
    with house.operations.session() as session:
        request = decisions.request_discard(
            session,
            source=cast(str, scope.source),
            kind=cast(str, scope.kind),
            field=scope.field,
            reason=scope.reason,
            note=note,
            actor=ACTOR,
            now=house.clock.now(),
        )
    return int(_carry_out(house, request, quiet)["discarded"])


def _carry_out(house: House, request: ReplayRequest, progress: Progress) -> dict[str, Any]:
    with house.lake() as lake:
        return carry_out(
            lake,
            house.operations,
            request,
            clock=house.clock,
            time_zone=house.settings.business_time_zone,
            corrections=house.corrections,
            progress=progress,
        )
