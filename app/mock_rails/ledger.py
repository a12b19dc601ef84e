"""In which order the API lists the records of one kind at an instant: by updated_at, then id.

The order is kept and moved forward as the clock moves; nothing is sorted again per request.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

NEVER_US = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Listing:
    """Row positions in the order of the API, and when each was last updated (microseconds)."""

    rows: np.ndarray
    updated_us: np.ndarray

    def since(self, instant_us: int) -> np.ndarray:
        """The rows updated at or after an instant."""
        return self.rows[np.searchsorted(self.updated_us, instant_us, side="left") :]


class Ledger:
    """All changes of one kind, in time; the frame must be sorted by id."""

    def __init__(self, frame: pl.DataFrame, moments: tuple[str, ...]) -> None:
        columns = [frame[name].cast(pl.Int64).fill_null(NEVER_US).to_numpy() for name in moments]
        birth = columns[0]
        rows = np.arange(frame.height)
        times, who = [], []
        for column in columns:
            real = column < NEVER_US
            times.append(np.maximum(column[real], birth[real]))  # no change before the birth
            who.append(rows[real])
        time, row = np.concatenate(times), np.concatenate(who)
        order = np.lexsort((row, time))
        self._times, self._rows = time[order], row[order]
        self._height = frame.height
        self._applied = 0
        self._updated = np.zeros(frame.height, dtype=np.int64)
        self._listing = Listing(np.empty(0, np.int64), np.empty(0, np.int64))

    def at(self, now_us: int) -> Listing:
        """The listing at an instant; going back in time starts over."""
        reached = int(np.searchsorted(self._times, now_us, side="right"))
        if reached < self._applied:
            self._applied = 0
            self._listing = Listing(np.empty(0, np.int64), np.empty(0, np.int64))
        if reached > self._applied:
            self._advance(reached)
        return self._listing

    def _advance(self, reached: int) -> None:
        changed, times = self._rows[self._applied : reached], self._times[self._applied : reached]
        self._updated[changed] = times  # in order of time, so the last one stays
        moved = np.zeros(self._height, dtype=bool)
        moved[changed] = True
        news = np.flatnonzero(moved)
        news = news[np.argsort(self._updated[news], kind="stable")]
        still = self._listing.rows[~moved[self._listing.rows]]
        rows = np.concatenate([still, news])
        self._listing = Listing(rows, self._updated[rows])
        self._applied = reached
