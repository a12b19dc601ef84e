"""People who may sign in: accounts, one-time setup links, password checks with a lockout.

What belongs here: who exists, in which role, and whether a password is right. What does not: cookies and
pages (the doors), which role may do what (the doors' policy). Passwords are argon2id;
tokens are stored hashed.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.operations import audit
from data.operations.tables import ROLES, LoginAttempt, Role, SetupToken, User

if TYPE_CHECKING:
    from pwdlib import PasswordHash

TOKEN_LIFETIME = timedelta(days=7)
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
LOCKOUT_WINDOW = timedelta(minutes=15)
TRIES_PER_ACCOUNT = 10
TRIES_PER_ADDRESS = 50
"""Wider than per account: an office shares one address, and behind a proxy everybody does."""
REFUSED_TEXT = "E-mail or password is not right, or there were too many tries. Wait 15 minutes and try again."
"""One text for every refusal, so that it tells nobody which accounts exist."""


@dataclass(frozen=True)
class Refused:
    """A login that was turned away. The text is for the visitor; is_locked is for the log."""

    is_locked: bool
    text: str = REFUSED_TEXT


def create_user(
    session: Session, *, email: str, name: str, role: Role, actor: str, now: datetime
) -> tuple[User, str]:
    """Add a person and return their one-time setup token, which is shown this once and stored hashed.

    Raises ValueError for an unusable address, an unknown role, or an e-mail that exists.
    """
    address = _clean_email(email)
    if role not in ROLES:
        raise ValueError(f"{role!r} is not a role; one of {', '.join(ROLES)}")
    if user_by_email(session, address) is not None:
        raise ValueError(f"there is already a user {address}")
    user = User(
        email=address,
        name=name.strip() or address,
        role=role,
        is_active=True,
        session_epoch=0,
        created_at=now,
    )
    session.add(user)
    session.flush()
    _audit(session, user, "user.created", {"role": role}, actor=actor, now=now)
    return user, _new_token(session, user, now)


def issue_setup_token(session: Session, user_id: int, *, actor: str, now: datetime) -> str:
    """Return a fresh one-time token to choose a password with; earlier ones stop working."""
    user = user_of(session, user_id)
    open_tokens = sa.select(SetupToken).where(SetupToken.user_id == user_id, SetupToken.used_at.is_(None))
    for token in session.scalars(open_tokens):
        token.used_at = now
    _audit(session, user, "user.setup_token_issued", {}, actor=actor, now=now)
    return _new_token(session, user, now)


def set_password(session: Session, *, token: str, password: str, now: datetime) -> User:
    """Choose a password with a setup token, which ends every open session of that person.

    Raises PermissionError for a token that is unknown, used or expired; ValueError for an unfit password.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ValueError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    stored = session.get(SetupToken, _token_hash(token), with_for_update=True, populate_existing=True)
    if stored is None or stored.used_at is not None or stored.expires_at <= now:
        raise PermissionError("this setup link is not valid any more; ask for a new one")
    user = user_of(session, stored.user_id)
    if not user.is_active:
        raise PermissionError("this setup link is not valid any more; ask for a new one")
    stored.used_at = now
    user.password_hash = _hasher().hash(password)
    user.session_epoch += 1
    _audit(session, user, "user.password_set", {}, actor=f"user:{user.user_id}", now=now)
    return user


def verify(session: Session, *, email: str, password: str, address: str, now: datetime) -> User | Refused:
    """Judge a login and record it. Commit also when it is refused: the record is what locks.

    Known and unknown accounts get the same text, the same lock, and one hash of work.
    """
    asked = "".join(sign for sign in email.strip().lower() if sign.isprintable())[:320]
    # Guesses in parallel would all be counted before any is recorded; per account they go one by one.
    session.execute(
        sa.text("select pg_advisory_xact_lock(hashtext('chalkline.login'), hashtext(:email))"),
        {"email": asked},
    )
    user = user_by_email(session, asked)
    stored = user.password_hash if user is not None and user.is_active else None
    is_right, renewed = _hasher().verify_and_update(password[:LONGEST_PASSWORD], stored or _decoy())
    if _is_locked(session, asked, address, now):
        return Refused(is_locked=True)
    succeeded = is_right and stored is not None
    session.add(LoginAttempt(email=asked, address=address, succeeded=succeeded, at=now))
    session.flush()
    if not succeeded or user is None:
        return Refused(is_locked=False)
    user.password_hash = renewed or user.password_hash
    return user


