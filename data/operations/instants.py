"""How the operations store keeps an instant: aware, and in UTC."""

from datetime import UTC, datetime

import sqlalchemy as sa


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """timestamptz that refuses naive instants and always answers in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse an instant without a zone: guessing one is how hours get lost."""
        if value is not None and value.tzinfo is None:
            raise ValueError(
                f"{value.isoformat()} has no time zone; the operations store takes aware instants"
            )
        return value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Answer in UTC, whatever the connection's time zone."""
        return None if value is None else value.astimezone(UTC)
