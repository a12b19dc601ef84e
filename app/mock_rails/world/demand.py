"""How many sessions start per subject and hour: true rates and the counts drawn from them. No people."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.mock_rails.world.days import Days
from app.mock_rails.world.plan import Plan
from app.mock_rails.world.recipe import Recipe

WEEKDAY_FACTOR = np.array([1.05, 1.12, 1.08, 1.02, 0.82, 0.60, 0.84])
WEEKDAY_HOURS = {7: 1, 8: 2, 9: 3, 10: 3, 11: 3, 12: 4, 13: 5, 14: 8, 15: 14, 16: 18, 17: 19, 18: 18, 19: 15,
                 20: 10, 21: 5, 22: 1.5}  # fmt: skip
WEEKEND_HOURS = {8: 2, 9: 6, 10: 10, 11: 12, 12: 10, 13: 10, 14: 11, 15: 13, 16: 13, 17: 12, 18: 10, 19: 7,
                 20: 4, 21: 2}  # fmt: skip
PLATFORM_SHOCK_CV = 0.05
SUBJECT_SHOCK_CV = 0.10
SHORTAGE_WEEKDAY = 1
SHORTAGE_HOURS = (17, 21)
OUTAGE_HOURS = (12, 18)
BURST_CHILDREN = 0.35


@dataclass(frozen=True)
class Demand:
    """True rates and drawn counts; hours are local clock hours."""

    share: np.ndarray  # (subjects,)
    week_rate: np.ndarray  # (subjects, 7, 24) expected sessions on an ordinary day
    level: np.ndarray  # (days, subjects) season, holidays, level shift, anomalies
    platform_shock: np.ndarray  # (days,)
    subject_shock: np.ndarray  # (days, subjects)
    counts: np.ndarray  # (days, subjects, 24)


def _hour_shape(hours: Mapping[int, float]) -> np.ndarray:
    out = np.zeros(24)
    out[list(hours)] = list(hours.values())
    return out / out.sum()


def _week_rates(recipe: Recipe, plan: Plan, share: np.ndarray) -> np.ndarray:
    rng = recipe.stream("shapes")
    shapes = np.stack([_hour_shape(WEEKDAY_HOURS)] * 5 + [_hour_shape(WEEKEND_HOURS)] * 2)
    if recipe.family == "bursty":  # additive: a level per subject, plus a weekday term, plus an hour term
        mask = shapes > 0
        weekday_term = (WEEKDAY_FACTOR / WEEKDAY_FACTOR.mean() - 1)[:, None] * 0.04
        flat = np.where(mask, np.maximum(0.005, 0.03 + weekday_term + (shapes - 0.05) * 0.8), 0)
        rates = share[:, None, None] * flat[None]
    else:
        wiggle = np.exp(rng.normal(0, 0.12, (len(share), 7, 24)))
        rates = share[:, None, None] * WEEKDAY_FACTOR[None, :, None] * shapes[None] * wiggle
    rates *= recipe.profile.sessions_per_day / (rates.sum() / 7)
    first, last = SHORTAGE_HOURS
    rates[plan.shortage_subject, SHORTAGE_WEEKDAY, first:last] *= plan.shortage_factor
    return rates


def _levels(recipe: Recipe, days: Days, plan: Plan) -> np.ndarray:
    growth = 1 + 0.10 * recipe.on * np.arange(len(days)) / len(days)
    base = days.calendar_factor * growth
    base = base / base[: days.history].mean()  # the promised volume is the mean over history
    level = np.repeat(base[:, None], recipe.profile.subjects, axis=1)
    level[plan.shift_day :, plan.shift_subject] *= plan.shift_factor
    for day, subject, factor in plan.count_anomalies:
        level[day, subject] *= factor
    return level


def _gamma(rng: np.random.Generator, cv: float, size: tuple[int, ...]) -> np.ndarray:
    shape = 1 / cv**2
    return rng.gamma(shape, 1 / shape, size)


def _bursts(rng: np.random.Generator, rate: np.ndarray) -> np.ndarray:
    """Self-exciting arrivals: each session draws followers within the next two hours, the mean is kept."""
    parents = rng.poisson(rate * (1 - BURST_CHILDREN))
    counts, born = parents.copy(), parents
    open_hours = rate > 0
    for _ in range(3):
        children = rng.poisson(BURST_CHILDREN * born)
        delayed = rng.binomial(children, 0.5)
        born = children - delayed
        born[..., 1:] += delayed[..., :-1]
        born = born * open_hours
        counts = counts + born
    return counts


def build_demand(recipe: Recipe, days: Days, plan: Plan) -> Demand:
    """Draw the number of sessions of every local day, subject and hour."""
    rng = recipe.stream("demand")
    weight = 1 / np.arange(1, recipe.profile.subjects + 1) ** 0.85
    share = weight / weight.sum()
    week_rate = _week_rates(recipe, plan, share)
    level = _levels(recipe, days, plan)
    platform = _gamma(rng, PLATFORM_SHOCK_CV, (len(days),))
    subject = _gamma(rng, SUBJECT_SHOCK_CV, (len(days), recipe.profile.subjects))
    daily = level * platform[:, None] * subject
    rate = week_rate[:, days.weekday].transpose(1, 0, 2) * daily[:, :, None]
    if plan.outage_day is not None:
        rate[plan.outage_day, :, OUTAGE_HOURS[0] : OUTAGE_HOURS[1]] = 0
    counts = _bursts(rng, rate) if recipe.family == "bursty" else rng.poisson(rate)
    return Demand(share, week_rate, level, platform, subject, counts)
