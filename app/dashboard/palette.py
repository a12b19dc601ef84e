"""The colours of the product, read from .streamlit/config.toml, their one home.

What belongs here: names for colours and the tone that a word of the domain has. What does not: layout.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

Tone = Literal["red", "amber", "green", "accent", "grey", ""]

THEME_FILE = Path(__file__).with_name(".streamlit") / "config.toml"

_TONES: dict[str, Tone] = {
    "critical": "red",
    "high_risk": "red",
    "high": "amber",
    "at_risk": "amber",
    "needs_improvement": "amber",
    "warn": "amber",
    "monitor": "amber",
    "medium": "grey",
    "low": "grey",
    "healthy": "green",
    "thriving": "green",
    "stable": "green",
    "top": "green",
    "ok": "green",
    "passed": "green",
    "resolved": "green",
    "failed": "red",
    "late": "amber",
    "open": "accent",
    "acknowledged": "accent",
    "in_progress": "accent",
    "surplus": "accent",
    "shortage": "red",
}


@dataclass(frozen=True)
class Palette:
    """Colours as hexadecimal text."""

    accent: str
    ink: str
    muted: str
    line: str
    ground: str
    panel: str
    red: str
    red_ground: str
    amber: str
    amber_ground: str
    green: str
    green_ground: str
    categories: tuple[str, ...]
    ramp: tuple[str, ...]

    def of(self, tone: Tone | str) -> str:
        """Return the colour of a tone; no tone is muted ink."""
        named = {"red": self.red, "amber": self.amber, "green": self.green, "accent": self.accent}
        return named.get(tone, self.muted)


@lru_cache(maxsize=1)
def palette() -> Palette:
    """Return the colours of the theme file, read once."""
    theme = tomllib.loads(THEME_FILE.read_text(encoding="utf-8"))["theme"]
    return Palette(
        accent=theme["primaryColor"],
        ink=theme["textColor"],
        muted=theme["grayColor"],
        line=theme["borderColor"],
        ground=theme["backgroundColor"],
        panel=theme["secondaryBackgroundColor"],
        red=theme["redColor"],
        red_ground=theme["redBackgroundColor"],
        amber=theme["orangeColor"],
        amber_ground=theme["orangeBackgroundColor"],
        green=theme["greenColor"],
        green_ground=theme["greenBackgroundColor"],
        categories=tuple(theme["chartCategoricalColors"]),
        ramp=tuple(theme["chartSequentialColors"]),
    )


def tone_of(word: str | None) -> Tone:
    """Return the tone of a tier, severity, status or outcome; grey for a word without one."""
    return _TONES.get((word or "").lower().replace("-", "_").replace(" ", "_"), "grey")
