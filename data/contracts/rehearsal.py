"""A correction tried on refused records before anybody decides: how many would pass, and why the others would not.

Pure: records in, an account out. Used by the command line and the Data health page; a replay does the same for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from data.contracts.corrections import Correction
from data.contracts.records import Kind
from data.contracts.validation import judge


@dataclass(frozen=True)
class StillRefused:
    """How many records one cause would hold back."""

    field: str
    reason: str
    count: int


@dataclass(frozen=True)
class Rehearsal:
    """What a correction would do: tried = passing + the counts of still_refused, the largest first."""

    tried: int
    passing: int
    still_refused: tuple[StillRefused, ...]


def rehearse(kind: Kind, records: Sequence[Any], corrections: Sequence[Correction]) -> Rehearsal:
    """Judge records with corrections applied. Nothing is stored."""
    judged = judge(kind, records, corrections=corrections)
    causes = counted((refusal.field, refusal.reason) for refusal in judged.refusals)
    return Rehearsal(len(records), len(judged.rows), causes)


def counted(causes: Iterable[tuple[str, str]]) -> tuple[StillRefused, ...]:
    """Return how often each field and reason occurs, the most frequent first."""
    counts = Counter(causes)
    return tuple(
        StillRefused(field, reason, count)
        for (field, reason), count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )
