"""What is planted in a world, decided before anything happens: effects, their sizes and their days.

In the null twin every size here is zero (or one, for factors). Calendar, daily shapes and noise remain.
"""

from dataclasses import dataclass, field

import numpy as np

from app.mock_rails.world.days import Days
from app.mock_rails.world.recipe import Recipe

CHURN_COEFFICIENTS = {
    "bad_first_session": 1.20,
    "recent_support_calls": 0.55,
    "tutor_changes_30d": 0.40,
    "goal_reached_without_a_new_one": 1.60,
    "frailty_sd": 0.40,
}
BASE_DAILY_HAZARD = 0.0016
NULL_DAILY_HAZARD = 0.0030
NO_SHOW_CONTEXT = {"first_session": 1.6, "late_evening": 1.4, "was_rescheduled": 1.9, "per_log_lead": 1.15}
PATTERNS = (
    ("rating_late_evening", "student_rating", "local_hour >= 20", "rating_shift_sd", -0.60),
    (
        "rating_first_chemistry",
        "student_rating",
        "subject = chemistry and first session",
        "rating_shift_sd",
        -0.90,
    ),
    ("cancel_paid_social", "cancelled_rate", "acquisition_channel = paid_social", "rate_ratio", 2.5),
    ("late_weekend_morning", "late_rate", "weekend and local_hour < 12", "rate_ratio", 2.2),
    ("early_end_new_tutor", "early_end_rate", "tutor hired less than 60 days before", "rate_ratio", 2.5),
)
INTERVENTIONS = (
    # code, name, start as a share of history, design, 60-day churn effect in points
    ("A", "study_plan_call", 0.20, "randomised", -0.04),
    ("B", "loyalty_mail", 0.38, "targeted_by_risk", 0.0),
    ("C", "tutor_rematch_offer", 0.50, "targeted_by_risk", -0.05),
    ("D", "discount_ending_call", 0.62, "randomised", 0.04),
    ("E", "newsletter", 0.74, "randomised", 0.0),
)
EXPERIMENTS = (
    # key, kind, unit, window as shares of history, share of variation 1, metric, effect kind, effect
    ("aa_dashboard_banner", "a_a", "customer", (0.30, 0.50), 0.50, "booked_followup", "odds_ratio", 1.0),
    ("aa_mail_subject", "a_a", "customer", (0.45, 0.65), 0.50, "student_rating", "shift_sd", 0.0),
    ("srm_new_checkout", "srm", "customer", (0.35, 0.60), 0.60, "booked_followup", "odds_ratio", 1.0),
    ("tutor_tips_pilot", "underpowered", "tutor", (0.55, 0.75), 0.50, "student_rating", "shift_sd", 0.08),
    ("welcome_call", "real", "customer", (0.60, 0.85), 0.50, "booked_followup", "odds_ratio", 1.8),
    ("punctuality_nudge", "real", "customer", (0.65, 0.95), 0.50, "late_rate", "rate_ratio", 0.6),
)
DECOY_METRICS = {
    "student_rating": ("acquisition_channel", "customer_time_zone", "weekday", "duration"),
    "late_rate": ("acquisition_channel", "customer_time_zone", "subject", "duration"),
    "early_end_rate": ("acquisition_channel", "weekday", "subject", "local_hour"),
    "cancelled_rate": ("customer_time_zone", "weekday", "subject", "local_hour"),
    "booked_followup": ("acquisition_channel", "customer_time_zone", "weekday", "subject"),
}


@dataclass(frozen=True)
class Experiment:
    """One experiment: who is in which variation, when, and what it truly does."""

    key: str
    kind: str
    unit: str
    first_day: int
    last_day: int
    share: float
    metric: str
    effect_kind: str
    effect: float
    variation: np.ndarray  # per customer or tutor; -1 = not in it


