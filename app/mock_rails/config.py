"""How the mock is run: its token, clock, limits. The only place of this room that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime


def parse_instant(text: str) -> datetime:
    """An ISO-8601 instant as UTC; a text without an offset is taken as UTC. Raises ValueError."""
    value = datetime.fromisoformat(text.strip())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@dataclass(frozen=True)
class Config:
    """Settings of one running mock."""

    token: str = "mock-token"
    fixed_now: datetime | None = None
    requests_per_minute: int = 6_000
    delay_seconds: float = 0.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read MOCK_RAILS_TOKEN, _NOW, _RATE_LIMIT (requests per minute) and _DELAY_MS."""
        now = environ.get("MOCK_RAILS_NOW", "")
        return cls(
            token=environ.get("MOCK_RAILS_TOKEN", cls.token),
            fixed_now=parse_instant(now) if now else None,
            requests_per_minute=int(environ.get("MOCK_RAILS_RATE_LIMIT", cls.requests_per_minute)),
            delay_seconds=float(environ.get("MOCK_RAILS_DELAY_MS", "0")) / 1000,
        )
