"""The corrections in force, as a door that answers within milliseconds can know them: some seconds old at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from data.contracts import Correction, Kind
from data.operations.corrections import corrections_for
from data.operations.store import Operations

FRESH_SECONDS = 5.0
"""A decision reaches the receiver within this time. A burst then asks the store once in five seconds."""

log = structlog.get_logger("chalkline.receiver")


class RecentCorrections:
    """What was decided about one feed, asked for again when it is no longer fresh. Safe to share between threads.

    While the store does not answer, what was known last still holds: better than judging as if nothing was decided.
    """

    def __init__(
        self,
        operations: Operations,
        *,
        source: str,
        kind: Kind,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operations = operations
        self._source = source
        self._kind: Kind = kind
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._known: tuple[Correction, ...] | None = None
        self._asked_at = 0.0

    def __call__(self) -> tuple[Correction, ...]:
        """Return the corrections in force, in the order in which they apply."""
        with self._lock:
            if self._known is None or self._stopwatch() - self._asked_at >= FRESH_SECONDS:
                self._known = self._ask()
                self._asked_at = self._stopwatch()
            return self._known

    def _ask(self) -> tuple[Correction, ...]:
        try:
            with self._operations.session() as session:
                return corrections_for(session, source=self._source, kind=self._kind)
        except Exception as error:
            if self._known is None:
                raise
            log.error("corrections_unknown", source=self._source, error=type(error).__name__)
            return self._known