def change_role(session: Session, user_id: int, *, role: Role, actor: str, now: datetime) -> User:
    """Give a person another role, at once: open sessions end."""
    if role not in ROLES:
        raise ValueError(f"{role!r} is not a role; one of {', '.join(ROLES)}")
    user = user_of(session, user_id)
    details = {"from": user.role, "to": role}
    user.role = role
    user.session_epoch += 1
    _audit(session, user, "user.role_changed", details, actor=actor, now=now)
    return user


def set_active(session: Session, user_id: int, *, is_active: bool, actor: str, now: datetime) -> User:
    """Let a person in again or lock them out, at once: open sessions end."""
    user = user_of(session, user_id)
    user.is_active = is_active
    user.session_epoch += 1
    _audit(session, user, "user.enabled" if is_active else "user.disabled", {}, actor=actor, now=now)
    return user


def end_sessions(session: Session, user_id: int, *, actor: str, now: datetime) -> User:
    """End every open session of a person."""
    user = user_of(session, user_id)
    user.session_epoch += 1
    _audit(session, user, "user.sessions_ended", {}, actor=actor, now=now)
    return user


def signed_in(session: Session, user_id: int, session_epoch: int) -> User | None:
    """Return the person of a login cookie, or None when they were disabled or their sessions were ended."""
    user = session.get(User, user_id)
    if user is None or not user.is_active or user.session_epoch != session_epoch:
        return None
    return user


def user_of(session: Session, user_id: int) -> User:
    """Return one person. Raises LookupError."""
    user = session.get(User, user_id)
    if user is None:
        raise LookupError(f"there is no user {user_id}")
    return user


def user_by_email(session: Session, email: str) -> User | None:
    """Return the person with this e-mail, if any."""
    return session.scalars(sa.select(User).where(User.email == email.strip().lower())).one_or_none()


def list_users(session: Session, *, role: Role | None = None, only_active: bool = True) -> Sequence[User]:
    """Return people by name."""
    query = sa.select(User).order_by(User.name, User.user_id)
    if role is not None:
        query = query.where(User.role == role)
    if only_active:
        query = query.where(User.is_active)
    return session.scalars(query).all()


def _is_locked(session: Session, email: str, address: str, now: datetime) -> bool:
    failures = sa.select(sa.func.count()).where(
        ~LoginAttempt.succeeded, LoginAttempt.at > now - LOCKOUT_WINDOW
    )
    of_account = session.scalar(failures.where(LoginAttempt.email == email)) or 0
    of_address = session.scalar(failures.where(LoginAttempt.address == address)) or 0
    return of_account >= TRIES_PER_ACCOUNT or of_address >= TRIES_PER_ADDRESS


def _new_token(session: Session, user: User, now: datetime) -> str:
    token = secrets.token_urlsafe(32)
    session.add(
        SetupToken(token_hash=_token_hash(token), user_id=user.user_id, expires_at=now + TOKEN_LIFETIME)
    )
    session.flush()
    return token


def _token_hash(token: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()


def _clean_email(email: str) -> str:
    address = email.strip().lower()
    before, _, after = address.partition("@")
    has_space = any(character.isspace() or not character.isprintable() for character in address)
    if (
        not before
        or not after
        or "@" in after
        or has_space
        or any(c in address for c in ',;<>"')
        or len(address) > 254
    ):
        raise ValueError(f"{email!r} is not an e-mail address")
    return address


def _audit(
    session: Session, user: User, action: str, details: Mapping[str, str], *, actor: str, now: datetime
) -> None:
    audit.append(
        session,
        actor=actor,
        action=action,
        object_name=f"user:{user.user_id}",
        details=details,
        now=now,
    )


@lru_cache(maxsize=1)
def _hasher() -> "PasswordHash":
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    return PasswordHash((Argon2Hasher(),))


@lru_cache(maxsize=1)
def _decoy() -> str:
    return _hasher().hash(secrets.token_urlsafe(16))
