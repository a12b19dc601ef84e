"""Resumes the pull of a feed from every state in which a kill can leave it, and compares the tables with the truth.

    python -m tests.reliability.resume --seed 7 --pages 50 [--keep]

One pull commits after each page; what a kill between two commits leaves is the state after the first of them. From
each of these states the pull is resumed on trial, then undone: as it was left, with an older cursor than the newest,
and with a cursor that lies in the future. Twice: with changes that all differ in time, and with equal times across the
borders of pages.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from unittest.mock import patch

from pydantic import SecretStr

from assets.ingest import pull as pull_module
from assets.ingest.budget import Budget
from assets.ingest.pull import FEEDS, SOURCE, pull
from assets.ingest.rails import RailsClient
from data.clock import naive_utc
from data.lake.cursors import cursor_of, set_cursor
from data.lake.writer import LakeWriter, open_writer
from data.settings import Settings
from tests.emptying import empty
from tests.reliability.faults.kinds import Script
from tests.reliability.faults.run import final_digests, golden
from tests.reliability.faults.server import TOKEN, FaultServer, Source, fault_server
from tests.reliability.faults.truth import START, Change, Truth, stamp
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.scratch import Hands, scratch_settings

PAGE_SIZE = 10
KIND = "inbound_calls"
HANDS = Hands(START)
FAR = timedelta(days=900)
SHAPES: Mapping[str, int] = {"all times differ": 1, "equal times over the borders of pages": 4}
"""How many records in a row share one time of change: four does not divide a page of ten."""
ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Resumed:
    """One state, one way to resume it, and whether the tables were golden afterwards."""

    shape: str
    pages_committed: int
    way: str
    is_golden: bool


class _Undone(Exception):
    """Ends what is only tried."""


@contextmanager
def only_tried(lake: LakeWriter) -> Iterator[None]:
    """Undo at the end whatever is stored inside."""
    with suppress(_Undone), lake.transaction() as connection:
        with patch.object(LakeWriter, "transaction", lambda _: nullcontext(connection)):
            yield
        raise _Undone


def feed(seed: int, *, pages: int, block: int) -> Truth:
    """Return a feed of so many pages, seeded; block records in a row share one time of change."""
    generator = random.Random(f"resume {seed} {block}")
    moments = sorted(
        START - timedelta(seconds=generator.uniform(60, 500_000)) for _ in range(pages * PAGE_SIZE)
    )
    changes = [
        Change(
            START - timedelta(days=30),
            {
                "call_id": f"call_{number:05}",
                "customer_id": f"c{number % 17}",
                "call_date": stamp(moments[number]),
                "reason_code": "billing",
                "updated_at": stamp(moments[number // block * block]),
            },
        )
        for number in range(pages * PAGE_SIZE)
    ]
    return Truth(KIND, changes)


def resume_from_everywhere(
    lake: LakeWriter, server: FaultServer, settings: Settings, *, seed: int, pages: int, shape: str
) -> list[Resumed]:
    """Pull once, a commit for each page, and resume on trial from before the first commit and after each."""
    truth = feed(seed, pages=pages, block=SHAPES[shape])
    truths = {KIND: truth}
    expected = golden(lake, truths)  # type: ignore[arg-type]
    empty(lake)
    script = Script("none", seed, is_calm=True)
    server.source = Source(truths, script, HANDS.now)  # type: ignore[arg-type]
    results: list[Resumed] = []
    cursors: list[datetime] = []
    generator = random.Random(seed)

    def try_here(_: int = 0) -> None:
        newest = cursor_of(lake, source=SOURCE, kind=KIND)
        ways: dict[str, Callable[[], None]] = {"as it was left": lambda: None}
        if newest is not None:
            cursors.append(newest)
            older = generator.choice(cursors)
            ways["with an older cursor"] = lambda: _put_cursor(lake, older)
            ways["with a cursor in the future"] = lambda: _put_cursor(lake, naive_utc(START + FAR))
        for way, prepare in ways.items():
            with only_tried(lake), patch.object(pull_module, "RECORDS_PER_BATCH", ROWS_AT_ONCE):
                prepare()
                _pull(lake, settings)
                is_golden = final_digests(lake, truths) == expected  # type: ignore[arg-type]
                results.append(Resumed(shape, max(0, len(cursors)), way, is_golden))

    try_here()
    with patch.object(pull_module, "RECORDS_PER_BATCH", PAGE_SIZE):
        _pull(lake, settings, progress=try_here)
    if final_digests(lake, truths) != expected:  # type: ignore[arg-type]
        results.append(Resumed(shape, pages, "the undisturbed pull itself", is_golden=False))
    return results


def _put_cursor(lake: LakeWriter, cursor_at: datetime) -> None:
    set_cursor(
        lake, source=SOURCE, kind=KIND, cursor_at=cursor_at.replace(tzinfo=START.tzinfo),
        saved_at=START + timedelta(minutes=1),
    )  # fmt: skip


def _pull(lake: LakeWriter, settings: Settings, *, progress: Callable[[int], None] = lambda _: None) -> None:
    with RailsClient(settings, HANDS, budget=Budget(wait=lambda _: None), machine=HANDS) as client:
        pull(lake, client, FEEDS[KIND], clock=HANDS, time_zone="UTC", progress=progress)


def resume_all(settings: Settings, *, seed: int, pages: int) -> list[Resumed]:
    """Resume both shapes of the feed from all of their states."""
    with open_writer(settings) as lake, fault_server() as server:
        asking = settings.model_copy(
            update={"rails_url": server.url, "rails_token": SecretStr(TOKEN), "rails_page_size": PAGE_SIZE}
        )
        return [
            one
            for shape in SHAPES
            for one in resume_from_everywhere(lake, server, asking, seed=seed, pages=pages, shape=shape)
        ]


def main() -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.resume", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pages", type=int, default=50)
    add_keep_option(parser)
    arguments = parser.parse_args()
    with scratch_settings() as settings:
        results = resume_all(settings, seed=arguments.seed, pages=arguments.pages)
    for one in results:
        if not one.is_golden:
            print(f"not golden: {one}")
    states = len({(one.shape, one.pages_committed) for one in results})
    rows = [
        f"| {shape} | {way} | {sum(one.is_golden for one in ours)} of {len(ours)} |"
        for shape in SHAPES
        for way in dict.fromkeys(one.way for one in results)
        if (ours := [one for one in results if (one.shape, one.way) == (shape, way)])
    ]
    verdict = Verdict(
        name="resume",
        title="A pull that is killed between two commits",
        command=f"python -m tests.reliability.resume --seed {arguments.seed} --pages {arguments.pages}",
        held=sum(one.is_golden for one in results),
        tried=len(results),
        lines=[
            f"A feed of {arguments.pages} pages in two shapes, resumed from each of the {states} states in which a "
            "kill can leave it; the tables equal the truth taken in whole.",
            "",
            "| Feed | Resumed | Golden |",
            "|---|---|---|",
            *rows,
        ],
    )
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
