"""How two ways of doing one thing are compared: in turns, several times, by the median of the pairs."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

FEWEST_PAIRS = 3

Work = Callable[[], float]
"""Does its work once and returns the seconds of the part that counts. Preparation outside is not counted."""


@dataclass(frozen=True)
class Figure:
    """One ratio: seconds of the product over seconds of its yardstick, pair by pair."""

    piece: str
    name: str
    product: str
    yardstick: str
    product_seconds: Sequence[float]
    yardstick_seconds: Sequence[float]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def pair_ratios(self) -> list[float]:
        """Return the ratio of each pair. Its two halves ran one after the other, so both felt the same machine."""
        return [
            ours / theirs for ours, theirs in zip(self.product_seconds, self.yardstick_seconds, strict=True)
        ]

    @property
    def ratio(self) -> float:
        """Return the median of the pairs."""
        return statistics.median(self.pair_ratios)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(
    product: Work,
    yardstick: Work,
    *,
    pairs: int,
    tell: Callable[[str], None],
    print_line: Callable[[str], None] = lambda _: None,
) -> tuple[list[float], list[float]]:
    """Run both in turns, A B A B, and print each pair as it ends, so that a run that is killed leaves a trace.

    Raises ValueError for so few pairs that one hiccup would decide.
    """
    if pairs < FEWEST_PAIRS:
        raise ValueError(f"{pairs} pairs are too few; a median needs {FEWEST_PAIRS}")
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(1, pairs + 1):
        tell(f"pair {number} of {pairs}")
        ours.append(product())
        theirs.append(yardstick())
        print_line(f"pair {number}: {ours[-1]:.3f} s against {theirs[-1]:.3f} s")
    return ours, theirs


def machine_line() -> str:
    """Return what the seconds were taken on, and how busy it was."""
    load = os.getloadavg()[0]
    memory = psutil.virtual_memory().total / 2**30
    software = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "dbt-core", "dagster"))
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, load {load:.1f}; "
        f"Python {platform.python_version()}, {software}"
    )


def _processor() -> str:
    card = Path("/proc/cpuinfo")
    if card.exists():
        for line in card.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
