"""The mock or the real marketplace is one variable: a pull asks whatever CHALKLINE_RAILS_URL names."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from pull_builders import CLOCK

from assets.ingest.definitions import INGEST_ASSETS
from assets.ingest.pull import FEEDS
from assets.resources import House
from data.contracts import Kind
from data.lake.writer import LakeWriter
from data.operations.store import Operations
from data.settings import Settings

RECORDS: dict[Kind, dict[str, Any]] = {
    "sessions": {"session_id": "x", "status": "finished", "session_start_time": "2026-02-28T09:00:00Z"},
    "customers": {"customer_id": "x"},
    "tutors": {"tutor_id": "x"},
    "inbound_calls": {"call_id": "x", "call_date": "2026-02-28T09:00:00Z"},
    "reschedules": {
        "reschedule_id": "x",
        "session_id": "x",
        "original_start_time": "2026-02-28T09:00:00Z",
        "rescheduled_at": "2026-02-27T09:00:00Z",
    },
    "engagement_events": {
        "event_id": "x",
        "actor_type": "tutor",
        "actor_id": "x",
        "event_type": "login",
        "occurred_at": "2026-02-28T09:00:00Z",
    },
}


class Marketplace(ThreadingHTTPServer):
    """Some marketplace on a port of its own."""

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.token = token
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """Answers every listing with one record, to whoever has the token."""

    server: Marketplace

    def do_GET(self) -> None:
        kind = urlsplit(self.path).path.removeprefix("/api/v1/")
        self.server.asked.append(kind)
        known = self.headers["authorization"] == f"Token token={self.server.token}"
        record = RECORDS[kind] | {"updated_at": "2026-03-01T09:00:00Z"}  # type: ignore[index]
        body = json.dumps({kind: [record]} if known else {"errors": {}}).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def marketplaces() -> Iterator[Callable[[str], Marketplace]]:
    opened: list[Marketplace] = []

    def start(token: str) -> Marketplace:
        opened.append(Marketplace(token))
        Thread(target=opened[-1].serve_forever, daemon=True).start()
        return opened[-1]

    yield start
    for one in opened:
        one.shutdown()
        one.server_close()


def pull_all(settings: Settings) -> None:
    pulls = [asset for asset in INGEST_ASSETS if asset.key.path[0] == "raw_marketplace"]
    dg.materialize(
        pulls, resources={"house": House(settings, CLOCK)}, instance=dg.DagsterInstance.ephemeral()
    )


def test_every_feed_is_pulled_from_the_address_in_the_environment_and_from_no_other(
    lake: LakeWriter,
    operations: Operations,
    state_settings: Settings,
    marketplaces: Callable[[str], Marketplace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = marketplaces("token-of-one"), marketplaces("token-of-the-other")
    for here, elsewhere in ((one, other), (other, one)):
        monkeypatch.setenv("CHALKLINE_RAILS_URL", here.url)
        monkeypatch.setenv("CHALKLINE_RAILS_TOKEN", here.token)
        asked_before = list(elsewhere.asked)
        pull_all(Settings(state=state_settings.state, database_url=state_settings.database_url))
        assert set(here.asked) == set(FEEDS)
        assert elsewhere.asked == asked_before
    for kind in FEEDS:
        assert lake.read(f"select count(*) as n from lake.raw_marketplace.{kind}").item() == 1, kind
