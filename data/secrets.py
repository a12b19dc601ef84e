"""Secrets that this deployment makes for itself once, when none are given. Kept in the state folder, mode 0600."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from pathlib import Path

from data.settings import Settings

SMALLEST_KEY_BYTES = 24


class WeakSecret(ValueError):
    """A secret is too short to trust; the message says which and what to set instead."""


def webhook_secrets(settings: Settings) -> list[str]:
    """Return the active signing secrets, newest first. Each is whsec_ and at least 24 random bytes in base64.

    Several secrets are active while a key is being rotated. Raises WeakSecret for one that is too short or malformed.
    """
    if settings.webhook_secrets is None:
        made = _once(settings.state / "secrets" / "webhook", "whsec_" + _random())
        _check(made)
        return [made]
    given = [part.strip() for part in settings.webhook_secrets.get_secret_value().split(",") if part.strip()]
    if not given:
        raise WeakSecret("CHALKLINE_WEBHOOK_SECRETS is empty; unset it or give whsec_… with 24 bytes or more")
    for secret in given:
        _check(secret)
    return given


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
        temporary = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        # Linking fails if another process was first: both then read the same secret.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, place)
        temporary.unlink()
    return place.read_text()
