"""How a day's sessions spread over its hours, per subject and weekday, steady even for a thin subject.

Here: Dirichlet shrinkage in two steps (subject's hours towards everybody's, then each weekday towards
that). Not here: how large a day is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models_ml.forecasting.config import ForecastConfig

Floats = npt.NDArray[np.float64]

WEEKDAYS, HOURS = 7, 24


@dataclass(frozen=True, eq=False)
class HourShares:
    """Shares of a day per weekday and local hour (7 x 24, each row sums to 1) and how firmly they are
    known.

    `evidence` is the posterior count behind each share, in sessions; `prior_sessions` the strength of the
    prior; `parameters` the number of shares effectively estimated, for degrees of freedom.
    """

    share: Floats
    evidence: Floats
    prior_sessions: float
    parameters: float


def weighted_counts(
    weekday: npt.NDArray[np.int64],
    local_hour: npt.NDArray[np.int64],
    sessions: Floats,
    age_days: Floats,
    config: ForecastConfig,
) -> Floats:
    """Count sessions per weekday and hour (7 x 24), newer days weighing more.

    Scaled to Kish's effective size, so that the counts still vary like counts.
    """
    weight = np.power(0.5, age_days / config.share_half_life_days)
    counts = np.zeros((WEEKDAYS, HOURS))
    np.add.at(counts, (weekday, local_hour), weight * sessions)
    squares = float(np.sum(weight**2 * sessions))
    return counts * (counts.sum() / squares) if squares > 0 else counts


def shrink_shares(counts: Floats, everybody: Floats, config: ForecastConfig) -> HourShares:
    """Estimate one subject's hour shares from its counts and those of all subjects (both 7 x 24).

    How strongly to shrink is itself estimated: a subject whose counts differ from everybody's by no more
    than chance takes everybody's shares, one with its own steady rhythm keeps it. An hour nobody ever used
    has share 0.
    """
    common = _rows_to_one(everybody)
    per_weekday = counts.sum(axis=1)
    expected = per_weekday @ common
    hours, strength = _dirichlet(counts.sum(axis=0)[None, :], _rows_to_one(expected[None, :]), config)
    lift = np.divide(hours[0] * counts.sum(), expected, out=np.zeros(HOURS), where=expected > 0)
    own = common * lift[None, :]
    # A weekday this subject never had keeps everybody's shape.
    prior = np.where(own.sum(axis=1, keepdims=True) > 0, _rows_to_one(own), common)
    share, weekday_strength = _dirichlet(counts, prior, config)
    kept = np.mean(per_weekday / (per_weekday + weekday_strength))
    kept_hours = counts.sum() / (counts.sum() + strength)
    return HourShares(
        share=share,
        evidence=counts + weekday_strength * prior,
        prior_sessions=weekday_strength,
        parameters=float((HOURS - 1) * kept_hours + (WEEKDAYS - 1) * (HOURS - 1) * kept),
    )


def _rows_to_one(counts: Floats) -> Floats:
    """Divide each row by its sum; a row without any count becomes even."""
    totals = counts.sum(axis=1, keepdims=True)
    even = np.full_like(counts, 1.0 / counts.shape[1])
    return np.where(totals > 0, counts / np.where(totals > 0, totals, 1.0), even)


def _dirichlet(counts: Floats, prior: Floats, config: ForecastConfig) -> tuple[Floats, float]:
    """Shrink each row of counts towards its prior row; return the shares and the estimated strength."""
    strength = _prior_strength(counts, prior, config)
    totals = counts.sum(axis=1, keepdims=True)
    return (counts + strength * prior) / (totals + strength), strength


def _prior_strength(counts: Floats, prior: Floats, config: ForecastConfig) -> float:
    """Moment estimate: a Dirichlet-multinomial row varies (N + k) / (1 + k) times as much as a
    multinomial.
    """
    totals = counts.sum(axis=1, keepdims=True)
    by_chance = float(np.sum(totals * prior * (1 - prior)))
    low, high = config.share_prior_min_sessions, config.share_prior_max_sessions
    if by_chance <= 0:
        return high
    excess = float(np.sum((counts - totals * prior) ** 2)) / by_chance
    size = float(np.sum(totals**2) / totals.sum())
    if excess <= 1:
        return high
    return float(np.clip((size - excess) / (excess - 1), low, high))
