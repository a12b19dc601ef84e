"""How long a pull may take, all waiting included. By a stop-watch: the clock of a replay stands still."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Budget:
    """Seconds that begin to run when it is made. Without a number there is no end."""

    def __init__(
        self,
        seconds: float = math.inf,
        *,
        stopwatch: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self._stopwatch = stopwatch
        self._wait = wait
        self._ends_at = stopwatch() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, never below zero."""
        return max(0.0, self._ends_at - self._stopwatch())

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0

    def wait(self, seconds: float) -> None:
        """Wait. The caller has looked whether so much is left."""
        self._wait(seconds)