@dataclass
class Intervention:
    """One intervention; the treated and held-out are filled in on the day it starts."""

    code: str
    name: str
    day: int
    days: int
    design: str
    effect: float
    treated: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    control: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    hazard_multiplier: float = 1.0
    expected_churn_untreated: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Every planted effect of a world."""

    on: float
    coefficients: dict[str, float]
    base_hazard: float
    patterns: dict[str, float]
    interventions: list[Intervention]
    experiments: dict[str, Experiment]
    count_anomalies: list[tuple[int, int, float]]  # day, subject, factor
    rate_anomalies: list[tuple[int, float]]  # day, late-rate factor
    low_count_anomalies: list[tuple[int, int]]  # day, extra calls
    outage_day: int | None
    shift_day: int
    shift_subject: int
    shift_factor: float
    shortage_subject: int
    shortage_factor: float

    def factor(self, value: float) -> float:
        """A multiplier that becomes 1 in the null twin."""
        return 1.0 + self.on * (value - 1.0)

    def late_day_factor(self, days: int) -> np.ndarray:
        """Per day, by how much the late rate is multiplied."""
        out = np.ones(days)
        for day, factor in self.rate_anomalies:
            out[day] = factor
        return out


def _experiments(recipe: Recipe) -> dict[str, Experiment]:
    rng = recipe.stream("experiments")
    days = recipe.profile.days
    out = {}
    for key, kind, unit, (first, last), share, metric, effect_kind, effect in EXPERIMENTS:
        size = recipe.profile.customers if unit == "customer" else recipe.profile.tutors
        variation = (rng.random(size) < share).astype(np.int64)
        if unit == "tutor":
            variation[rng.permutation(size)[min(40, size) :]] = -1
        neutral = 0.0 if effect_kind == "shift_sd" else 1.0
        true_effect = neutral + recipe.on * (effect - neutral)
        out[key] = Experiment(
            key,
            kind,
            unit,
            int(days * first),
            int(days * last),
            share,
            metric,
            effect_kind,
            true_effect,
            variation,
        )
    return out


def build_plan(recipe: Recipe, days: Days) -> Plan:
    """Decide every planted effect of this recipe."""
    rng = recipe.stream("plan")
    history, on = days.history, recipe.on
    ordinary = np.flatnonzero(~days.is_special[:history] & (np.arange(history) > history * 0.35))
    late_enough = (ordinary > history * 0.55) & (ordinary < history * 0.92)
    weekdays = ordinary[(days.weekday[ordinary] < 5) & late_enough]
    outage = int(rng.choice(weekdays))
    picked = rng.permutation(ordinary[(ordinary != outage) & (ordinary < history - 1)])[:15]
    counts, rates, lows = picked[:5], picked[5:10], picked[10:15]
    extra = max(5, round(recipe.profile.sessions_per_day * 0.06))
    window = 60
    return Plan(
        on=on,
        coefficients={name: on * value for name, value in CHURN_COEFFICIENTS.items()},
        base_hazard=BASE_DAILY_HAZARD if on else NULL_DAILY_HAZARD,
        patterns={
            code: (on * size if kind == "rating_shift_sd" else 1 + on * (size - 1))
            for code, _, _, kind, size in PATTERNS
        },
        interventions=[
            Intervention(code, name, int(history * share), window, design, on * effect)
            for code, name, share, design, effect in INTERVENTIONS
        ],
        experiments=_experiments(recipe),
        count_anomalies=[(int(d), i % 3, (0.5 if i % 2 else 1.7)) for i, d in enumerate(counts)]
        if on
        else [],
        rate_anomalies=[(int(d), 2.5) for d in rates] if on else [],
        low_count_anomalies=[(int(d), extra) for d in lows] if on else [],
        outage_day=outage if on else None,
        shift_day=int(history * 0.76),
        shift_subject=2,
        shift_factor=1.25 if on else 1.0,
        shortage_subject=3,
        shortage_factor=2.2 if on else 1.0,
    )
