"""The stores behind the pages: settings, clock, operations, and one pinned reader per published version.

What belongs here: opening and sharing. What does not: questions (queries.py) and decisions (actions.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import streamlit as st

from data.clock import Clock, SystemClock, clock_from
from data.lake.reader import LakeReader
from data.operations import publications
from data.operations.store import Operations, open_operations
from data.postgres import open_postgres
from data.settings import Settings, get_settings


@dataclass(frozen=True)
class Hold:
    """A rollback in force: who keeps the lanes from publishing, since when and why."""

    placed_by: str
    placed_at: datetime
    reason: str


@dataclass(frozen=True)
class Published:
    """The version that readers see, as it was when this page run began."""

    version: int
    snapshot_id: int
    lane: str
    as_of_date: date
    published_at: datetime
    rolled_back_to: int | None = None
    hold: Hold | None = None


def settings() -> Settings:
    """Return the settings of this process."""
    return get_settings()


def clock() -> Clock:
    """Return the business clock: a replay stands still."""
    return clock_from(settings())


def wall_clock() -> Clock:
    """Return the machine's clock, by which sign-ins expire and ages are told even during a replay."""
    return SystemClock()


def operations() -> Operations:
    """Return the operations store, opened once per process."""
    return _operations(str(settings().state))


def published() -> Published | None:
    """Return the version readers see now, or None before the first publication."""
    with operations().session() as session:
        row = publications.current(session)
        if row is None:
            return None
        held = publications.hold_in_force(session)
        return Published(
            version=row.publication_id,
            snapshot_id=row.lake_snapshot_id,
            lane=row.lane,
            as_of_date=row.as_of_date,
            published_at=row.published_at,
            rolled_back_to=row.rolled_back_to,
            hold=Hold(held.placed_by, held.placed_at, held.reason) if held is not None else None,
        )


def reader(snapshot_id: int, *, personal: bool) -> LakeReader:
    """Return the shared reader of one snapshot; only a personal one has personal data attached."""
    return _reader(str(settings().state), snapshot_id, personal)


@st.cache_resource(max_entries=4, show_spinner=False)
def _operations(state: str) -> Operations:
    return open_operations(open_postgres(_settings_of(state)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _reader(state: str, snapshot_id: int, personal: bool) -> LakeReader:
    # Two versions times two kinds: while readers move to a new version, the one before is still in use.
    return LakeReader(_settings_of(state), snapshot_id=snapshot_id, personal=personal)


def _settings_of(state: str) -> Settings:
    current = settings()
    if Path(state) != current.state:
        raise RuntimeError(f"the state folder changed from {state} to {current.state} while running")
    return current
