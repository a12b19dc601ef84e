"""Who is asking: the signed sign-in cookie, and the person behind it, asked anew at every rerun.

What belongs here: making and judging the cookie. What does not: pages and forms (login.py), what a role may
do (access.py). A cookie alone proves nothing: the account must be active and its session epoch unchanged.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import streamlit as st
from itsdangerous import BadData, URLSafeSerializer

from app.dashboard import stores
from data.operations import roster, users
from data.operations.store import Operations
from data.operations.tables import Role, User
from data.settings import Settings

COOKIE = "chalkline_session"
LIFETIME = timedelta(hours=12)
"""A working day. After it a person signs in again, whatever they were doing."""


@dataclass(frozen=True)
class Person:
    """Somebody signed in. roster is None for roles that see everybody, and a coach's tutors otherwise."""

    user_id: int
    name: str
    email: str
    role: Role
    roster: frozenset[str] | None = None

    @property
    def actor(self) -> str:
        """Return the name under which decisions of this person are recorded."""
        return f"user:{self.user_id}"


def secret_of(settings: Settings) -> str:
    """Return the secret that signs cookies; without a setting it is made once and kept in the state folder."""
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value()
    path = settings.state / "session_secret"
    if not path.exists():
        _make_secret(path)
    return path.read_text(encoding="ascii").strip()


def make_cookie(settings: Settings, user: User, *, now: datetime) -> str:
    """Return the cookie value of a fresh sign-in."""
    payload = {
        "user": user.user_id,
        "epoch": user.session_epoch,
        "until": int((now + LIFETIME).timestamp()),
    }
    return _signer(settings).dumps(payload)


def person_behind(
    cookie: str | None, *, settings: Settings, operations: Operations, now: datetime
) -> Person | None:
    """Return the person a cookie stands for, or None: unsigned, expired, disabled, or signed out elsewhere."""
    if not cookie:
        return None
    try:
        payload = _signer(settings).loads(cookie)
    except BadData:
        return None
    if not isinstance(payload, dict) or payload.get("until", 0) <= now.timestamp():
        return None
    with operations.session() as session:
        user = users.signed_in(session, int(payload["user"]), int(payload["epoch"]))
        if user is None:
            return None
        own = frozenset(roster.tutors_of(session, user.user_id)) if user.role == "coach" else None
        return Person(user.user_id, user.name, user.email, user.role, own)


def session_cookie() -> str | None:
    """Return the cookie that this browser connected with."""
    value = st.context.cookies.get(COOKIE)
    return str(value) if value else None


def current_person() -> Person | None:
    """Return who is behind this page, asked of the operations store now."""
    return person_behind(
        session_cookie(),
        settings=stores.settings(),
        operations=stores.operations(),
        now=stores.wall_clock().now(),
    )


def sign_out_token(settings: Settings, person: Person) -> str:
    """Return the token that the sign-out link carries, so that no other site can sign somebody out."""
    return URLSafeSerializer(secret_of(settings), salt="chalkline.sign_out").dumps(person.user_id)


def _signer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(secret_of(settings), salt="chalkline.session")


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        # link() refuses an existing name: of two processes starting at once, the first secret stays.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
