"""One run: a feed is pulled by ticks while its source fails, then the faults end and the night reads back.

What belongs here: driving the product and comparing with the truth. What does not: making faults (kinds.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
from pydantic import SecretStr

from assets.ingest.budget import Budget
from assets.ingest.pull import FEEDS
from assets.ingest.rails import RailsClient
from assets.ingest.tries import PROBE_EVERY, Tried, try_feed
from data.clock import Clock
from data.contracts import CONTRACTS, Kind
from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter
from data.settings import Settings
from tests.emptying import empty
from tests.reliability.digests import digest
from tests.reliability.faults.kinds import (
    EXPIRED,
    NEEDS_A_SHORT_WAIT,
    ROAD_FAULTS,
    WORLD_FAULTS,
    Script,
)
from tests.reliability.faults.server import TOKEN, FaultServer, RoadToServer, Source
from tests.reliability.faults.truth import (
    START,
    TICK,
    Oddities,
    Truth,
    calls_truth,
    sessions_truth,
    versions_of,
)
from tests.reliability.scratch import Hands

OF_THE_BATCH = ("source", "batch_id", "ingested_at")
"""Columns that say how a row came, not what it says."""
REST = timedelta(hours=2)
"""From the last tick to the night: longer than any pause that the client takes by itself, or is asked for here."""


@dataclass(frozen=True)
class Run:
    """One fault kind with one seed: what was played, and what was wrong afterwards: nothing, if it was survived."""

    kind: str
    seed: int
    requests: int
    played: int
    outcomes: tuple[str, ...]
    wrong: tuple[str, ...] = field(default=())


def truths_of(kind: str, seed: int, *, ticks: int) -> dict[Kind, Truth]:
    """Return the truth behind a run: of a seed always the same, but for kinds that are about the source itself."""
    oddities = WORLD_FAULTS.get(kind, Oddities())
    return {
        "inbound_calls": calls_truth(seed, ticks=ticks, oddities=oddities),
        "sessions": sessions_truth(seed, ticks=ticks, oddities=oddities),
    }


def golden(lake: LakeWriter, truths: Mapping[Kind, Truth]) -> dict[str, str]:
    """Return the digests of the truth, taken in whole and without a source that could fail."""
    empty(lake)
    for kind, truth in truths.items():
        take_in(lake, kind, truth.final(), Arrival("truth", START, START.date()))
    return final_digests(lake, truths)


def final_digests(lake: LakeWriter, truths: Mapping[Kind, Truth]) -> dict[str, str]:
    """Return digests of each feed's newest versions, of their personal texts, and of all calls: they never change."""
    found = {}
    for kind, truth in truths.items():
        key = CONTRACTS[kind].key
        rows = [{key: one, "version_hash": version} for one, version in versions_of(kind, truth.final())]
        lake.connection.register("final_versions", pl.DataFrame(rows))
        found[f"{kind}, newest versions"] = _digest(lake, f"lake.raw_marketplace.{kind}", key)
        if CONTRACTS[kind].personal:
            found[f"{kind}, personal texts"] = _digest(lake, f"pii.{kind}", key)
        lake.connection.unregister("final_versions")
        if kind == "inbound_calls":
            found[f"{kind}, all rows"] = _digest(lake, f"lake.raw_marketplace.{kind}")
    return found


def _digest(lake: LakeWriter, relation: str, key: str | None = None) -> str:
    described = lake.read(f"describe {relation}")
    columns = [
        (name, str(type_))
        for name, type_ in zip(described["column_name"], described["column_type"], strict=True)
        if name not in OF_THE_BATCH
    ]
    newest = f"(from {relation} semi join final_versions using ({key}, version_hash))"
    return digest(lake.read, newest if key else relation, columns)


