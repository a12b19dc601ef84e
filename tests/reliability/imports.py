"""Imports the four real data sets, twice, and kills imports of them at chunks of chance.

    python -m tests.reliability.imports [--seed 7] [--kills 5] [--sets incidents flights] [--keep]

Each set comes in to a state of its own. Three things must be true: what is read is loaded, known or in quarantine, and
the totals are those of the file; a second import adds no row; an import that was killed and is run again goes on where
it ended and leaves the tables of an undisturbed one.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from assets.ingest.files import CHUNK_ROWS
from assets.ingest.real_files import REAL_SETS, ImportTask, RealSet, import_tasks
from assets.ingest.report import ImportReport
from assets.resources import House
from data.settings import PROJECT_ROOT, get_settings
from orchestration.importing import import_with_progress
from tests.reliability.deployment import PATIENCE_SECONDS, Deployment
from tests.reliability.digests import differences, lake_digests
from tests.reliability.record import Verdict, add_keep_option, conclude, write_section
from tests.reliability.scratch import scratch_settings

NOW = datetime(2026, 3, 2, 17, tzinfo=UTC)
PLACES = ("intake.personal_written", "intake.rows_written", "intake.before_commit", "intake.after_commit")
"""Where within a chunk an import is killed."""
TO_KILL: tuple[RealSet, ...] = ("flights", "oulad")
"""Sets of several chunks whose import takes a minute. The calls to a bank take the same way, and fifteen."""

GUIDE = PROJECT_ROOT / "docs" / "importing.md"
TABLE = (
    "| Mapping | Rows | Records | Loaded | Known | Refused | Why | Seconds | Added by a second import |",
    "|---|---|---|---|---|---|---|---|---|",
)
KILLS = ("| Mapping | Killed in | Then | Left |", "|---|---|---|---|")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Imported:
    """One file of a set, imported twice, and how long the first time took."""

    task: ImportTask
    first: ImportReport
    second: ImportReport
    seconds: float

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is not as it should be: nothing, if all is well."""
        first, second = self.first, self.second
        found = []
        if first.loaded_count + first.duplicate_count + first.quarantined_count != first.read_count:
            found.append("the first import does not add up")
        if second.loaded_count or second.read_count != first.read_count:
            found.append(f"the second import added {second.loaded_count:,} rows")
        if second.quarantined_count != first.quarantined_count:
            found.append("the second import refused other records")
        return tuple(found)

    def row(self) -> str:
        """Return the line of the table."""
        report = self.first
        causes = "; ".join(f"{group.count:,} {group.field}: {group.reason}" for group in report.refusals)
        return (
            f"| {self.task.mapping.stem} | {report.file_row_count:,} | {report.read_count:,} | "
            f"{report.loaded_count:,} | {report.duplicate_count:,} | {report.quarantined_count:,} | "
            f"{causes or 'nothing refused'} | {self.seconds:,.0f} | {self.second.loaded_count:,} |"
        )


@dataclass(frozen=True)
class Kill:
    """One killed import and what was wrong after it was run again: nothing, if it was survived."""

    task: ImportTask
    place: str
    chunk: int
    went_on: str
    wrong: tuple[str, ...]

    def row(self) -> str:
        """Return the line of the table."""
        verdict = "the same tables" if not self.wrong else "; ".join(self.wrong)
        return f"| {self.task.mapping.stem} | chunk {self.chunk}, {self.place} | {self.went_on} | {verdict} |"


@contextmanager
def deployed(state: Path) -> Iterator[Deployment]:
    """Give an empty deployment whose clock stands still, and throw it away."""
    deployment = Deployment.create(state, NOW)
    try:
        yield deployment
    finally:
        deployment.let_go()
        shutil.rmtree(state, ignore_errors=True)


def import_twice(deployment: Deployment, real_set: RealSet, say: Say) -> list[Imported]:
    """Import every file of a set two times into one state."""
    house = House(deployment.settings, deployment.clock)
    found = []
    for task in import_tasks(real_set, get_settings()):
        began = time.monotonic()
        first = import_with_progress(house, task.file, task.mapping, console=Console(quiet=True))
        seconds = time.monotonic() - began
        second = import_with_progress(house, task.file, task.mapping, console=Console(quiet=True))
        found.append(Imported(task, first, second, seconds))
        say(found[-1].row())
    return found


