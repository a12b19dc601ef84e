"""The rulebook as published with the marts: tiers, weights, limits and windows that the pages draw and explain.

What belongs here: reading entries by name. What does not: a number of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from app.dashboard import wording
from app.dashboard.palette import Tone

_TONES: dict[str, Tone] = {"red": "red", "yellow": "amber", "green": "green"}


@dataclass(frozen=True)
class Tier:
    """One tier of a score: everything from its lower bound up to the next one's."""

    code: str
    label: str
    lower_bound: float
    tone: Tone


@dataclass(frozen=True)
class Formula:
    """What the rulebook says about one formula of one score."""

    code: str
    title: str
    description: str
    direction: str
    base: float
    low: float
    high: float
    window_days: int | None
    tiers: tuple[Tier, ...]
    """Lowest bound first."""
    units: Mapping[str, str]
    """Unit of each component's value."""
    weights: Mapping[str, float]
    meanings: Mapping[str, str]
    """What each component says, in a sentence."""

    def tone(self, tier: str | None) -> Tone:
        """Return the tone of a tier; grey where there is none."""
        return next((one.tone for one in self.tiers if one.code == tier), "grey")

    def label(self, tier: str | None) -> str:
        """Return a tier as a person says it."""
        return next((one.label for one in self.tiers if one.code == tier), "Not scored")

    def floors(self) -> list[tuple[str, float]]:
        """Return label and lower bound of each tier above the lowest."""
        return [(one.label, one.lower_bound) for one in self.tiers if one.lower_bound > self.low]

    def said(self, score: Any) -> str:
        """Return a score with as many digits as its range deserves."""
        return wording.number(score, 2 if self.high <= 1 else 0)

    def share(self, score: Any) -> float | None:
        """Return where in its range a score lies, from 0 to 1."""
        return (float(score) - self.low) / (self.high - self.low) if wording.is_known(score) else None


class Rulebook:
    """Entries of marts.rpt_rulebook by book, entry and attribute."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._books: dict[str, dict[str, dict[str, str]]] = {}
        for book, entry, attribute, value in rows.select("book", "entry", "attribute", "value").iter_rows():
            self._books.setdefault(book, {}).setdefault(entry, {})[attribute] = value

    def text(self, book: str, entry: str, attribute: str) -> str | None:
        """Return one entry, or None where the published rulebook has no such entry."""
        return self._books.get(book, {}).get(entry, {}).get(attribute)

    def number(self, book: str, entry: str, attribute: str = "value") -> float | None:
        """Return one entry as a number, or None."""
        found = self.text(book, entry, attribute)
        return float(found) if found is not None else None

    def tiers(self, score_code: str, version: str = "v1") -> tuple[Tier, ...]:
        """Return the tiers of a score, lowest bound first."""
        found = self._entries("score_tiers", f"{score_code}:{version}:")
        tiers = [
            Tier(
                code,
                row.get("label", code),
                float(row["lower_bound"]),
                _TONES.get(row.get("color", ""), "grey"),
            )
            for code, row in found.items()
        ]
        return tuple(sorted(tiers, key=lambda tier: tier.lower_bound))

    def formula(self, score_code: str, version: str = "v1") -> Formula:
        """Return what is known about a score; without an entry a scale from 0 to 100 without tiers."""
        known = self._books.get("score_definitions", {}).get(f"{score_code}:{version}", {})
        parts = self._entries("score_weights", f"{score_code}:{version}:")
        window = known.get("window_days")
        return Formula(
            code=score_code,
            title=known.get("title", wording.label(score_code)),
            description=known.get("description", ""),
            direction=known.get("direction", "high_is_good"),
            base=float(known.get("base", 0)),
            low=float(known.get("range_min", 0)),
            high=float(known.get("range_max", 100)),
            window_days=int(float(window)) if window else None,
            tiers=self.tiers(score_code, version),
            units={name: row.get("unit", "") for name, row in parts.items()},
            weights={name: float(row.get("weight", 0)) for name, row in parts.items()},
            meanings={name: row.get("description", "") for name, row in parts.items()},
        )

    def kpi_tone(self, kpi: str, value: Any) -> Tone:
        """Return red, amber or green by the limits of a figure; no tone without a value or limits."""
        warning = self.number("kpi_targets", kpi, "warning_below")
        critical = self.number("kpi_targets", kpi, "critical_below")
        if not wording.is_known(value) or warning is None or critical is None:
            return ""
        figure = float(value)
        if self.text("kpi_targets", kpi, "direction") == "low_is_good":
            figure, warning, critical = -figure, -warning, -critical
        return "red" if figure < critical else "amber" if figure < warning else "green"

    def _entries(self, book: str, prefix: str) -> dict[str, dict[str, str]]:
        entries = self._books.get(book, {})
        return {name.removeprefix(prefix): row for name, row in entries.items() if name.startswith(prefix)}
