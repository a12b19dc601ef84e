"""What every group of commands shares: the two consoles, and the house of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from data.clock import Clock, clock_from
from data.settings import Settings, get_settings
from orchestration.environment import prepare_environment

if TYPE_CHECKING:
    from assets.resources import House

out = Console()
err = Console(stderr=True)

ACTOR = "command line"
"""Who decided, as the audit log names it, when a command was given at a terminal."""


def prepared() -> tuple[Settings, Clock]:
    """Return settings and clock, with the environment set for what is started from here."""
    settings = get_settings()
    prepare_environment(settings)
    return settings, clock_from(settings)


def house() -> House:
    """Return the house that the environment describes."""
    from assets.resources import House

    settings, clock = prepared()
    return House(settings, clock)
