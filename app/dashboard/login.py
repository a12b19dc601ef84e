"""Signing in and out: plain HTML pages served beside Streamlit, and the guard in front of everything else.

What belongs here: forms, cookies, CSRF, headers. What does not: judging a password (data.operations.users),
judging a cookie (identity.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from anyio import to_thread
from itsdangerous import BadData, URLSafeSerializer
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.dashboard import identity
from app.dashboard.palette import palette
from data.clock import Clock
from data.operations import users
from data.operations.store import Operations
from data.settings import Settings

FORM_COOKIE = "chalkline_form"
LARGEST_FORM = 16_384
STALE_FORM = "This page was open for too long. Send it again."


@dataclass(frozen=True)
class Gate:
    """What the pages of this module need: handed in, so that tests can hand in their own."""

    settings: Settings
    operations: Callable[[], Operations]
    clock: Clock

    @property
    def is_secure(self) -> bool:
        """Return whether cookies may travel over https only."""
        return self.settings.public_url.startswith("https://")

    def person(self, cookie: str | None) -> identity.Person | None:
        """Return the person behind a cookie."""
        return identity.person_behind(
            cookie, settings=self.settings, operations=self.operations(), now=self.clock.now()
        )


def routes(gate: Gate) -> list[Route]:
    """Return the pages for signing in, setting a password and signing out."""

    async def sign_in(request: Request) -> Response:
        return await (_show_login(gate, request) if request.method == "GET" else _sign_in(gate, request))

    async def set_up(request: Request) -> Response:
        if request.method == "GET":
            return _page(gate, request, "setup.html", token=request.query_params.get("token", ""))
        return await _set_up(gate, request)

    async def sign_out(request: Request) -> Response:
        return await _sign_out(gate, request)

    return [
        Route("/login", sign_in, methods=["GET", "POST"]),
        Route("/setup", set_up, methods=["GET", "POST"]),
        Route("/logout", sign_out, methods=["GET"]),
    ]


async def _show_login(gate: Gate, request: Request) -> Response:
    target = safe_next(request.query_params.get("next"))
    if await to_thread.run_sync(gate.person, request.cookies.get(identity.COOKIE)):
        return RedirectResponse(target, status_code=303)
    return _page(gate, request, "login.html", next=target)


async def _sign_in(gate: Gate, request: Request) -> Response:
    form = await _form(request)
    again = {"next": safe_next(form.get("next")), "email": form.get("email", "")}
    if not _is_our_form(gate, request, form):
        return _page(gate, request, "login.html", status=403, problem=STALE_FORM, **again)
    address = request.client.host if request.client else "unknown"
    outcome = await to_thread.run_sync(_verify, gate, form, address)
    if isinstance(outcome, users.Refused):
        return _page(gate, request, "login.html", status=401, problem=outcome.text, **again)
    response = RedirectResponse(again["next"], status_code=303)
    _set_cookie(gate, response, outcome)
    return response


async def _set_up(gate: Gate, request: Request) -> Response:
    form = await _form(request)
    token = form.get("token", "")
    if not _is_our_form(gate, request, form):
        return _page(gate, request, "setup.html", status=403, problem=STALE_FORM, token=token)
    if form.get("password") != form.get("password_again"):
        problem = "The two passwords are not the same."
        return _page(gate, request, "setup.html", status=400, problem=problem, token=token)
    try:
        cookie = await to_thread.run_sync(_set_password, gate, token, form.get("password", ""))
    except (PermissionError, ValueError) as error:
        text = str(error)
        problem = f"{text[:1].upper()}{text[1:]}."
        return _page(gate, request, "setup.html", status=400, problem=problem, token=token)
    response = RedirectResponse("/", status_code=303)
    _set_cookie(gate, response, cookie)
    return response


async def _sign_out(gate: Gate, request: Request) -> Response:
    person = await to_thread.run_sync(gate.person, request.cookies.get(identity.COOKIE))
    if person is not None:
        token = request.query_params.get("token", "")
        expected = identity.sign_out_token(gate.settings, person)
        if not secrets.compare_digest(token.encode(), expected.encode()):
            return RedirectResponse("/", status_code=303)
        await to_thread.run_sync(_end_sessions, gate, person)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(identity.COOKIE)
    return response


def safe_next(target: str | None) -> str:
    """Return a path of this site to go to after signing in; anything else becomes the start page."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return "/"
    parts = urlsplit(target)
    is_plain = not parts.scheme and not parts.netloc and target.isprintable()
    return target if is_plain and parts.path not in {"/login", "/logout", "/setup"} else "/"


def login_address(path: str, query: str) -> str:
    """Return the address of the sign-in page that leads back to where the visitor wanted to go."""
    wanted = safe_next(f"{path}?{query}" if query else path)
    return "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}"


def _verify(gate: Gate, form: dict[str, str], address: str) -> str | users.Refused:
    now = gate.clock.now()
    with gate.operations().session() as session:
        outcome = users.verify(
            session,
            email=form.get("email", ""),
            password=form.get("password", ""),
            address=address,
            now=now,
        )
        if isinstance(outcome, users.Refused):
            return outcome
        return identity.make_cookie(gate.settings, outcome, now=now)


def _set_password(gate: Gate, token: str, password: str) -> str:
    now = gate.clock.now()
    with gate.operations().session() as session:
        user = users.set_password(session, token=token, password=password, now=now)
        session.flush()
        return identity.make_cookie(gate.settings, user, now=now)


def _end_sessions(gate: Gate, person: identity.Person) -> None:
    with gate.operations().session() as session:
        users.end_sessions(session, person.user_id, actor=person.actor, now=gate.clock.now())


def _set_cookie(gate: Gate, response: Response, value: str) -> None:
    response.set_cookie(
        identity.COOKIE,
        value,
        max_age=int(identity.LIFETIME.total_seconds()),
        httponly=True,
        secure=gate.is_secure,
        samesite="lax",
        path="/",
    )
    response.delete_cookie(FORM_COOKIE)


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return {}
    return dict(parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True))


def _is_our_form(gate: Gate, request: Request, form: dict[str, str]) -> bool:
    origin = request.headers.get("origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.headers.get("host"):
        return False
    try:
        expected = _form_signer(gate).loads(form.get("csrf", ""))
    except BadData:
        return False
    held = request.cookies.get(FORM_COOKIE, "")
    return bool(held) and secrets.compare_digest(str(expected).encode(), held.encode())


def _page(gate: Gate, request: Request, template: str, *, status: int = 200, **values: str) -> Response:
    # The same nonce for all tabs of a browser: a second tab must not make the first one's form stale.
    nonce = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    html = (
        _templates()
        .get_template(template)
        .render(
            csrf=_form_signer(gate).dumps(nonce),
            colour=palette(),
            font=_font_address(),
            shortest=users.SHORTEST_PASSWORD,
            **values,
        )
    )
    response = HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        FORM_COOKIE, nonce, max_age=3600, httponly=True, secure=gate.is_secure, samesite="lax", path="/"
    )
    return response


def _form_signer(gate: Gate) -> URLSafeSerializer:
    return URLSafeSerializer(identity.secret_of(gate.settings), salt="chalkline.form")


@lru_cache(maxsize=1)
def _templates() -> Environment:
    folder = Path(__file__).with_name("login_pages")
    return Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape())


@lru_cache(maxsize=1)
def _font_address() -> str:
    import streamlit

    folder = Path(streamlit.__file__).parent / "static" / "static" / "media"
    found = sorted(folder.glob("SourceSansVF-Upright*.woff2"))
    return f"/static/media/{found[0].name}" if found else ""
