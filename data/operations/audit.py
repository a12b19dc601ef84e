"""The audit log: who decided what, chained by hash so that an edited or removed row is noticed.

What belongs here: appending and verifying. What does not: deciding what is worth a row (the services do), and words
that somebody wrote: they may name a person, and a chain cannot forget. They are kept beside what they are about.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from data.operations.tables import AuditEntry, AuditHead

GENESIS = "0" * 64
"""prev_hash of the first row."""
WORDS = frozenset({"text", "note", "notes", "reason", "resolution", "old_value", "new_value"})
"""Details in somebody's own words. Of these the chain holds the length only."""


@dataclass(frozen=True)
class ChainReport:
    """What verifying found: how many rows hold, and the first thing that does not."""

    length: int
    broken_at: int | None = None
    problem: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether every row is the one that was written, and none is missing."""
        return self.problem is None


def append(
    session: Session, *, actor: str, action: str, object_name: str, details: Mapping[str, Any], now: datetime
) -> AuditEntry:
    """Add one row to the chain, in the caller's transaction. Of words that somebody wrote only their length is kept.

    Appends of other transactions wait until this one ends, so append last and commit soon.
    """
    session.execute(
        insert(AuditHead).values(only_row=True, position=0, row_hash=GENESIS).on_conflict_do_nothing()
    )
    head = session.execute(
        sa.select(AuditHead).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
    told = {name: _without_words(name, value) for name, value in details.items()}
    clean = json.loads(json.dumps(told, default=str, allow_nan=False))
    entry = AuditEntry(
        position=head.position + 1,
        actor=actor,
        action=action,
        object_name=object_name,
        details=clean,
        at=now,
        prev_hash=head.row_hash,
        row_hash="",
    )
    entry.row_hash = _hash_of(entry)
    session.add(entry)
    head.position, head.row_hash = entry.position, entry.row_hash
    session.flush()
    return entry


def verify_chain(session: Session) -> ChainReport:
    """Recompute the whole chain and name the first row that was edited, removed, or cut off at the end."""
    previous, expected = GENESIS, 1
    for entry in session.scalars(
        sa.select(AuditEntry).order_by(AuditEntry.position).execution_options(yield_per=1000)
    ):
        if entry.position != expected:
            return ChainReport(expected - 1, expected, f"row {expected} is missing")
        if entry.prev_hash != previous or entry.row_hash != _hash_of(entry):
            return ChainReport(expected - 1, expected, f"row {expected} is not the one that was written")
        previous, expected = entry.row_hash, expected + 1
    length = expected - 1
    head = session.scalars(sa.select(AuditHead)).one_or_none()
    if (head.position if head else 0) != length or (head.row_hash if head else GENESIS) != previous:
        ends = head.position if head else 0
        return ChainReport(length, length + 1, f"the chain should end at row {ends} but ends at row {length}")
    return ChainReport(length)


def entries_about(session: Session, object_name: str) -> list[AuditEntry]:
    """Return the rows about one object, oldest first."""
    return list(
        session.scalars(
            sa.select(AuditEntry).where(AuditEntry.object_name == object_name).order_by(AuditEntry.position)
        )
    )


def _without_words(name: str, value: Any) -> Any:
    return f"{len(value)} characters" if name in WORDS and isinstance(value, str) else value


def _hash_of(entry: AuditEntry) -> str:
    written = [
        entry.position,
        entry.prev_hash,
        entry.actor,
        entry.action,
        entry.object_name,
        entry.details,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
    ]
    return hashlib.sha256(json.dumps(written, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
