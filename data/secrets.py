"""Secrets of this deployment: those that sign webhooks, which rotate without downtime, and the one of login cookies.

What belongs here: making, keeping (state folder, mode 0600) and ending them. What does not: verifying a signature
(app/receiver/signature.py), keys of apps (data/operations/api_keys.py).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from data.clock import SystemClock
from data.settings import Settings

log = structlog.get_logger("chalkline.secrets")

SMALLEST_KEY_BYTES = 24
OVERLAP = timedelta(hours=24)
"""How long the secret before stays valid after a rotation, unless told otherwise: a day to change every sender."""


class WeakSecret(ValueError):
    """A secret is too short to trust; the message says which and what to set instead."""


class GivenFromOutside(ValueError):
    """The environment names the webhook secrets, so nothing that is kept here would count."""

    def __init__(self) -> None:
        super().__init__(
            "CHALKLINE_WEBHOOK_SECRETS is set and wins; put the new secret in front there (new,old), restart the "
            "receiver, change the sender, then take the old one out"
        )


@dataclass(frozen=True)
class WebhookSecret:
    """One signing secret. Without expires_at it counts until the next rotation."""

    value: str
    expires_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        """Tell whether it still counts."""
        return self.expires_at is None or now < self.expires_at

    @property
    def fingerprint(self) -> str:
        """Eight digits by which people tell secrets apart without seeing them."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:8]


def webhook_secrets(settings: Settings, *, now: datetime | None = None) -> list[str]:
    """Return the active signing secrets, newest first. Each is whsec_ and at least 24 random bytes in base64.

    Several secrets are active while a key is being rotated. now is the machine's unless given. Raises WeakSecret
    for one that is too short or malformed, and when none is active.
    """
    return [secret.value for secret in active_secrets(settings, now=now)]


def active_secrets(settings: Settings, *, now: datetime | None = None) -> list[WebhookSecret]:
    """Return the active signing secrets with their ends, newest first. Makes the first one if there is none yet."""
    if settings.webhook_secrets is not None:
        return _given(settings.webhook_secrets.get_secret_value())
    instant = now or SystemClock().now()
    active = [secret for secret in _kept(settings) if secret.is_active(instant)]
    if not active:
        raise WeakSecret("no webhook secret is active any more; make one with `chalkline secret rotate`")
    return active


def rotate(settings: Settings, *, now: datetime, overlap: timedelta = OVERLAP) -> WebhookSecret:
    """Put a new secret in front and return it. Those before it stay valid for the overlap, none for longer.

    Raises GivenFromOutside when the environment names the secrets. Two rotations at once follow each other.
    """
    if overlap < timedelta(0):
        raise ValueError(f"an overlap of {overlap} lies in the past; give 0 hours or more")
    fresh = WebhookSecret("whsec_" + _random())
    with _alone(settings):
        ends = now + overlap
        before = [
            WebhookSecret(secret.value, min(secret.expires_at or ends, ends))
            for secret in _kept(settings)
            if secret.is_active(now)
        ]
        _keep(settings, [fresh, *(secret for secret in before if secret.is_active(now))])
    return fresh


def retire(settings: Settings, *, now: datetime) -> list[WebhookSecret]:
    """End every secret but the newest, now. Returns those that were ended; a second call ends none."""
    with _alone(settings):
        newest, *older = _kept(settings)
        ended = [secret for secret in older if secret.is_active(now)]
        if older:
            _keep(settings, [newest])
    return ended


class SecretRing:
    """The active secrets of a process that serves for long: a rotation counts at once, without a restart.

    Asking costs one look at the file's metadata. While the file cannot be read, what was read last still counts,
    and the log says so once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stamp: tuple[int, ...] | None = None
        self._complaint: str | None = None
        self._secrets: Sequence[WebhookSecret] = active_secrets(settings)

    def active(self, now: datetime) -> list[str]:
        """Return the secrets that count at an instant, newest first. None at all when every one has expired."""
        if self._settings.webhook_secrets is None:
            self._refresh()
        return [secret.value for secret in self._secrets if secret.is_active(now)]

    def _refresh(self) -> None:
        try:
            found = _place(self._settings).stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp:
                self._secrets, self._stamp = _kept(self._settings), stamp
        except (OSError, WeakSecret) as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                log.error("webhook_secrets_unreadable", reason=str(error))


def session_secret(settings: Settings) -> str:
    """Return the secret that signs login cookies."""
    if settings.session_secret is not None:
        value = settings.session_secret.get_secret_value()
        if len(value) < SMALLEST_KEY_BYTES:
            raise WeakSecret(
                "CHALKLINE_SESSION_SECRET is shorter than 24 characters; give a longer random text"
            )
        return value
    return _once(settings.state / "secrets" / "session", _random())


def _given(text: str) -> list[WebhookSecret]:
    given = [part.strip() for part in text.split(",") if part.strip()]
    if not given:
        raise WeakSecret("CHALKLINE_WEBHOOK_SECRETS is empty; unset it or give whsec_… with 24 bytes or more")
    for secret in given:
        _check(secret)
    return [WebhookSecret(secret) for secret in given]


def _place(settings: Settings) -> Path:
    return settings.state / "secrets" / "webhook"


def _kept(settings: Settings) -> list[WebhookSecret]:
    # One line per secret, newest first: the secret, and the instant at which it ends, if it does.
    text = _once(_place(settings), "whsec_" + _random())
    kept = []
    for line in text.splitlines() or [""]:
        value, _, end = line.strip().partition(" ")
        _check(value)
        try:
            ends = datetime.fromisoformat(end) if end else None
        except ValueError:
            raise WeakSecret("the end of a kept webhook secret is not an ISO 8601 time") from None
        if ends is not None and ends.tzinfo is None:
            raise WeakSecret("the end of a kept webhook secret has no time zone")
        kept.append(WebhookSecret(value, ends))
    return kept


def _keep(settings: Settings, kept: Sequence[WebhookSecret]) -> None:
    place = _place(settings)
    lines = [
        f"{secret.value} {secret.expires_at.isoformat() if secret.expires_at else ''}" for secret in kept
    ]
    draft = _draft(place, "\n".join(line.strip() for line in lines))
    os.replace(draft, place)
    _sync(place.parent)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    if settings.webhook_secrets is not None:
        raise GivenFromOutside
    _kept(settings)  # makes the folder and the first secret
    handle = os.open(_place(settings).parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _check(secret: str) -> None:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise WeakSecret(
            "a webhook secret is not base64 after whsec_; make one with 24 random bytes"
        ) from None
    if len(key) < SMALLEST_KEY_BYTES:
        raise WeakSecret(f"a webhook secret has {len(key)} bytes; give at least {SMALLEST_KEY_BYTES}")


def _random() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _once(place: Path, value: str) -> str:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not place.exists():
        draft = _draft(place, value)
        # Linking fails if another process was first: both then read the same secret.
        with contextlib.suppress(FileExistsError):
            os.link(draft, place)
        draft.unlink()
    return place.read_text()


def _draft(place: Path, text: str) -> Path:
    draft = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
