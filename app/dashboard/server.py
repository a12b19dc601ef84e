"""The ASGI application: Streamlit, behind a guard that lets nobody past without a valid sign-in.

What belongs here: assembling, headers, the guard. What does not: pages (views) and forms (login.py).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import to_thread
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette import App

from app.dashboard import identity, login, stores
from data.lake.connection import LakeError
from data.settings import Settings

LOG = logging.getLogger(__name__)
OPEN_PATHS = ("/login", "/setup", "/logout", "/static/", "/_stcore/health", "/favicon.png")
"""What an anonymous visitor may fetch: the sign-in pages and the scripts of the front end, no data."""


def build_app(settings: Settings) -> App:
    """Return the dashboard as one ASGI application. Nothing is opened before the first request."""
    gate = login.Gate(settings=settings, operations=stores.operations, clock=stores.wall_clock())
    return App(
        Path(__file__).with_name("main.py"),
        routes=login.routes(gate),
        middleware=[
            Middleware(SecurityHeaders, is_secure=gate.is_secure),
            Middleware(SignedInOnly, gate=gate),
        ],
        on_script_error=say_calmly,
    )


def say_calmly(error: Exception) -> bool:
    """Log an error of a page whole, and show the visitor one sentence instead of a traceback."""
    LOG.error("a page could not be drawn", exc_info=error)
    reason = f"{error}." if isinstance(error, LakeError) else "The error is in the log of the dashboard."
    st.error(f"This page could not be drawn. {reason} Nothing was changed.")
    return True


class SignedInOnly:
    """Turns anonymous visitors to the sign-in page, and refuses their web sockets and file requests."""

    def __init__(self, app: ASGIApp, gate: login.Gate) -> None:
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is open to all or comes from somebody signed in."""
        if scope["type"] not in {"http", "websocket"} or _is_open(scope["path"]):
            return await self.app(scope, receive, send)
        cookie = HTTPConnection(scope).cookies.get(identity.COOKIE)
        if await to_thread.run_sync(self.gate.person, cookie) is not None:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close", "code": 4401, "reason": "sign in first"})
        if "text/html" not in HTTPConnection(scope).headers.get("accept", ""):
            return await PlainTextResponse("Sign in first.", status_code=401)(scope, receive, send)
        query = scope.get("query_string", b"").decode("latin-1")
        address = login.login_address(scope["path"], query)
        return await RedirectResponse(address, status_code=303)(scope, receive, send)


class SecurityHeaders:
    """Adds the headers that keep the browser from loading or framing anything foreign."""

    def __init__(self, app: ASGIApp, *, is_secure: bool) -> None:
        self.app = app
        self.headers = security_headers(is_secure=is_secure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the headers of its response."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    present[name] = value
            await send(message)

        return await self.app(scope, receive, with_headers)


def security_headers(*, is_secure: bool) -> dict[str, str]:
    """Return the headers of every response. Streamlit needs inline styles and scripts from blobs, no more."""
    policy: dict[str, list[str]] = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "blob:", "'wasm-unsafe-eval'", *_inline_script_hashes()],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    headers: dict[str, Any] = {
        "Content-Security-Policy": "; ".join(f"{name} {' '.join(words)}" for name, words in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _inline_script_hashes() -> list[str]:
    page = Path(st.__file__).parent / "static" / "index.html"
    scripts = re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return [f"'sha256-{digest}'" for digest in digests]


def _is_open(path: str) -> bool:
    return any(
        path == allowed or (allowed.endswith("/") and path.startswith(allowed)) for allowed in OPEN_PATHS
    )
