"""A whole day of operations: records come in by all three ways and go through every lane.

With SOURCE=world a simulated marketplace is built, its history imported, its news pulled, its webhooks received.
With a real stream the file is imported and the day is the last one that the stream covers; the clock stands still.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, cast

from rich.console import Console

from assets.ingest.real_files import RealSet
from data.clock import clock_from
from data.settings import DEPLOYMENT_FILE, Settings, get_settings
from orchestration.environment import prepare_environment

if TYPE_CHECKING:
    from assets.resources import House

NEWS = timedelta(days=2)
"""The newest part of the simulated history is not imported but pulled, as in a deployment that goes live."""


@dataclass(frozen=True)
class RealStream:
    """A real data set: where its clock stands, and the first day worth scoring."""

    now: str
    time_zone: str
    first: date


STREAMS: dict[RealSet, RealStream] = {
    "incidents": RealStream(
        # The last business day of the dense 91 days; the stream's times have no zone and are taken as UTC.
        now="2016-05-30T18:00:00Z",
        time_zone="UTC",
        first=date(2016, 3, 1),
    ),
    "flights": RealStream(
        now="2013-12-31T23:59:00-05:00",
        time_zone="America/New_York",
        first=date(2013, 1, 1),
    ),
}


class Steps:
    """Prints each step with its time, so that somebody who waits knows for what."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = time.monotonic()

    def do(self, what: str, work: Callable[[], object]) -> None:
        """Run one step."""
        started = time.monotonic()
        with self.console.status(what):
            result = work()
        said = f": {result}" if isinstance(result, str) else ""
        self.console.print(
            f"{time.monotonic() - started:6.1f} s  {what}{said}", highlight=False, soft_wrap=True
        )

    def end(self) -> None:
        """Print the total."""
        self.console.print(f"{time.monotonic() - self._begun:6.1f} s  the day is done", highlight=False)


def run_day(*, source: str, profile: str, seed: int, console: Console) -> None:
    """Run the day of a source. Raises with the cause if any step fails; a rerun goes on from what is there."""
    settings = settle_deployment(source, profile=profile)
    prepare_environment(settings)
    from assets.resources import House

    house = House(settings, clock_from(settings))
    steps = Steps(console)
    if source == "world":
        _world_day(house, steps, profile=profile, seed=seed)
    else:
        _stream_day(house, steps, cast("RealSet", source))
    steps.end()


def settle_deployment(source: str, *, profile: str) -> Settings:
    """Write down what this state is made for, once. Raises RuntimeError if it was made for something else."""
    if source != "world" and source not in STREAMS:
        raise RuntimeError(f"SOURCE={source} is not known; choose world, {', '.join(STREAMS)}")
    settings = get_settings()
    file = settings.state / DEPLOYMENT_FILE
    if file.exists():
        if settings.source != source:
            raise RuntimeError(
                f"{settings.state} holds {settings.source}; choose another CHALKLINE_STATE for {source}"
            )
        return settings
    lines = {"CHALKLINE_SOURCE": source}
    if source in STREAMS:
        stream = STREAMS[cast("RealSet", source)]
        lines |= {"CHALKLINE_NOW": stream.now, "CHALKLINE_BUSINESS_TIME_ZONE": stream.time_zone}
        lines["CHALKLINE_RAILS_URL"] = ""  # history only: there is nothing to pull
    settings.state.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    get_settings.cache_clear()
    return get_settings()


def _stream_day(house: House, steps: Steps, source: RealSet) -> None:
    from orchestration.importing import import_stream
    from orchestration.lanes import LaneRunner
    from orchestration.people import settle_people

    steps.do("history", lambda: import_stream(house, source, console=steps.console))
    steps.do("people and roster", lambda: settle_people(house))
    runner = LaneRunner(house)
    steps.do("nightly lane, all days", lambda: _lane(runner, "nightly", first=STREAMS[source].first))
    steps.do("fast lane", lambda: _lane(runner, "fast"))
    steps.do("upkeep", lambda: _lane(runner, "upkeep"))


