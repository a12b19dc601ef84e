"""Kills a running lane at random moments, lets it run again, and compares what is left with an undisturbed run.

    python -m tests.reliability.torture --seed 7 --kills 20 [--lane fast|hourly|scores|nightly]

A tiny world lives through a day; then a day later, with news at the API and in the landing, lanes are killed. Each
kill starts from a fresh copy of the state before the lane, hits the whole process group (dbt included) at a seeded
moment, uniform within the time of the undisturbed run, and must leave four things true:

- what readers saw is whole: the newest publication opens and holds exactly what an undisturbed run published;
- the lane runs again to its end: no lock, no half-made table is in its way;
- the lake, the episodes and the mails are those of an undisturbed run;
- the pointer is where an undisturbed run put it: something newer is published than before.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from data.landing import Drop
from data.settings import PROJECT_ROOT
from tests.reliability.day import NEXT_NOON, NOON
from tests.reliability.deployment import (
    PATIENCE_SECONDS,
    Deployment,
    StepFailed,
    copy_state,
    kill_group,
    stop_postgres,
)
from tests.reliability.digests import differences

LANES = ("fast", "hourly", "scores", "nightly")
ALTERNATING = ("fast", "nightly")
MESSAGES = 6
LATER = timedelta(hours=1)
COPIES_OF_DECISIONS = (
    "marts.fct_alert_episodes", "marts.fct_daily_kpis", "marts.rpt_customer_overview", "marts.rpt_tutor_overview",
)  # fmt: skip
"""What is built from episodes as they were when a lane began. If the killed run had opened some, the rerun begins
with them, as any second run does: these tables are compared with a second undisturbed run too."""

Say = Callable[[str], None]
Seen = dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """An undisturbed lane: the state before it, its time, and what it left after one run and after two."""

    lane: str
    before: Path
    seconds: float
    at_first: Seen
    once: Seen
    twice: Seen


@dataclass(frozen=True)
class Kill:
    """One kill and what was wrong afterwards: nothing, if it was survived."""

    lane: str
    moment: float
    running: str
    wrong: tuple[str, ...] = field(default=())


class Torture:
    """The bench: one world, one place for the state under test, one copy of the state before each lane."""

    def __init__(self, folder: Path, *, seed: int, say: Say) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._seed = seed
        self._say = say
        # Always the same place: the catalogue knows the lake's files by their absolute path.
        self._subject = Deployment.create(folder / "state", NOON)

    def prepare(self, day: Deployment | None = None) -> None:
        """Let the world live through its day, or take one that has, and let news arrive."""
        if day is None:
            self._subject.chalkline(
                "day", "--source", "world", "--profile", "tiny", "--seed", str(self._seed)
            )
        else:
            self._subject = day.copy_to(self._folder / "state")
        self._subject.let_go()
        self._subject = self._subject.at(NEXT_NOON)
        shutil.copytree(self._subject.settings.world_path, self._folder / "world")
        self._drop_messages()

    def _drop_messages(self) -> None:
        for number in range(MESSAGES):
            began = NEXT_NOON - timedelta(hours=2 + number)
            record = {
                "session_id": f"ses_torture_{number}",
                "tutor_id": f"tut_{number % 3 + 1:03}",
                "student_id": f"cus_{number % 5 + 1:05}",
                "session_start_time": began.isoformat(),
                "session_end_time": (began + timedelta(hours=1)).isoformat(),
                "tutor_join_time": None if number % 3 == 0 else began.isoformat(),
                "student_join_time": began.isoformat(),
                "student_leave_time": (began + timedelta(minutes=20)).isoformat(),
            }
            sent_at = NEXT_NOON - timedelta(minutes=5)
            message = {"type": "session.completed", "timestamp": sent_at.isoformat(), "data": record}
            self._subject.landing.store(Drop(f"msg_torture_{number}", sent_at, json.dumps(message).encode()))

    @contextmanager
    def marketplace(self) -> Iterator[None]:
        """Serve the world as it is at the moment of the lanes."""
        with self._subject.marketplace(self._folder / "world"):
            yield

    def undisturbed(self, lanes: Sequence[str]) -> dict[str, Golden]:
        """Run each lane twice without a kill, in order; a lane starts from what the one before left at first."""
        found = {}
        for lane in lanes:
            before = self._keep(f"before-{lane}")
            at_first = self._look()
            began = time.monotonic()
            self._subject.chalkline("run", lane)
            seconds = time.monotonic() - began
            once = self._look()
            after = self._keep(f"after-{lane}")
            self._subject.chalkline("run", lane)
            twice = self._look()
            found[lane] = Golden(lane, before, seconds, at_first, once, twice)
            self._say(f"undisturbed {lane}: {seconds:.1f} s")
            changed = set(differences(once["lake"], twice["lake"])) - set(COPIES_OF_DECISIONS)
            if changed:
                raise StepFailed(f"{lane} run twice is not {lane} run once: {', '.join(sorted(changed))}")
            self._put_back(after)
        return found

    def kill(self, golden: Golden) -> Kill:
        """Kill one lane at a moment of chance, run it again, and say what was wrong."""
        moment = self._kill_at_random(golden)
        between = self._look(published_only=True)
        running = "; ".join(between["steps"]) or "no step yet"
        wrong = [] if _is_whole(between, golden) else ["what readers see is no published run"]
        began = time.monotonic()
        try:
            self._subject.chalkline("run", golden.lane)
        except (StepFailed, subprocess.TimeoutExpired) as error:
            wrong.append(f"the rerun failed after {time.monotonic() - began:.0f} s: {str(error)[:1_500]}")
        else:
            wrong += self._compare(golden)
        return Kill(golden.lane, moment, running, tuple(wrong))

    def _kill_at_random(self, golden: Golden) -> float:
        """Kill a lane within its time and return the moment. If it ended before, it was no kill: another moment."""
        longest = golden.seconds
        while True:
            moment = self._random.uniform(0.0, longest)
            self._put_back(golden.before)
            began = time.monotonic()
            process = self._subject.start("run", golden.lane)
            if _kill_after(process, moment):
                return moment
            longest = time.monotonic() - began

    def _compare(self, golden: Golden) -> list[str]:
        seen = self._look()
        wrong = _lake_differences(seen, golden)
        in_doubt = [line for line in seen["operations"]["mails by status"] if line.endswith(" sending")]
        if in_doubt:
            # Killed while a mail went out: it is sent again under its key, but not before its time. Nobody else's
            # clock moves here, so the next round comes a little later by hand.
            self._subject.at(NEXT_NOON + LATER).chalkline("run", "announce")
            seen = self._look()
            wrong += [line for line in seen["operations"]["mails by status"] if line.endswith(" sending")]
        return wrong + _decision_differences(seen, golden, told=not in_doubt)

    def _look(self, *, published_only: bool = False) -> Seen:
        command = [sys.executable, "-m", "tests.reliability.look", "--state", str(self._subject.state)]
        done = subprocess.run(
            [*command, "--published-only"] if published_only else command,
            cwd=PROJECT_ROOT, env=self._subject.environment(), capture_output=True, text=True, check=False,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        if done.returncode != 0:
            raise StepFailed(f"the state cannot be looked at:\n{done.stderr[-3_000:]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def _keep(self, name: str) -> Path:
        stop_postgres(self._subject.state)
        copy_state(self._subject.state, self._folder / name)
        return self._folder / name

    def _put_back(self, kept: Path) -> None:
        stop_postgres(self._subject.state)
        copy_state(kept, self._subject.state)

    def close(self) -> None:
        """Stop what is left running."""
        stop_postgres(self._subject.state)


def _kill_after(process: subprocess.Popen[str], moment: float) -> bool:
    """Let a lane run for a while, then kill it and all that it started. False if it had ended before."""
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        children = psutil.Process(process.pid).children(recursive=True)
        kill_group(process)
        left = psutil.wait_procs(children, timeout=10)[1]
        stray = [child for child in left if child.is_running() and not child.name().startswith("postgres")]
        if stray:
            raise StepFailed(f"processes survived the kill of their group: {stray}") from None
        return True
    return False


def _is_whole(seen: Seen, golden: Golden) -> bool:
    """Tell whether readers see exactly what some undisturbed run published."""
    versions = (golden.at_first, golden.once, golden.twice)
    return any(not differences(seen["published"], version["published"]) for version in versions)


def _lake_differences(seen: Seen, golden: Golden) -> list[str]:
    """Return what differs in the lake from one undisturbed run, and from two, in words."""
    found = [differences(version["lake"], seen["lake"]) for version in (golden.once, golden.twice)]
    wrong = [f"{name}: {was} became {now}" for name, (was, now) in min(found, key=len).items()]
    unpublished = _unpublished(seen)
    # A lane that only pulls publishes nothing; what another lane builds of it is published with that lane.
    if unpublished and not _unpublished(golden.once):
        wrong.append(f"built but not published: {', '.join(unpublished)}")
    return wrong


def _unpublished(seen: Seen) -> list[str]:
    # Personal data is never part of a version.
    return [name for name in differences(seen["published"], seen["lake"]) if not name.startswith("pii.")]


def _decision_differences(seen: Seen, golden: Golden, *, told: bool) -> list[str]:
    """Return what differs in episodes and mails. told: whether mails are compared by their status, too."""
    wrong = []
    for what, expected in golden.once["operations"].items():
        if what in ("mails by status", "mail files") and not told:
            continue
        present = seen["operations"][what]
        if present != expected:
            more = [line for line in present if line not in expected]
            fewer = [line for line in expected if line not in present]
            counts = f"{len(present)} instead of {len(expected)}"
            wrong.append(f"{what}: {counts}; new {more[:3]}, missing {fewer[:3]}")
    return wrong


def torture(
    folder: Path, *, seed: int, kills: int, lane: str | None, say: Say, day: Deployment | None = None
) -> list[Kill]:
    """Kill lanes so many times and return how each kill ended."""
    bench = Torture(folder, seed=seed, say=say)
    try:
        bench.prepare(day)
        lanes = (lane,) if lane else ALTERNATING[: max(1, kills)]
        with bench.marketplace():
            golden = bench.undisturbed(lanes)
            results = []
            for number in range(kills):
                began = time.monotonic()
                result = bench.kill(golden[lanes[number % len(lanes)]])
                results.append(result)
                verdict = "survived" if not result.wrong else "NOT survived: " + " | ".join(result.wrong)
                say(
                    f"kill {number + 1:>3}  {result.lane:<8} at {result.moment:5.1f} s  {verdict}  "
                    f"({result.running}; {time.monotonic() - began:.0f} s)"
                )
    finally:
        bench.close()
    return results


def main() -> int:
    """Run the torture and print one line per kill. Returns 1 unless every kill was survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--lane", choices=LANES, help="only this lane; fast and nightly in turn by default")
    parser.add_argument("--keep", action="store_true", help="leave the states for somebody to look at")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chalk-torture-"))
    folder.chmod(0o755)
    try:
        results = torture(
            folder,
            seed=arguments.seed,
            kills=arguments.kills,
            lane=arguments.lane,
            say=lambda line: print(line, flush=True),
        )
    finally:
        if arguments.keep:
            print(f"the states are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    survived = sum(not result.wrong for result in results)
    print(f"survived {survived} of {arguments.kills}")
    return 0 if survived == arguments.kills else 1


if __name__ == "__main__":
    raise SystemExit(main())
