"""What to do about a customer: the part of the health score with the most to win, said as a next step.

What belongs here: the sentence for each part. What does not: weights and tiers (rulebook), promises; the
points to win are arithmetic of the score, not a forecast of behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.dashboard import wording
from app.dashboard.rulebook import Formula

_STEPS = {
    "first_session": ("Offer another tutor", "first session was not rated a success"),
    "velocity": ("Help book the next sessions", "few sessions in 30 days"),
    "calls": ("Call and close what they called about", "calls to support in 14 days"),
    "goals": ("Agree on the next goal", "goal reached without a new one"),
    "tutor_consistency": ("Keep them with one tutor", "sessions spread over tutors"),
}
_URGENCY = {"critical": "today", "at_risk": "this week"}


@dataclass(frozen=True)
class Step:
    """One next step: what, why, until when, and how many points of the score it could bring back."""

    component: str
    action: str
    why: str
    urgency: str
    points_to_win: float


def next_step(row: Mapping[str, Any], formula: Formula) -> Step | None:
    """Return the step for the part with the most to win, or None when there is no score or nothing to win."""
    steps = all_steps(row, formula)
    return steps[0] if steps and wording.is_known(row.get("health_score")) else None


def all_steps(row: Mapping[str, Any], formula: Formula) -> list[Step]:
    """Return a step for every known part that is below its best, most to win first."""
    steps = []
    for component, (action, why) in _STEPS.items():
        points: Any = row.get(f"{component}_points")
        if not wording.is_known(points) or float(points) >= 100:
            continue
        to_win = (100 - float(points)) * formula.weights.get(component, 0)
        steps.append(
            Step(
                component,
                action,
                why,
                _URGENCY.get(row.get("health_tier") or "", "when you talk next"),
                to_win,
            )
        )
    return sorted(steps, key=lambda step: -step.points_to_win)
