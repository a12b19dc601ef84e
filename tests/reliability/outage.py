"""Days without receiver and pulls, then a restart: is anything missing?

    python -m tests.reliability.outage --seed 7 --days 3 [--keep]

Two feeds live. For a day they are pulled every hour and each session's webhook is taken in; then nothing of ours runs
for some days. The sender goes on trying for 27 hours and a half, so when we come back it delivers the webhooks of the
last hours, shuffled and some of them twice; older ones it has given up. Then one tick of the fast lane runs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from assets.ingest.budget import Budget
from assets.ingest.messages import take_messages
from assets.ingest.pull import FEEDS
from assets.ingest.rails import RailsClient
from assets.ingest.tries import try_feed
from data.clock import Clock
from data.contracts import CONTRACTS, Kind
from data.lake.writer import LakeWriter, open_writer
from data.landing import Drop, Landing
from data.settings import Settings
from tests.emptying import empty
from tests.reliability.faults.kinds import Script
from tests.reliability.faults.run import final_digests, golden, inventions, unaccounted
from tests.reliability.faults.server import TOKEN, Source, fault_server
from tests.reliability.faults.truth import (
    START,
    TICK,
    Change,
    Truth,
    calls_truth,
    sessions_truth,
    versions_of,
)
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.scratch import Hands, scratch_settings

DAY = timedelta(days=1)
SENDER_TRIES_FOR = timedelta(hours=27, minutes=30)


class Deployed:
    """A deployment's way in: pulls and messages, by a clock that is set by hand."""

    def __init__(self, lake: LakeWriter, settings: Settings, landing: Landing, clock: Hands) -> None:
        self.lake, self.settings, self.landing, self.clock = lake, settings, landing, clock

    def tick(self) -> list[str]:
        """Do what the fast lane does first: take messages in, then pull. Returns how the pulls ended."""
        take_messages(self.lake, self.landing, self.settings, clock=self.clock)
        return [self._try(kind) for kind in ("sessions", "inbound_calls")]

    def receive(self, change: Change, *, number: int) -> None:
        """Store the webhook of one change, as the receiver does."""
        record = change.record
        body = {"type": "session.completed", "timestamp": record["updated_at"], "data": record}
        name = f"msg_{record['session_id']}_{number}"
        self.landing.store(Drop(name, self.clock.now(), json.dumps(body).encode()))

    def _try(self, kind: Kind) -> str:
        def client(settings: Settings, clock: Clock, budget: Budget) -> RailsClient:
            return RailsClient(settings, clock, budget=budget, machine=self.clock)

        return try_feed(
            self.lake, FEEDS[kind], settings=self.settings, clock=self.clock,
            budget=Budget(60, wait=lambda _: None), client_of=client,
        ).outcome  # fmt: skip


def outage(settings: Settings, *, seed: int, days: int) -> tuple[int, int, list[str]]:
    """Live a day, be away for some, come back. Returns how many records are there, of how many, and what is wrong."""
    ticks = int((days + 1) * DAY / TICK)
    truths: dict[Kind, Truth] = {
        "sessions": sessions_truth(seed, ticks=ticks), "inbound_calls": calls_truth(seed, ticks=ticks)
    }  # fmt: skip
    clock = Hands(START)
    with open_writer(settings) as lake, fault_server() as server:
        expected = golden(lake, truths)
        empty(lake)
        server.source = Source(truths, Script("none", seed, is_calm=True), clock.now)
        asking = settings.model_copy(update={"rails_url": server.url, "rails_token": SecretStr(TOKEN)})
        landing = Landing(Path(tempfile.mkdtemp(prefix="landing-", dir=settings.state)))
        ours = Deployed(lake, asking, landing, clock)
        wrong = _live(ours, truths["sessions"])
        stored_before = lake.read("select count(*) from lake.raw_marketplace.sessions").item()
        clock.instant = START + (days + 1) * DAY + TICK
        _come_back(ours, truths["sessions"], seed)
        wrong += [f"the tick after the outage ended {one}" for one in ours.tick() if one != "ok"]
        if stored_before >= lake.read("select count(*) from lake.raw_marketplace.sessions").item():
            wrong.append("the outage missed nothing, so nothing was shown")
        wrong += inventions(lake, truths) + unaccounted(lake)
        if final_digests(lake, truths) != expected:
            wrong.append("the tables differ from the truth taken in whole")
        finals = {kind: versions_of(kind, truth.final()) for kind, truth in truths.items()}
        there = sum(len(_stored(lake, kind) & versions) for kind, versions in finals.items())
        return there, sum(map(len, finals.values())), wrong


def _live(ours: Deployed, sessions: Truth) -> list[str]:
    """Live a day: webhooks as they happen, a pull every hour."""
    wrong, told = [], START
    while ours.clock.instant < START + DAY:
        for number, change in enumerate(sessions.changes):
            if told < change.shown_from <= ours.clock.now():
                ours.receive(change, number=number)
        told = ours.clock.now()
        wrong += [f"a tick before the outage ended {one}" for one in ours.tick() if one != "ok"]
        ours.clock.instant += timedelta(hours=1)
    return wrong


def _come_back(ours: Deployed, sessions: Truth, seed: int) -> None:
    """Let the sender deliver what it has not given up: shuffled, and some of it twice."""
    since: datetime = ours.clock.now() - SENDER_TRIES_FOR
    waiting = [
        (number, change)
        for number, change in enumerate(sessions.changes)
        if since < change.shown_from <= ours.clock.now()
    ]
    generator = random.Random(seed)
    deliveries = waiting + generator.choices(waiting, k=len(waiting) // 3)
    generator.shuffle(deliveries)
    for number, change in deliveries:
        ours.receive(change, number=number)


def _stored(lake: LakeWriter, kind: Kind) -> set[tuple[str, str]]:
    rows = lake.read(f"select {CONTRACTS[kind].key}, version_hash from lake.raw_marketplace.{kind}").rows()
    return {(identifier, version) for identifier, version in rows}


def main() -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.outage", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--days", type=int, default=3)
    add_keep_option(parser)
    arguments = parser.parse_args()
    with scratch_settings() as settings:
        there, records, wrong = outage(settings, seed=arguments.seed, days=arguments.days)
    for one in wrong:
        print(one)
    verdict = Verdict(
        name="outage",
        title="Days without receiver and pulls",
        command=f"python -m tests.reliability.outage --seed {arguments.seed} --days {arguments.days}",
        # What is wrong otherwise counts as one that did not hold.
        held=there,
        tried=records + len(wrong),
        lines=[
            f"{arguments.days} days in which nothing of ours ran, then late webhooks and one tick of pulls: of "
            f"{records:,} sessions and calls, {there:,} are there in their last version.",
        ],
    )
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
