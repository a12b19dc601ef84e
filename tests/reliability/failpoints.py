"""Stops ingestion at each of its failpoints, lets it run again, and compares the tables with an undisturbed run.

    python -m tests.reliability.failpoints [--keep]

A small ingest in a process of its own stores webhook messages, takes them in, pulls two feeds and moves the pointer
that readers follow. At each place that the code names it is killed, fails, and finds the disk full; then the same
ingest runs to its end. Afterwards the raw tables are those of an undisturbed run, every batch adds up, no message
waits, and readers are shown the whole.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx
from pydantic import SecretStr

from assets.ingest.budget import Budget
from assets.ingest.messages import take_messages
from assets.ingest.pull import FEEDS
from assets.ingest.rails import RailsClient
from assets.ingest.tries import try_feed
from assets.resources import House, Turn
from data.clock import Clock
from data.contracts import Kind
from data.lake.reader import LakeReader
from data.lake.writer import LakeWriter, open_writer
from data.landing import Drop, Landing
from data.operations import publications
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.settings import PROJECT_ROOT, Settings, get_settings
from tests.emptying import empty
from tests.reliability.faults.kinds import Script
from tests.reliability.faults.run import final_digests, golden, unaccounted
from tests.reliability.faults.server import TOKEN, Source
from tests.reliability.faults.truth import START, Truth, calls_truth, sessions_truth
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.scratch import Hands, scratch_settings

ROOMS = ("app", "assets", "data", "models_ml", "notifications", "orchestration")
ACTIONS = ("kill", "raise", "enospc")
ELSEWHERE = {"erasing.": "an erasure is stopped by its own tests, where there is somebody to erase"}
"""Beginnings of the names that do not belong to ingestion, each with who stops there instead."""
OFTEN = ("intake.", "landing.")
"""Places that the small ingest passes more than once: there the second time is stopped too."""
SEED, TICKS, MESSAGES = 7, 4, 12
NOW = START + timedelta(hours=2)
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Stop:
    """One place, which time it was passed, what happened there, and what was wrong afterwards: nothing, if survived."""

    place: str
    passed: int
    action: str
    wrong: tuple[str, ...]


def places() -> list[str]:
    """Return every failpoint of ingestion that the code names, in order."""
    found = set()
    for room in ROOMS:
        for file in sorted((PROJECT_ROOT / room).rglob("*.py")):
            found |= set(_named_in(ast.parse(file.read_text())))
    return sorted(name for name in found if not name.startswith(tuple(ELSEWHERE)))


def _named_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            [name] = node.args
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                raise ValueError(f"a failpoint in line {node.lineno} has a name that is no literal")
            yield name.value


def truths() -> dict[Kind, Truth]:
    """Return what the small ingest takes in."""
    return {
        "sessions": sessions_truth(SEED, ticks=TICKS),
        "inbound_calls": calls_truth(SEED, ticks=TICKS),
    }


def ingest(settings: Settings, *, with_pointer: bool) -> None:
    """Store messages, take them in, pull, and publish if asked to. Everything is by id, so a rerun adds nothing."""
    landing, clock = Landing(settings.landing_path), Hands(NOW)
    sessions = truths()["sessions"].final()
    for record in sessions[:MESSAGES]:
        body = {"type": "session.completed", "timestamp": record["updated_at"], "data": record}
        landing.store(Drop(f"msg_{record['session_id']}", NOW, json.dumps(body).encode()))
    with open_writer(settings) as lake:
        take_messages(lake, landing, settings, clock=clock)
        for kind in truths():
            _pull(lake, settings, kind, clock)
    if with_pointer:
        _publish(settings, clock)


def _pull(lake: LakeWriter, settings: Settings, kind: Kind, clock: Hands) -> None:
    source = Source(truths(), Script("none", SEED, is_calm=True), clock.now)

    def serve(request: httpx.Request) -> httpx.Response:
        answer = source.answer(
            request.url.path, dict(request.url.params), request.headers.get("authorization", "")
        )
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def client(given: Settings, at: Clock, budget: Budget) -> RailsClient:
        return RailsClient(given, at, budget=budget, machine=clock, transport=httpx.MockTransport(serve))

    tried = try_feed(lake, FEEDS[kind], settings=settings, clock=clock, budget=Budget(), client_of=client)
    if tried.outcome != "ok":
        raise RuntimeError(f"the pull of {kind} ended {tried.outcome}: {tried.attempt or tried.skipped}")


def _publish(settings: Settings, clock: Hands) -> None:
    import dagster as dg

    from assets.publish import build_published

    dg.materialize(
        [build_published("UTC", [])],
        resources={"house": House(settings, clock), "turn": Turn()},
        partition_key=NOW.date().isoformat(),
        tags={"chalkline/lane": "fast"},
        instance=dg.DagsterInstance.ephemeral(),
        run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
    )


def stop_at(
    lake: LakeWriter,
    settings: Settings,
    expected: Mapping[str, str],
    place: str,
    *,
    passed: int = 1,
    action: str = "kill",
) -> Stop:
    """Stop a fresh ingest at a place, run it again, and say what is wrong afterwards."""
    empty(lake)
    shutil.rmtree(settings.landing_path, ignore_errors=True)
    broken = _child(settings, place, failpoint=f"{place}:{passed}:{action}")
    wrong = []
    if broken.returncode == 0:
        wrong.append("it did not stop there")
    if action == "kill" and broken.returncode not in (0, -signal.SIGKILL):
        wrong.append(f"it ended with {broken.returncode}: {broken.stderr[-500:]}")
    ingest(settings, with_pointer=_moves_pointer(place))
    wrong += unaccounted(lake)
    if final_digests(lake, truths()) != expected:
        wrong.append("the tables differ from an undisturbed run")
    if waiting := Landing(settings.landing_path).waiting():
        wrong.append(f"{len(waiting)} messages wait")
    if _moves_pointer(place):
        wrong += _not_shown(settings, lake)
    return Stop(place, passed, action, tuple(wrong))


def _moves_pointer(place: str) -> bool:
    # Only there: loading Dagster takes longer than all the rest.
    return place.startswith("publish.")


def _not_shown(settings: Settings, lake: LakeWriter) -> list[str]:
    with open_operations(open_postgres(settings)).session() as session:
        row = publications.current(session)
        if row is None:
            return ["nothing is published"]
        snapshot = row.lake_snapshot_id
    reader = LakeReader(settings, snapshot_id=snapshot)
    try:
        shown = reader.query("select count(*) as n from raw_marketplace.sessions").item()
    finally:
        reader.close()
    rows = lake.read("select count(*) as n from lake.raw_marketplace.sessions").item()
    return [] if shown == rows else [f"readers see {shown} of {rows} sessions"]


def _child(settings: Settings, place: str, *, failpoint: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHALKLINE_") and name not in ("DATABASE_URL", "LAKE_DATA_PATH")
    }
    variables = {
        "CHALKLINE_STATE": str(settings.state),
        "CHALKLINE_RAILS_TOKEN": TOKEN,
        "CHALKLINE_FAILPOINT": failpoint,
        "PYTHONWARNINGS": "ignore",
    }
    how = "--ingest-and-publish" if _moves_pointer(place) else "--ingest"
    return subprocess.run(
        [sys.executable, "-m", "tests.reliability.failpoints", how],
        cwd=PROJECT_ROOT, env=inherited | variables, capture_output=True, text=True, check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def stop_everywhere(
    settings: Settings, *, actions: tuple[str, ...] = ACTIONS, twice: bool = True
) -> Iterator[Stop]:
    """Stop at every place in every way; with twice, where the ingest comes by more often, the second time too."""
    # This process keeps the embedded server up, so that none of the children has to start it.
    settings = settings.model_copy(update={"rails_token": SecretStr(TOKEN)})
    with open_writer(settings) as lake:
        expected = golden(lake, truths())
        for place in places():
            for action in actions:
                yield stop_at(lake, settings, expected, place, action=action)
            if twice and place.startswith(OFTEN):
                yield stop_at(lake, settings, expected, place, passed=2)


def main() -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.failpoints", description=__doc__)
    parser.add_argument("--ingest", action="store_true", help="be the small ingest itself")
    parser.add_argument("--ingest-and-publish", action="store_true", help="the same, and move the pointer")
    add_keep_option(parser)
    arguments = parser.parse_args()
    if arguments.ingest or arguments.ingest_and_publish:
        ingest(get_settings(), with_pointer=arguments.ingest_and_publish)
        return 0
    stops = []
    with scratch_settings() as settings:
        for stop in stop_everywhere(settings):
            stops.append(stop)
            print(
                f"{stop.place}, time {stop.passed}, {stop.action}: {'; '.join(stop.wrong) or 'survived'}",
                flush=True,
            )
    rows = [
        f"| `{place}` | {sum(not stop.wrong for stop in ours)} of {len(ours)} |"
        for place in places()
        if (ours := [stop for stop in stops if stop.place == place])
    ]
    verdict = Verdict(
        name="failpoints",
        title="Ingestion stopped at each of its commits",
        command="python -m tests.reliability.failpoints",
        held=sum(not stop.wrong for stop in stops),
        tried=len(stops),
        lines=[
            f"{len(rows)} places, each killed, failed and met with a full disk; where a run comes by more often, the "
            "second time too. Then the ingest runs again: raw tables as undisturbed, every batch adds up, no message "
            "waits, readers are shown the whole.",
            "",
            "| Place | Survived |",
            "|---|---|",
            *rows,
        ],
    )
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
