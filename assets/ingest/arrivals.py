"""How every way in learns which corrections hold for the feed that it reads."""

from __future__ import annotations

from collections.abc import Callable

from data.contracts import Correction, Kind

CorrectionsOf = Callable[[str, Kind], tuple[Correction, ...]]
"""Gives the corrections in force for one source and kind."""


def uncorrected(_source: str, _kind: Kind) -> tuple[Correction, ...]:
    """Apply nothing: for sources that nobody has decided about."""
    return ()
