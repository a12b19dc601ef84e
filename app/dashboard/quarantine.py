"""Refused records and what was decided about them, as the data-health page reads them.

What belongs here: reading, by role, and the rehearsal of a correction. What does not: decisions (actions.py) and the
drawing (components/quarantine.py). Records can hold anything: only roles that mend data and may see names read them,
through the reader for personal data, and each look leaves a row in the audit log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
import streamlit as st

from app.dashboard import access, actions, stores
from app.dashboard.components.page import Lens
from app.dashboard.identity import Person
from data.contracts import Correction, Kind
from data.contracts.rehearsal import Rehearsal, rehearse
from data.lake.waiting import QuarantinedRecord, Scope, waiting_records
from data.operations import corrections as decisions
from data.operations.tables import CorrectionRow, ReplayRequest

MOST_READ = 2_000
"""A rehearsal on a page reads so many records of a cause, oldest first: the answer comes while one watches."""


@dataclass(frozen=True)
class Cause:
    """Why records of one feed were refused: what the page opens, mends and gives up as one."""

    source: str
    kind: str
    field: str
    reason: str

    @classmethod
    def of(cls, row: dict[str, Any]) -> Cause:
        """Return the cause of a row of marts.rpt_quarantine."""
        return cls(row["source"], row["kind"], row["field"] or "", row["reason"] or "")

    @property
    def key(self) -> str:
        """Return a short name for the address of the page."""
        text = "\x1f".join((self.source, self.kind, self.field, self.reason))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def scope(self) -> Scope:
        """Return the records of the cause."""
        return Scope(self.source, self.kind, self.field, self.reason)


def find(causes: pl.DataFrame, key: str) -> dict[str, Any] | None:
    """Return the row of a cause by the name in the address, or None."""
    return next((row for row in causes.iter_rows(named=True) if Cause.of(row).key == key), None)


def records_of(lens: Lens, cause: Cause) -> list[QuarantinedRecord]:
    """Return what waits for a cause in the published version, oldest first. Raises AccessDenied."""
    access.require(lens.person, "mend_data")
    access.require(lens.person, "see_names")
    found = waiting_records(
        stores.reader(lens.published.snapshot_id, personal=True).query, cause.scope, limit=MOST_READ
    )
    _note_reading(lens, cause, len(found))
    return found


def _note_reading(lens: Lens, cause: Cause, count: int) -> None:
    # Once per person, version and cause: the page runs again with every key that is typed into it.
    read = st.session_state.setdefault("quarantine.read", set())
    look = (lens.person.user_id, lens.published.version, cause.key)
    if look not in read:
        actions.record_reading(lens.person, cause.scope, records=count, version=lens.published.version)
        read.add(look)


def rehearsal(
    person: Person, cause: Cause, records: Sequence[QuarantinedRecord], correction: Correction | None
) -> Rehearsal:
    """Return what a replay of these records would do with a correction more, after those in force."""
    in_force = [correction_of(row) for row in corrections(person, cause)]
    added = [correction] if correction is not None else []
    whole = [one.record for one in records if one.is_whole]
    return rehearse(cast(Kind, cause.kind), whole, [*in_force, *added])


def corrections(person: Person, cause: Cause) -> list[CorrectionRow]:
    """Return the corrections in force for the feed of a cause, in the order in which they are applied."""
    access.require(person, "mend_data")
    with stores.operations().session() as session:
        return decisions.corrections_in_force(session, source=cause.source, kind=cause.kind)


def correction_of(row: CorrectionRow) -> Correction:
    """Return a correction as the contracts apply it."""
    return Correction(action=row.action, field=row.field, old_value=row.old_value, new_value=row.new_value)


def replays(person: Person, *, limit: int = 8) -> list[ReplayRequest]:
    """Return the newest wishes about the quarantine, carried out or not."""
    access.require(person, "see_data_health")
    with stores.operations().session() as session:
        return decisions.recent_replays(session, limit=limit)
