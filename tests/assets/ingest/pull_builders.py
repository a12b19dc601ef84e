"""A marketplace's API without a socket, with faults to order, for the tests of the pull."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from assets.ingest.budget import Budget
from assets.ingest.pull import FEEDS, Account, pull
from assets.ingest.rails import RailsClient
from data.clock import Clock, FixedClock
from data.contracts import Kind
from data.lake.writer import LakeWriter
from data.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = FixedClock(NOW)
KIND: Kind = "inbound_calls"
Fault = Callable[[httpx.Request, httpx.Response], httpx.Response]


def stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def a_call(number: int, *, updated_at: datetime | str | None = None, **changes: Any) -> dict[str, Any]:
    """One call; by default calls change ten minutes apart, the last ones just before now."""
    changed = updated_at or NOW - timedelta(days=2) + timedelta(minutes=10 * number)
    text = changed if isinstance(changed, str) else stamp(changed)
    return {
        "call_id": f"k{number:05}",
        "customer_id": "c1",
        "call_date": "2026-02-01T09:00:00Z",
        "updated_at": text,
    } | changes


def calls(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [a_call(number, **changes) for number in range(count)]


class FakeRails:
    """Serves rows in order of change. faults: by number of request, from 0; what is not named is answered well."""

    def __init__(self, rows: Iterable[dict[str, Any]], faults: dict[int, Fault] | None = None) -> None:
        self.rows = {row["call_id"]: row for row in rows}
        self.faults = faults or {}
        self.requests: list[httpx.Request] = []
        self.before_answer: Callable[[int], None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = len(self.requests)
        self.requests.append(request)
        self.before_answer(number)
        answer = self.page(request)
        return self.faults[number](request, answer) if number in self.faults else answer

    def page(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        number, size = int(query["page"]), int(query["per_page"])
        since = datetime.fromisoformat(query.get("updated_since", "0001-01-01T00:00:00Z"))
        rows = sorted(self.rows.values(), key=lambda row: (self._changed(row), row["call_id"]))
        wanted = [row for row in rows if self._changed(row) >= since]
        return self.answer(wanted[(number - 1) * size : number * size], has_next=number * size < len(wanted))

    @staticmethod
    def answer(rows: list[Any], *, has_next: bool = False) -> httpx.Response:
        link = '<http://rails/x?page=1>; rel="first"' + (
            ', <http://rails/x?page=2>; rel="next"' if has_next else ""
        )
        return httpx.Response(200, json={KIND: rows}, headers={"Link": link})

    @staticmethod
    def _changed(row: dict[str, Any]) -> datetime:
        try:
            return datetime.fromisoformat(row["updated_at"])
        except (TypeError, ValueError):
            return datetime.min.replace(tzinfo=UTC)


def client_of(
    api: Callable[[httpx.Request], httpx.Response] | httpx.BaseTransport,
    *,
    page_size: int = 10,
    budget: Budget | None = None,
    **changes: Any,
) -> RailsClient:
    settings = Settings(rails_page_size=page_size, rails_token=SecretStr("secret-token"), **changes)
    transport = api if isinstance(api, httpx.BaseTransport) else httpx.MockTransport(api)
    return RailsClient(settings, CLOCK, budget=budget or unhurried(), machine=CLOCK, transport=transport)


def unhurried() -> Budget:
    """All the time in the world, and nobody really waits."""
    return Budget(wait=lambda _: None)


def read_all(client: RailsClient, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """Every record that the pages bring, repeated ones included."""
    return [record for page in client.pages(KIND, updated_since=since) for record in page.records]


def versions(records: Iterable[dict[str, Any]]) -> set[str]:
    return {json.dumps(record, sort_keys=True) for record in records}


def pull_calls(lake: LakeWriter, api: FakeRails, *, clock: Clock = CLOCK, page_size: int = 10) -> Account:
    with client_of(api, page_size=page_size) as client:
        return pull(lake, client, FEEDS[KIND], clock=clock, time_zone="America/New_York")


def stored(lake: LakeWriter) -> list[tuple[Any, ...]]:
    """The table as later tables see it: what was stored, not when or by whom."""
    return lake.read(
        "select call_id, customer_id, called_at, reason_code, updated_at, version_hash "
        "from lake.raw_marketplace.inbound_calls order by all"
    ).rows()


def answering(status: int, **headers: str) -> Fault:
    return lambda _request, _answer: httpx.Response(
        status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def saying(content: bytes, content_type: str = "application/json") -> Fault:
    return lambda _request, _answer: httpx.Response(
        200, content=content, headers={"Content-Type": content_type}
    )


def raising(error: type[httpx.RequestError]) -> Fault:
    def fail(request: httpx.Request, _: httpx.Response) -> httpx.Response:
        raise error("injected", request=request)

    return fail


def cut_short(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
    return httpx.Response(200, content=answer.content[: len(answer.content) // 2], headers=answer.headers)


PASSING: dict[str, Fault] = {
    "429 with seconds": answering(429, retry_after="7"),
    "429 with a date": answering(429, retry_after="Sun, 01 Mar 2026 12:00:30 GMT"),
    "429 without a word": answering(429),
    "408": answering(408),
    "500": answering(500),
    "502": answering(502),
    "503 with seconds": answering(503, retry_after="3"),
    "504": answering(504),
    "no connection": raising(httpx.ConnectError),
    "no connection in time": raising(httpx.ConnectTimeout),
    "no answer in time": raising(httpx.ReadTimeout),
    "reset": raising(httpx.ReadError),
    "hung up": raising(httpx.RemoteProtocolError),
    "broken compression": raising(httpx.DecodingError),
    "truncated JSON": cut_short,
    "HTML with 200": saying(b"<html>Back soon</html>", "text/html"),
    "an empty body": saying(b""),
    "no list": saying(b'{"calls": []}'),
    "a list that is none": saying(b'{"inbound_calls": {}}'),
    "no object": saying(b"[]"),
    "nothing": saying(b"null"),
    "not text": saying(b"\xff\xfe\x00"),
    "nested without end": saying(b"[" * 100_000),
}
