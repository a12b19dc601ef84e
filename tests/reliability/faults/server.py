"""The fault server: one ASGI app on a loopback socket, in the habits of the marketplace's API.

What belongs here: listing, paging, tokens, the Date header, and the ways in which bytes fail to arrive. What does not:
which answer is spoilt (kinds.py).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from data.contracts import Kind
from tests.reliability.faults.kinds import Answer, Asked, Road, Script, link_header
from tests.reliability.faults.truth import Record, Truth

HOST = "127.0.0.1"
TOKEN = "the-right-token"
PATIENCE_SECONDS = 20.0
_open: dict[tuple[str, int], Any] = {}


class _Reachable(H11Protocol):
    """Remembers its connection by the client's address, so that a fault can tear it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        _open[tuple(transport.get_extra_info("peername")[:2])] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for address in [address for address, one in _open.items() if one is self.transport]:
            _open.pop(address, None)


@dataclass
class Source:
    """The source behind the socket: its truth, the script of a run, and the clock by which both go."""

    truths: Mapping[Kind, Truth]
    script: Script
    clock: Callable[[], datetime]
    ahead: Callable[[datetime], timedelta] = lambda _: timedelta(0)
    _previous: dict[str, Answer] = field(default_factory=dict)

    def answer(self, path: str, query: Mapping[str, str], token: str) -> Answer:
        """Return what goes back for one request."""
        kind = path.removeprefix("/api/v1/")
        if token != f"Token token={TOKEN}":
            return Answer(401, {}, b'{"errors":{"token":["is missing or invalid"]}}')
        if kind not in self.truths:
            return Answer(404, {}, b'{"errors":{"base":["Not Found"]}}')
        number, size = int(query["page"]), int(query["per_page"])
        rows = self._since(kind, query.get("updated_since", ""))
        good = _page(kind, rows, number, size)
        fault = self.script.fault()
        given = good
        if fault is not None:
            mixed = sorted(rows, key=lambda record: record["updated_at"][::-1])
            given = fault(
                Asked(
                    page=number,
                    now=self.clock(),
                    good=good,
                    page_at=lambda page: _page(kind, rows, page, size),
                    disordered=lambda: _page(kind, mixed, number, size),
                    previous=self._previous.get(kind),
                )
            )
        self._previous[kind] = good
        return given

    def _since(self, kind: Kind, since: str) -> list[Record]:
        # Stamps are of one form, so their order as text is their order in time.
        return [
            record for record in self.truths[kind].shown_at(self.clock()) if record["updated_at"] >= since
        ]

    def date(self) -> str:
        """Return the Date header: the source's own clock."""
        now = self.clock()
        return format_datetime(now + self.ahead(now), usegmt=True)


def _page(kind: str, rows: list[Record], number: int, size: int) -> Answer:
    wanted = rows[(number - 1) * size : number * size]
    headers = link_header(number, has_next=number * size < len(rows))
    return Answer(200, headers, json.dumps({kind: wanted}).encode())


class FaultServer:
    """The app and its socket. Set source before asking it anything; it serves one source at a time."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        # Nobody listens here: the port is free again.
        with socket.create_server((HOST, 0)) as other:
            self.dead_port: int = other.getsockname()[1]
        self._hole = socket.socket()
        self._hole.bind((HOST, 0))
        self._hole.listen(0)
        self.hole_port: int = self._hole.getsockname()[1]
        self._stuck = [_half_open(self.hole_port) for _ in range(4)]
        config = uvicorn.Config(
            self._app, interface="asgi3", http=_Reachable, log_level="critical", access_log=False,
            date_header=False, server_header=False, lifespan="off", timeout_keep_alive=60,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="fault server", daemon=True
        )

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(PATIENCE_SECONDS)
        for one in (*self._stuck, self._hole, self._socket):
            one.close()

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://{HOST}:{self.port}"

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        assert self.source is not None, "no source is set"
        headers = dict(scope["headers"])
        query = dict(parse_qsl(scope["query_string"].decode()))
        answer = self.source.answer(scope["path"], query, headers.get(b"authorization", b"").decode())
        if answer.wire == "silent":
            await receive()  # the request itself; the next one comes when the client has gone
            await receive()
            return
        await _send(answer, self.source.date(), scope, send)


async def _send(answer: Answer, date: str, scope: Any, send: Any) -> None:
    body, told = answer.body, len(answer.body)
    if answer.wire == "short":
        told += 100
    named = {"date": date, **answer.headers, "content-length": str(told)}
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.wire == "reset":
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(0)
        _tear(_open[tuple(scope["client"])])
        return
    with suppress(RuntimeError):
        await send({"type": "http.response.body", "body": body})


def _tear(transport: Any) -> None:
    # Without lingering, closing is a reset, not a farewell.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _half_open(port: int) -> socket.socket:
    """Take a place in the queue of a socket that accepts nobody, so that the next one waits in vain."""
    caller = socket.socket()
    caller.setblocking(False)
    with suppress(BlockingIOError):
        caller.connect((HOST, port))
    return caller


class RoadToServer(httpx.BaseTransport):
    """The network: real sockets, but some requests end where nobody listens, or where nobody opens."""

    def __init__(self, server: FaultServer, script: Script) -> None:
        self._http = httpx.HTTPTransport()
        self._ports: dict[Road, int] = {"refused": server.dead_port, "no_connection": server.hole_port}
        self._script = script

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on its way."""
        road = self._script.road()
        if road is not None:
            request.url = request.url.copy_with(port=self._ports[road])
        return self._http.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Serve for the length of a block."""
    with FaultServer() as server:
        yield server
