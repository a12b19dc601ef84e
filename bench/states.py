"""The marketplaces that are measured: each a whole state folder of its own, built once and reused.

What belongs here: where they live, how they come to be, their clock and their API. What does not: measuring.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from rich.console import Console

from assets.resources import House
from data.settings import PROJECT_ROOT, Settings
from orchestration.world import mock_command, serving

ANCHOR = datetime(2026, 3, 4, 17, tzinfo=UTC)
"""Where the clock of a fresh state stands: a Wednesday noon in New York, sessions running."""
SEED = 7
RECENT_DAYS = {"tiny": 14, "demo": 60, "full": 60}
"""What the short history of a profile keeps: enough for every window of the lanes, short of a year."""
EVENT_TIMES = {
    "sessions": "session_start_time",
    "inbound_calls": "call_date",
    "reschedules": "rescheduled_at",
    "engagement_events": "occurred_at",
}
RECENT = "-recent"


class MovingClock:
    """A clock that stands still until it is moved: news comes when a measurement wants it."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """Return where the clock stands, in UTC."""
        return self.instant


@dataclass(frozen=True)
class State:
    """One marketplace in its own folder. A name ending in -recent has the same world with a short history."""

    root: Path
    name: str

    @property
    def profile(self) -> str:
        """The world profile behind the name."""
        return self.name.removesuffix(RECENT)

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.root / "worlds" / self.name

    @property
    def world_state(self) -> State:
        """The state whose folder holds the world: a short history shares the world of the whole one."""
        return State(self.root, self.profile)

    def settings(self, *, port: int = 0, now: datetime | None = None) -> Settings:
        """Return the settings of this state. Nothing of the caller's own deployment is touched."""
        return Settings().model_copy(
            update={
                "state": self.folder,
                "source": "world",
                "now": now.isoformat() if now else None,
                "database_url": None,
                "lake_data_path": None,
                "resend_api_key": None,
                "business_time_zone": "America/New_York",
                "rails_url": f"http://127.0.0.1:{port}" if port else "",
                "mock_rails_port": port,
            }
        )


def bench_root() -> Path:
    """Return the folder of everything the bench keeps: below CHALKLINE_STATE, else data/state-bench."""
    settings = Settings()
    given = "state" in settings.model_fields_set
    state = settings.state.absolute() if given else PROJECT_ROOT / "data" / "state-bench"
    return state / "bench"


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def marketplaces(ports: dict[State, int], *, at: datetime) -> Iterator[None]:
    """Serve the worlds at an instant. Raises RuntimeError, with its last words, if one does not come up."""
    # The bench asks faster than a customer of a real API would; its limit is not what is measured.
    os.environ["MOCK_RAILS_RATE_LIMIT"] = "1000000"
    with ExitStack() as stack:
        for state, port in ports.items():
            settings = state.settings(port=port, now=at)
            stack.enter_context(
                serving(
                    mock_command(settings, with_webhooks=False),
                    up=f"http://127.0.0.1:{port}/up",
                    name=f"marketplace {state.name}",
                    log=state.folder / "logs" / "mock.log",
                )
            )
        yield


@dataclass(frozen=True)
class Progress:
    """How far the building of a state has come, kept in its folder so that a killed build goes on."""

    folder: Path

    def read(self) -> dict[str, str]:
        """Return what is done, and where the clock stands."""
        file = self.folder / "bench.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def note(self, **done: str) -> None:
        """Write down what is done now."""
        file = self.folder / "bench.json"
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(self.read() | done, indent=2) + "\n")
        draft.replace(file)


def clock_of(state: State) -> MovingClock:
    """Return the clock of a state, where the last measurement left it."""
    return MovingClock(datetime.fromisoformat(Progress(state.folder).read().get("now", ANCHOR.isoformat())))


def ensure_world(state: State) -> None:
    """Build the world of a state, unless it stands."""
    from orchestration.world import build_world

    owner = state.world_state
    owner.folder.mkdir(parents=True, exist_ok=True)
    build_world(owner.settings(), MovingClock(ANCHOR), profile=owner.profile, seed=SEED)


def ensure_history(state: State, house: House, console: Console) -> None:
    """Import everything before the anchor, and set the cursors so that a pull brings what came after.

    A second call does nothing; one after a killed import finishes it.
    """
    from assets.ingest.pull import FEEDS, SOURCE
    from data.lake.cursors import set_cursor
    from orchestration.importing import import_history
    from orchestration.people import settle_people
    from orchestration.world import export_history

    progress = Progress(state.folder)
    if "history" in progress.read():
        return
    folder = export_history(state.world_state.settings(), before=ANCHOR)
    if state.name.endswith(RECENT):
        folder = _recent(folder, state)
    said = import_history(house, folder, console=console)
    with house.lake() as lake:
        for kind in FEEDS:
            set_cursor(lake, source=SOURCE, kind=kind, cursor_at=ANCHOR, saved_at=ANCHOR)
    settle_people(house)
    progress.note(history=said, now=ANCHOR.isoformat())


def _recent(folder: Path, state: State) -> Path:
    kept = state.folder / "tmp" / "recent"
    kept.mkdir(parents=True, exist_ok=True)
    since = ANCHOR - timedelta(days=RECENT_DAYS[state.profile])
    for file in sorted(folder.glob("*.parquet")):
        rows = pl.read_parquet(file)
        if file.stem in EVENT_TIMES:
            rows = rows.filter(pl.col(EVENT_TIMES[file.stem]) >= since)
        rows.write_parquet(kept / file.name)
    return kept


def first_day(house: House) -> date:
    """Return the first day of the history. Raises RuntimeError if there is none."""
    with house.lake() as lake:
        first = lake.read("select min(scheduled_start_at) from lake.raw_marketplace.sessions").item()
    if first is None:
        raise RuntimeError(f"{house.settings.state} has no history; remove the folder and run again")
    return first.date()
