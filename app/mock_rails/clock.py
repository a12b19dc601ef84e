"""The mock's own clock: the wall, or one fixed instant. Nothing else in this room asks for the time."""

from datetime import UTC, datetime


class Clock:
    """Tells what time it is in the mock."""

    def __init__(self, fixed: datetime | None = None) -> None:
        self.fixed = fixed

    def now(self) -> datetime:
        """The current instant, UTC."""
        return self.fixed if self.fixed is not None else datetime.now(UTC)


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exact."""
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
