"""The HTTP face: a REST API in the habits of Rails. Listing, paging, tokens, limits; no simulation here."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from app.mock_rails.clock import Clock, micros
from app.mock_rails.config import Config, parse_instant
from app.mock_rails.json_shapes import to_json, to_records
from app.mock_rails.ledger import Ledger
from app.mock_rails.state import IDS, MOMENTS, state_at
from app.mock_rails.webhooks import Herald
from app.mock_rails.world.build import World

log = logging.getLogger("mock_rails")
PER_PAGE, MAX_PER_PAGE = 100, 500
UP_PAGE = '<!DOCTYPE html><html><body style="background-color: green"></body></html>'


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, errors: dict[str, list[str]], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, errors)
        self.status, self.errors, self.headers = status, errors, headers or {}


class Limiter:
    """At most so many requests per token and minute, counted in fixed windows."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, token: str, now: float) -> None:
        """Count one request; raises a 429 refusal with Retry-After when the window is used up."""
        started, used = self._windows.get(token, (now, 0))
        if now - started >= 60:
            started, used = now, 0
        if used >= self.per_minute:
            wait = max(1, int(60 - (now - started) + 0.999))
            raise Refusal(429, {"base": ["Rate limit exceeded"]}, {"Retry-After": str(wait)})
        self._windows[token] = (started, used + 1)


def token_of(header: str | None) -> str:
    """The token of an Authorization header, `Token token=…` (quoted or not) or `Bearer …`; empty if none."""
    scheme, _, rest = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "token":
        for part in rest.split(","):
            name, _, value = part.strip().partition("=")
            if name == "token":
                return value.strip('"')
    return ""


def _whole(query: Mapping[str, str], name: str, default: int, highest: int | None) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refusal(422, {name: ["must be a positive integer"]})
    if highest is not None and int(text) > highest:
        raise Refusal(422, {name: [f"must be less than or equal to {highest}"]})
    return int(text)


def _since_us(query: Mapping[str, str]) -> int | None:
    text = query.get("updated_since")
    if text is None:
        return None
    try:
        return micros(parse_instant(text.replace(" ", "+")))  # an unescaped + arrives as a blank
    except ValueError:
        raise Refusal(422, {"updated_since": ["is not an ISO 8601 time"]}) from None


def _links(request: Request, page: int, last: int) -> str:
    def link(number: int, name: str) -> str:
        query = {**request.query_params, "page": str(number)}
        return f'<{request.url.replace(query=urlencode(query))}>; rel="{name}"'

    parts = [link(1, "first")]
    if page > 1:
        parts.append(link(min(page - 1, last), "prev"))
    if page < last:
        parts.append(link(page + 1, "next"))
    return ", ".join([*parts, link(last, "last")])


def _body(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        text.encode(), status_code=status, headers=headers, media_type="application/json; charset=utf-8"
    )


def _json(content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return _body(
        json.dumps(content, separators=(",", ":"), ensure_ascii=False), status=status, headers=headers
    )


class Marketplace:
    """A world behind a clock: answers listings and single records."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock = world, clock
        self.ledgers = {kind: Ledger(frame, MOMENTS[kind]) for kind, frame in world.frames.items()}
        dialogues = (world.folder / "dialogues.jsonl").read_text().splitlines()
        self.turns = [one["turns"] for one in map(json.loads, dialogues) if one["kind"] == "labelled"]

    def page(self, kind: str, *, since_us: int | None, page: int, per_page: int) -> tuple[str, int]:
        """The JSON list of one page as it stands now, and how many records there are in all pages."""
        now = self.clock.now()
        listing = self.ledgers[kind].at(micros(now))
        rows = listing.rows if since_us is None else listing.since(since_us)
        wanted = rows[(page - 1) * per_page : page * per_page]
        return to_json(kind, state_at(kind, self.world.frames[kind][wanted], now)), len(rows)

    def one(self, kind: str, record_id: str) -> dict[str, Any] | None:
        """One record as it stands now; None if there is none yet."""
        frame = self.world.frames[kind]
        at = frame[IDS[kind]].search_sorted(record_id)
        if at >= frame.height or frame[IDS[kind]][at] != record_id:
            return None
        found = to_records(kind, state_at(kind, frame[at : at + 1], self.clock.now()))
        return found[0] if found else None

    def transcript(self, session_id: str) -> dict[str, Any] | None:
        """The speaker-labelled turns of a transcribed session."""
        session = self.one("sessions", session_id)
        if session is None or session["transcript_url"] is None:
            return None
        return {"session_id": session_id, "turns": self.turns[crc32(session_id.encode()) % len(self.turns)]}

    def warn_if_running_out(self) -> bool:
        """Say in the log when the pre-generated future ends within two days; keep serving."""
        soon = self.clock.now() > self.world.ends_at - timedelta(days=2)
        if soon:
            log.warning(
                "The world ends at %s; build a newer one to see new sessions.", self.world.ends_at.isoformat()
            )
        return soon


def _routes(app: FastAPI, market: Marketplace, guard: Any) -> None:
    @app.get("/up")
    async def up() -> Response:
        return HTMLResponse(UP_PAGE)

    @app.get("/api/v1/{kind}")
    async def index(kind: str, request: Request) -> Response:
        await guard(request)
        if kind not in IDS:
            raise Refusal(404, {"base": ["Not Found"]})
        query = request.query_params
        page, per_page = _whole(query, "page", 1, None), _whole(query, "per_page", PER_PAGE, MAX_PER_PAGE)
        records, total = market.page(kind, since_us=_since_us(query), page=page, per_page=per_page)
        last = max(1, -(-total // per_page))
        headers = {
            "Link": _links(request, page, last),
            "X-Total": str(total),
            "X-Page": str(page),
            "X-Per-Page": str(per_page),
        }
        return _body(f'{{"{kind}":{records}}}', headers=headers)

    @app.get("/api/v1/{kind}/{record_id}")
    async def show(kind: str, record_id: str, request: Request) -> Response:
        await guard(request)
        record = market.one(kind, record_id) if kind in IDS else None
        if record is None:
            raise Refusal(404, {"base": ["Not Found"]})
        return _json(record)

    @app.get("/transcripts/{session_id}.json")
    async def transcript(session_id: str, request: Request) -> Response:
        await guard(request)
        found = market.transcript(session_id)
        if found is None:
            raise Refusal(404, {"base": ["Not Found"]})
        return _json(found)


async def _watch_the_end(market: Marketplace) -> None:
    while True:
        market.warn_if_running_out()
        await asyncio.sleep(3_600)


def create_app(world: World, *, clock: Clock, config: Config, herald: Herald | None = None) -> FastAPI:
    """The API over a world; with a herald it also fires webhooks while it runs."""
    market, limiter = Marketplace(world, clock), Limiter(config.requests_per_minute)

    async def guard(request: Request) -> None:
        token = token_of(request.headers.get("authorization"))
        if token != config.token:
            challenge = {"WWW-Authenticate": 'Token realm="Application"'}
            raise Refusal(401, {"token": ["is missing or invalid"]}, challenge)
        limiter.take(token, time.monotonic())
        if config.delay_seconds:
            await asyncio.sleep(config.delay_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_watch_the_end(market))]
        if herald is not None:
            tasks.append(asyncio.create_task(herald.run()))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Mock marketplace", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> Response:
        return _json({"errors": refusal.errors}, status=refusal.status, headers=refusal.headers)

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> Response:
        return _json({"errors": {"base": [str(error.detail)]}}, status=error.status_code)

    _routes(app, market, guard)
    return app