def kill_and_rerun(
    deployment: Deployment, task: ImportTask, *, place: str, chunk: int, golden: dict[str, str]
) -> Kill:
    """Kill an import at a place of its nth chunk, run it again, and compare with an undisturbed one."""
    words = ("import", str(task.file), "--mapping", str(task.mapping))
    wrong = []
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *words],
        cwd=PROJECT_ROOT, env=deployment.environment() | {"CHALKLINE_FAILPOINT": f"{place}:{chunk}:kill"},
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    if done.returncode != -signal.SIGKILL:
        wrong.append(f"the import was not killed but ended with {done.returncode}: {done.stderr[-500:]}")
    said = deployment.chalkline(*words)
    went_on = next((line for line in said.splitlines() if line.startswith("goes on at")), "from its start")
    # What was committed before the kill must not be read again.
    committed = chunk if place == "intake.after_commit" else chunk - 1
    if committed and f"goes on at {committed * CHUNK_ROWS:,} of" not in went_on:
        wrong.append(f"{committed} chunks were in, but the import went on {went_on}")
    wrong += [
        f"{name}: {was} became {now}"
        for name, (was, now) in differences(golden, lake_digests(deployment.settings)).items()
    ]
    return Kill(task, place, chunk, went_on, tuple(wrong))


def run(
    folder: Path, *, sets: Sequence[RealSet], kills: int, seed: int, say: Say
) -> tuple[list[Imported], list[Kill]]:
    """Import the sets twice and kill some of their imports. Returns what came of each."""
    chance = random.Random(seed)
    goldens: dict[RealSet, dict[str, str]] = {}
    imported: list[Imported] = []
    for real_set in sets:
        with deployed(folder / real_set) as deployment:
            imported += import_twice(deployment, real_set, say)
            if real_set in TO_KILL:
                goldens[real_set] = lake_digests(deployment.settings)
    killed = []
    for number in range(kills if goldens else 0):
        real_set = list(goldens)[number % len(goldens)]
        (task,) = import_tasks(real_set, get_settings())
        chunks = next(one for one in imported if one.task == task).first.read_count // CHUNK_ROWS + 1
        with deployed(folder / f"kill-{number}") as deployment:
            killed.append(
                kill_and_rerun(
                    deployment,
                    task,
                    place=chance.choice(PLACES),
                    chunk=chance.randint(1, chunks),
                    golden=goldens[real_set],
                )
            )
        say(killed[-1].row())
    return imported, killed


def verdict_of(imported: Sequence[Imported], killed: Sequence[Kill], command: str) -> Verdict:
    """Return what was measured, for the page: one try is a file that comes in twice, or a kill."""
    whole = [not one.wrong for one in imported] + [not one.wrong for one in killed]
    return Verdict(
        name="imports",
        title="Real data imported whole, twice, and killed",
        command=command,
        held=sum(whole),
        tried=len(whole),
        lines=[
            "Read is loaded, known or refused; a second import adds nothing; a killed import goes on and leaves the "
            "tables of an undisturbed one.",
            "",
            *TABLE,
            *(one.row() for one in imported),
            *(["", *KILLS] if killed else []),
            *(one.row() for one in killed),
        ],
    )


def main() -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.imports", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=REAL_SETS, default=REAL_SETS)
    add_keep_option(parser)
    arguments = parser.parse_args()
    with scratch_settings() as settings:
        imported, killed = run(
            settings.state,
            sets=arguments.sets,
            kills=arguments.kills,
            seed=arguments.seed,
            say=lambda line: print(line, flush=True),
        )
    for one in (*imported, *killed):
        if one.wrong:
            print(f"{one.task.mapping.stem}: {'; '.join(one.wrong)}")
    verdict = verdict_of(imported, killed, _command(arguments))
    if arguments.keep:
        write_section(_for_the_guide(imported, verdict.command), GUIDE)
    return conclude(verdict, keep=arguments.keep)


def _command(arguments: argparse.Namespace) -> str:
    sets = "" if tuple(arguments.sets) == REAL_SETS else f" --sets {' '.join(arguments.sets)}"
    return f"python -m tests.reliability.imports --seed {arguments.seed} --kills {arguments.kills}{sets}"


def _for_the_guide(imported: Sequence[Imported], command: str) -> Verdict:
    return Verdict(
        name="real-data",
        title="Real data, as it comes in",
        command=command,
        held=sum(not one.wrong for one in imported),
        tried=len(imported),
        lines=[*TABLE, *(one.row() for one in imported)],
    )


if __name__ == "__main__":
    sys.exit(main())
