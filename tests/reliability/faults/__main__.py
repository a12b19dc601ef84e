"""Pulls feeds from a source that fails in every known way, and compares the tables with the truth.

    python -m tests.reliability.faults --seed 7 --seeds 5 [--keep]

Each run is one kind of fault with one seed: two feeds that live (new records, late ones, changes) are pulled by ticks
of an injected clock while a third to nearly all requests fail; then the faults end and one night reads back. Afterwards
the raw tables hold every record's last version and nothing that the source never showed, and every batch adds up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from data.lake.writer import open_writer
from data.settings import Settings
from tests.reliability.faults.kinds import KINDS
from tests.reliability.faults.run import Run, play
from tests.reliability.faults.server import fault_server
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.scratch import scratch_settings

TICKS = 12


def runs(kinds: Sequence[str], seeds: Sequence[int], *, settings: Settings, ticks: int) -> Iterator[Run]:
    """Play every kind with every seed, one after the other, on a lake that is emptied in between."""
    with open_writer(settings) as lake, fault_server() as server:
        for kind in kinds:
            for seed in seeds:
                yield play(lake, server, kind, seed, ticks=ticks, settings=settings)


def main() -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="the first seed")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds per kind")
    add_keep_option(parser)
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    done: list[Run] = []
    with scratch_settings() as settings:
        for run in runs(KINDS, seeds, settings=settings, ticks=TICKS):
            done.append(run)
            print(f"{run.kind}, seed {run.seed}: {'; '.join(run.wrong) or 'survived'}", flush=True)
    return conclude(_verdict(done, arguments), keep=arguments.keep)


def _verdict(done: Sequence[Run], arguments: argparse.Namespace) -> Verdict:
    rows = []
    for kind in KINDS:
        ours = [run for run in done if run.kind == kind]
        survived = sum(not run.wrong for run in ours)
        requests, played = sum(run.requests for run in ours), sum(run.played for run in ours)
        rows.append(f"| {kind} | {requests:,} | {played or 'in the records'} | {survived} of {len(ours)} |")
    return Verdict(
        name="faults",
        title="A source that fails",
        command=f"python -m tests.reliability.faults --seed {arguments.seed} --seeds {arguments.seeds}",
        held=sum(not run.wrong for run in done),
        tried=len(done),
        lines=[
            f"{len(KINDS)} kinds of fault, {arguments.seeds} seeds each. Two feeds that live are pulled by {TICKS} "
            "ticks while a third to nearly all requests fail; then the faults end and one night reads back. Survived "
            "means: the raw tables equal the truth taken in whole, nothing is stored that the source never showed, "
            "nothing twice, and read = loaded + duplicate + quarantined in every batch.",
            "",
            "| Fault | Requests | Faults met | Survived |",
            "|---|---|---|---|",
            *rows,
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
