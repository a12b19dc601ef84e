"""Keys of apps: issued once, kept as a hash, scoped, ended by a date or by somebody.

What belongs here: which keys exist and whether one may do what it asks. What does not: headers and answers (the
doors). A key is ck_ and 32 random bytes, so its SHA-256 needs no salt: nobody can guess what to hash.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.tables import ApiKey, Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)
TOKEN = re.compile(r"ck_[A-Za-z0-9_-]{43}")
LONGEST_NAME = 100


class KeyNotFound(ValueError):
    """There is no such key in force."""


class KeyRefused(PermissionError):
    """The token is no key in force. One text for every cause, so that it tells nobody which keys exist."""

    def __init__(self) -> None:
        super().__init__("this is not a key in force; `chalkline keys add` makes one")


class ScopeMissing(PermissionError):
    """The key is in force, but not for this."""


def issue(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    actor: str,
    now: datetime,
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return its row and the token, which is shown this once: only its hash is kept.

    Raises ValueError for a key without a name, without a scope, with an unknown one, or with a lifetime of nothing.
    """
    label = name.strip()
    if not 1 <= len(label) <= LONGEST_NAME or not label.isprintable():
        raise ValueError(f"a key has a name of 1 to {LONGEST_NAME} printable characters")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        what = f"{unknown[0]!r} is not a scope" if unknown else "a key has at least one scope"
        raise ValueError(f"{what}; choose of {', '.join(SCOPES)}")
    if lifetime is not None and lifetime <= timedelta(0):
        raise ValueError("a key that ends before it begins is no use; give a day or more")
    token = "ck_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    row = ApiKey(
        name=label,
        key_hash=_hash(token),
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_by=actor,
        created_at=now,
        expires_at=now + lifetime if lifetime is not None else None,
    )
    session.add(row)
    session.flush()
    details = {"name": row.name, "scopes": row.scopes, "expires_at": row.expires_at}
    audit.append(
        session, actor=actor, action="api_key.issued", object_name=_object(row), details=details, now=now
    )
    return row, token


def verify(session: Session, token: str, *, scope: Scope, now: datetime) -> ApiKey:
    """Return the key that a token is, if it is in force for the scope. Raises KeyRefused or ScopeMissing.

    The hash is looked up, never the token, and compared in constant time.
    """
    digest = _hash(token) if TOKEN.fullmatch(token) else ""
    row = (
        session.scalars(sa.select(ApiKey).where(ApiKey.key_hash == digest)).one_or_none() if digest else None
    )
    if row is None or not hmac.compare_digest(row.key_hash, digest) or not is_in_force(row, now):
        raise KeyRefused
    if scope not in row.scopes:
        raise ScopeMissing(f"key {row.key_id} is for {', '.join(row.scopes)}, not for {scope}")
    return row


def is_in_force(row: ApiKey, now: datetime) -> bool:
    """Tell whether a key is neither revoked nor past its end."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def revoke(session: Session, key_id: int, *, actor: str, now: datetime) -> ApiKey:
    """End a key, at once. Raises KeyNotFound if there is none or it was revoked before."""
    row = session.get(ApiKey, key_id, with_for_update=True, populate_existing=True)
    if row is None or row.revoked_at is not None:
        raise KeyNotFound(f"key {key_id} is not in force; `chalkline keys list` shows those that are")
    row.revoked_by, row.revoked_at = actor, now
    audit.append(
        session,
        actor=actor,
        action="api_key.revoked",
        object_name=_object(row),
        details={"name": row.name},
        now=now,
    )
    return row


def all_keys(session: Session) -> list[ApiKey]:
    """Return every key that was ever issued, newest first."""
    return list(session.scalars(sa.select(ApiKey).order_by(ApiKey.key_id.desc())))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _object(row: ApiKey) -> str:
    return f"api_key:{row.key_id}"
