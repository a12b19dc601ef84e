"""Piece `pull`: what validation, storage and exact paging cost on top of fetching and parsing the same pages."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import sqlalchemy as sa

from assets.ingest.pull import FEEDS, Account, pull
from assets.ingest.rails import Page, RailsClient
from bench.measure import Figure, in_turns, timed
from bench.states import ANCHOR, MovingClock, State, ensure_world, free_port, marketplaces
from data.contracts import Kind
from data.lake.writer import LakeWriter, open_writer
from data.postgres import engine_for, open_postgres
from data.settings import Settings

if TYPE_CHECKING:
    from bench.__main__ import Bench


class RecordingTransport(httpx.BaseTransport):
    """Asks as usual and keeps the addresses, so that the yardstick asks for exactly the same pages."""

    def __init__(self) -> None:
        self._http = httpx.HTTPTransport()
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._http.handle_request(request)

    def close(self) -> None:
        self._http.close()


class TimedClient(RailsClient):
    """The client of the product, with a stop-watch around its waiting for pages."""

    seconds = 0.0

    def _page(self, kind: Kind, since: object, number: int) -> Page:
        started = time.perf_counter()
        page = super()._page(kind, since, number)  # type: ignore[arg-type]
        self.seconds += time.perf_counter() - started
        return page


def measure(bench: Bench) -> list[Figure]:
    """Compare the pull of all sessions into a fresh lake with the same pages fetched and parsed only."""
    state, port = State(bench.root, bench.profile), free_port()
    bench.tell(f"world {state.profile}")
    ensure_world(state)
    # A lake of its own, emptied before each pull: the one that other pieces measure stays as it is.
    target = State(bench.root, f"{state.profile}-pull").settings(port=port)
    target.state.mkdir(parents=True, exist_ok=True)
    with marketplaces({state: port}, at=ANCHOR):
        bench.tell("one pull to learn its pages")
        requests, account = _learn_pages(target)
        fetching: list[float] = []

        def ours() -> float:
            client = TimedClient(target, MovingClock(ANCHOR))
            with fresh_lake(target) as lake, client:
                seconds = timed(lambda: _pull(lake, client, target))
            fetching.append(client.seconds)
            return seconds

        def theirs() -> float:
            return timed(lambda: _fetch_and_parse(requests))

        theirs()
        product, yardstick = in_turns(
            ours, theirs, pairs=bench.pairs, tell=bench.tell, print_line=bench.print_line
        )
    rest = statistics.median(product) - statistics.median(fetching)
    rows = account.total("read")
    return [
        Figure(
            piece="pull",
            name="pull of all sessions into a fresh lake",
            product=f"RailsClient, contracts, intake: {account.total('loaded'):,} sessions",
            yardstick=f"httpx and json: the same {len(requests):,} pages",
            product_seconds=product,
            yardstick_seconds=yardstick,
            notes=[
                f"{rows / statistics.median(product):,.0f} records a second; fetching and parsing "
                f"{statistics.median(fetching):.1f} s, paging checks, validation and storage {rest:.1f} s "
                f"({1e6 * rest / rows:,.0f} µs a record)"
            ],
        )
    ]


def _pull(lake: LakeWriter, client: RailsClient, settings: Settings) -> Account:
    return pull(
        lake,
        client,
        FEEDS["sessions"],
        clock=MovingClock(ANCHOR),
        time_zone=settings.business_time_zone,
    )


def _learn_pages(settings: Settings) -> tuple[list[httpx.Request], Account]:
    transport = RecordingTransport()
    clock = MovingClock(ANCHOR)
    with fresh_lake(settings) as lake, RailsClient(settings, clock, transport=transport) as client:
        account = _pull(lake, client, settings)
    if not account.total("loaded"):
        raise RuntimeError(f"the marketplace at {settings.rails_url} has no sessions")
    return transport.requests, account


def _fetch_and_parse(requests: list[httpx.Request]) -> None:
    with httpx.Client(headers=requests[0].headers, timeout=30.0, trust_env=False) as client:
        for request in requests:
            json.loads(client.get(request.url).raise_for_status().content)


@contextmanager
def fresh_lake(settings: Settings) -> Iterator[LakeWriter]:
    """Open an empty lake: a new catalogue, and no files."""
    postgres = open_postgres(settings)
    maintenance = engine_for(postgres.base.set(drivername="postgresql+psycopg2"))
    with maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("drop database if exists lake with (force)"))
        connection.execute(sa.text("create database lake"))
    shutil.rmtree(settings.lake_path, ignore_errors=True)
    (settings.state / "tmp").mkdir(exist_ok=True)
    with open_writer(settings) as lake:
        lake.prepare()  # this process has prepared a lake of this address before, and takes it for prepared
        yield lake