def play(
    lake: LakeWriter, server: FaultServer, kind: str, seed: int, *, ticks: int, settings: Settings
) -> Run:
    """Pull through the faults of one kind, end them, let the night read back, and compare with the truth."""
    truths = truths_of(kind, seed, ticks=ticks)
    expected = golden(lake, truths)
    empty(lake)
    script, hands = Script(kind, seed), Hands(START)
    server.source = Source(truths, script, hands.now, ahead=_clock_of(kind, ticks))
    patience = 0.25 if kind in NEEDS_A_SHORT_WAIT else 10.0
    settings = settings.model_copy(
        update={
            "rails_url": server.url, "rails_token": SecretStr(TOKEN), "rails_page_size": 7,
            "rails_body_max_bytes": 1_000_000, "rails_timeout_seconds": patience,
        }
    )  # fmt: skip
    tried = [
        _try(lake, server, script, feed, hands, settings)
        for _ in range(ticks)
        for feed in (*truths, "next")
        if feed != "next" or _move(hands, TICK)
    ]
    asked_while_failing = script.requests
    script.is_calm = True
    _move(hands, REST)
    settings = settings.model_copy(update={"rails_timeout_seconds": 10.0})
    nights = [
        _try(lake, server, script, feed, hands, settings, is_night=True, released_at=hands.now())
        for feed in truths
    ]
    outcomes = tuple(one.outcome for one in tried)
    return Run(
        kind,
        seed,
        script.requests,
        script.played,
        outcomes,
        tuple(
            [
                *_not_played(script, kind),
                *_storms(kind, outcomes, asked_while_failing, ticks),
                *[f"the night ended {night.outcome}: {night.attempt and night.attempt.reason}" for night in nights
                  if night.outcome != "ok"],
                *_differences(expected, final_digests(lake, truths)),
                *inventions(lake, truths),
                *unaccounted(lake),
            ]
        ),
    )  # fmt: skip


def _try(
    lake: LakeWriter,
    server: FaultServer,
    script: Script,
    feed: str,
    hands: Hands,
    settings: Settings,
    *,
    is_night: bool = False,
    released_at: datetime | None = None,
) -> Tried:
    def client(given: Settings, clock: Clock, budget: Budget) -> RailsClient:
        return RailsClient(given, clock, budget=budget, machine=hands, transport=RoadToServer(server, script))

    return try_feed(
        lake,
        FEEDS[feed],  # type: ignore[index]
        settings=settings,
        clock=hands,
        budget=Budget(60, wait=lambda _: None),
        is_night=is_night,
        released_at=released_at,
        client_of=client,
    )


def _move(hands: Hands, by: timedelta) -> bool:
    hands.instant += by
    return False


def _clock_of(kind: str, ticks: int) -> Callable[[datetime], timedelta]:
    ahead = WORLD_FAULTS.get(kind, Oddities()).clock_ahead
    return lambda now: ahead if 1 / 3 <= (now - START) / (ticks * TICK) < 2 / 3 else timedelta(0)


def _not_played(script: Script, kind: str) -> list[str]:
    return [] if script.played or kind in WORLD_FAULTS else ["the fault was never met"]


def _storms(kind: str, outcomes: tuple[str, ...], requests: int, ticks: int) -> list[str]:
    """A source that refuses for good is asked once, and once a day; no source is asked without end."""
    wrong = []
    if kind == EXPIRED:
        refused = sum(outcome in ("permanent", "held") for outcome in outcomes)
        allowed = 2 * (1 + (ticks * TICK) // PROBE_EVERY)
        if not 1 <= refused <= allowed:
            wrong.append(f"refused for good {refused} times, {allowed} are allowed")
    if kind in ROAD_FAULTS and requests > 100 * ticks:
        wrong.append(f"{requests} requests in {ticks} ticks")
    return wrong


def _differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {found.get(name)} instead of {one}"
        for name, one in expected.items()
        if found.get(name) != one
    ]


def inventions(lake: LakeWriter, truths: Mapping[Kind, Truth]) -> list[str]:
    """Return what is stored though the source never showed it, or is stored twice."""
    wrong = []
    for kind, truth in truths.items():
        rows = lake.read(
            f"select {CONTRACTS[kind].key}, version_hash from lake.raw_marketplace.{kind}"
        ).rows()
        if len(rows) != len(set(rows)):
            wrong.append(f"{kind}: {len(rows) - len(set(rows))} versions are stored twice")
        if invented := set(rows) - truth.versions():
            wrong.append(f"{kind}: {len(invented)} versions that the source never showed")
    return wrong


def unaccounted(lake: LakeWriter) -> list[str]:
    """Return batches that do not add up, and tables that do not hold what the batches say."""
    broken = lake.read(
        "select count(*) as n from lake.raw_quality.ingestion_batches "
        "where read_count != loaded_count + duplicate_count + quarantined_count or quarantined_count > 0"
    ).item()
    wrong = [f"{broken} batches do not add up"] if broken else []
    loaded = dict(
        lake.read(
            "select kind, sum(loaded_count) from lake.raw_quality.ingestion_batches group by kind"
        ).iter_rows()
    )
    for kind, count in loaded.items():
        rows = lake.read(f"select count(*) from lake.raw_marketplace.{kind}").item()
        if rows != count:
            wrong.append(f"{kind}: {rows} rows, the batches say {count}")
    return wrong
