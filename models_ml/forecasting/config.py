"""What tunes the forecasting engines, frozen and hashed into the model version.

Here: numbers that shape a model. Not here: numbers a coach could argue with (the rulebook holds those),
business time zone and schedules (settings).
"""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class ForecastConfig:
    """Every choice an engine may read; two equal configs always carry the same hash."""

    horizon_hours: int = 168
    # 90 days cannot teach a yearly rhythm, so breaks and holidays come in as a calendar instead.
    history_days: int = 90
    interval: float = 0.95
    # Sampling costs milliseconds, the fit costs the time: 1,000 paths give stable 2.5 % tails.
    sample_paths: int = 1000
    seed: int = 20_240_101

    # Each weekday must have been seen twice, or a weekday level would rest on one day.
    min_history_days: int = 14
    min_sessions: int = 28
    # A subject without one session in this many days has stopped; a number for it would be made up.
    recent_days: int = 28
    # A slope from a few weeks, drawn out by one more, says more than the data do.
    flat_trend_below_days: int = 42

    # Weight of a day's hour-of-week share halves after this many days.
    share_half_life_days: float = 56.0
    # Bounds of the estimated Dirichlet prior strength, in sessions.
    share_prior_min_sessions: float = 10.0
    share_prior_max_sessions: float = 10_000.0

    # Seven weekday levels and about three effective trend parameters; they widen what residuals say.
    day_parameters: float = 10.0
    trend_parameters: float = 3.0
    # Days this many robust standard deviations off their weekday are not learned from ...
    outlier_z: float = 5.0
    # ... unless they are so recent that they may be news rather than noise,
    outlier_keep_recent_days: int = 7
    # ... or so many that they are the pattern, or their weekday too thin to say.
    outlier_max_share: float = 0.1
    outlier_min_level: float = 5.0
    # A falling trend line may not cross zero: never below this share of the weekday's own mean.
    floor_share_of_weekday_mean: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would make a published column lie or an engine stumble later."""
        if self.interval != 0.95:
            raise ValueError(f"interval is {self.interval}, but the columns are named lower_95 and upper_95")
        for name in ("horizon_hours", "history_days", "sample_paths", "min_history_days", "recent_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.min_history_days > self.history_days:
            raise ValueError(
                f"min_history_days {self.min_history_days} exceeds history_days {self.history_days}"
            )

    @property
    def hash8(self) -> str:
        """Eight hex digits that change whenever any number here changes, and never otherwise."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