def _world_day(house: House, steps: Steps, *, profile: str, seed: int) -> None:
    from orchestration.lanes import LaneRunner
    from orchestration.people import settle_people
    from orchestration.world import build_world, mock_command, serving

    settings = house.settings
    steps.do(f"world {profile}", lambda: build_world(settings, house.clock, profile=profile, seed=seed))
    steps.do("history", lambda: _import_history(house, steps.console))
    logs = settings.state / "logs"
    mock_up = f"http://{settings.bind}:{settings.mock_rails_port}/up"
    receiver_up = f"http://{settings.bind}:{settings.receiver_port}/up"
    with (
        serving(
            mock_command(settings, with_webhooks=False), up=mock_up, name="marketplace", log=logs / "mock.log"
        ),
        serving(
            [sys.executable, "-m", "app.receiver"], up=receiver_up, name="receiver", log=logs / "receiver.log"
        ),
    ):
        runner = LaneRunner(house)
        steps.do("hourly lane", lambda: _lane(runner, "hourly"))
        steps.do("people and roster", lambda: settle_people(house))
        steps.do("webhooks", lambda: _fire_webhooks(house))
        first = _first_day(house)
        steps.do("nightly lane, all days", lambda: _lane(runner, "nightly", first=first))
        steps.do("fast lane", lambda: _lane(runner, "fast"))
        steps.do("scores lane", lambda: _lane(runner, "scores"))
        steps.do("upkeep", lambda: _lane(runner, "upkeep"))


def _lane(runner: object, lane: str, *, first: date | None = None) -> str:
    result = runner.run(lane, first=first)  # type: ignore[attr-defined]
    failed = "".join(f"; check failed: {check}" for check in result.failed_checks)
    return f"{result.materialized} assets{failed}"


def _import_history(house: House, console: Console) -> str:
    from assets.ingest.pull import FEEDS, SOURCE
    from data.lake.cursors import cursor_of, set_cursor
    from orchestration.importing import import_history
    from orchestration.world import export_history

    with house.lake() as lake:
        if cursor_of(lake, source=SOURCE, kind="sessions") is not None:
            return "known already"
    boundary = (house.clock.now() - NEWS).replace(minute=0, second=0, microsecond=0)
    folder = export_history(house.settings, before=boundary)
    rows = import_history(house, folder, console=console)
    # The export holds everybody's names, and what is in the lake can be exported again.
    shutil.rmtree(folder)
    with house.lake() as lake:
        for kind in FEEDS:
            set_cursor(lake, source=SOURCE, kind=kind, cursor_at=boundary, saved_at=house.clock.now())
    return f"{rows}, all before {boundary:%Y-%m-%d %H:%M} UTC"


def _first_day(house: House) -> date:
    with house.lake() as lake:
        row = lake.read("select min(scheduled_start_at) as first_at from lake.raw_marketplace.sessions").row(
            0
        )
    first_at = row[0]
    assert isinstance(first_at, datetime)
    return first_at.date()


def _fire_webhooks(house: House) -> str:
    from orchestration.world import send_webhook

    with house.lake() as lake:
        rows = lake.read(
            "select session_id, tutor_id, customer_id from lake.raw_marketplace.sessions "
            "where status = 'finished' and tutor_id is not null and customer_id is not null "
            "order by scheduled_start_at desc, session_id limit 3"
        ).to_dicts()
    stamp = house.clock.now().strftime("%Y%m%d%H%M%S")
    for number, row in enumerate(rows):
        send_webhook(
            house.settings,
            kind="tutor_no_show" if number == 0 else "ok",
            session_id=f"ses_hook_{stamp}_{number}",
            tutor_id=row["tutor_id"],
            student_id=row["customer_id"],
        )
    return f"{len(rows)} received"
