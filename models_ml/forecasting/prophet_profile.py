"""Engine A: Prophet says how large each day is, hour-of-week shares how it spreads, sample paths how sure
we are.

Why not Prophet on hours: its weekly curve smooths away the peaks, and its intervals know nothing of counts.
Here: putting the three together per subject. Not here: the parts themselves.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.day_levels import DayLevels, fit_day_levels
from models_ml.forecasting.history import calendar_ahead, local_date_of, prepare
from models_ml.forecasting.interface import (
    DIAGNOSTICS_SCHEMA,
    DRIVERS_SCHEMA,
    HOURLY_SCHEMA,
    Forecast,
    Paths,
)
from models_ml.forecasting.paths import Floats, Spread, draw_paths, interval_of, seed_of
from models_ml.forecasting.shares import HourShares, shrink_shares, weighted_counts

NAME = "prophet_profile-1"
# Below this many sessions an hour never matters, and a division by it only makes noise.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class _Subject:
    """Everything estimated for one subject."""

    subject_id: str
    days: DayLevels
    rate: Floats
    paths: Paths
    diagnostics: dict[str, object]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Job:
    """What is the same for every subject of one forecast."""

    origin: datetime
    today: date
    ahead: pl.DataFrame
    dates: list[date]
    everybody: Floats
    holidays: pl.DataFrame | None
    config: ForecastConfig


class ProphetProfile:
    """Daily Prophet x hour-of-week share, with counted uncertainty at every level."""

    def model_version(self, config: ForecastConfig) -> str:
        """Name the formula and the config it ran with."""
        return f"{NAME}-{config.hash8}"

    def forecast(
        self,
        history: pl.DataFrame,
        origin: datetime,
        *,
        time_zone: str,
        config: ForecastConfig,
        holidays: pl.DataFrame | None = None,
        outage_dates: Collection[date] = (),
    ) -> Forecast:
        """Forecast every subject with enough history; one Prophet fit each.

        `expected_sessions` is the mean of the rate, the bounds are quantiles of the paths. Subjects do not
        draw from one another's random numbers, so adding one leaves the others' shocks as they were.
        """
        version = self.model_version(config)
        ready = prepare(
            history,
            origin,
            time_zone=time_zone,
            config=config,
            model_version=version,
            outage_dates=outage_dates,
        )
        learnable = ready.hours.filter(pl.col("is_whole_day") & ~pl.col("is_outage"))
        job = _new_job(learnable, origin, time_zone, holidays, config)
        subjects = [
            _forecast_subject(str(key[0]), hours, job)
            for key, hours in learnable.group_by("subject_id", maintain_order=True)
        ]
        starts = job.ahead["hour_start_at"].to_list()
        return Forecast(
            model_version=version,
            origin=origin,
            time_zone=time_zone,
            hour_starts=starts,
            hourly=_hourly(subjects, starts, job.today, version),
            not_forecast=ready.refused,
            paths={subject.subject_id: subject.paths for subject in subjects},
            drivers=_drivers(subjects),
            diagnostics=pl.DataFrame([s.diagnostics for s in subjects], schema=DIAGNOSTICS_SCHEMA),
        )


def _new_job(
    learnable: pl.DataFrame,
    origin: datetime,
    time_zone: str,
    holidays: pl.DataFrame | None,
    config: ForecastConfig,
) -> _Job:
    today = local_date_of(origin, time_zone)
    ahead = calendar_ahead(origin, time_zone=time_zone, config=config)
    return _Job(
        origin=origin,
        today=today,
        ahead=ahead,
        dates=ahead["local_date"].unique().sort().to_list(),
        everybody=_counts(learnable, today, config),
        holidays=holidays,
        config=config,
    )


def _forecast_subject(subject_id: str, hours: pl.DataFrame, job: _Job) -> _Subject:
    """Estimate day levels, shares and variances of one subject, then draw its paths."""
    daily = hours.group_by("local_date", "weekday").agg(pl.col("sessions").sum()).sort("local_date")
    days = fit_day_levels(daily, job.dates, holidays=job.holidays, config=job.config)
    ordinary = days.fitted.filter(~pl.col("is_outlier"))
    kept = hours.join(
        ordinary.select("local_date", day_sessions="sessions"), on="local_date", maintain_order="left"
    )
    shares = shrink_shares(_counts(kept, job.today, job.config), job.everybody, job.config)
    dispersion = hour_dispersion(kept, shares)
    squares = (shares.share**2).sum(axis=1)[ordinary["weekday"].to_numpy()]
    counted, fitted = _as_floats(ordinary["sessions"].to_numpy()), ordinary["level"].to_numpy()
    day_variance = day_shock_variance(counted, fitted, squares * dispersion, job.config)
    level_variance = level_shock_variance(counted, fitted, day_variance, job.config)
    rate, paths = _draw(subject_id, days, shares, (level_variance, day_variance, dispersion), job)
    diagnostics: dict[str, object] = {
        "subject_id": subject_id,
        "history_days": daily.height,
        "outlier_days": int(days.fitted["is_outlier"].sum()),
        "is_trend_flat": days.is_trend_flat,
        "day_shock_variance": day_variance,
        "level_variance": level_variance,
        "hour_dispersion": dispersion,
        "share_prior_sessions": shares.prior_sessions,
    }
    return _Subject(subject_id=subject_id, days=days, rate=rate, paths=paths, diagnostics=diagnostics)


def _draw(
    subject_id: str, days: DayLevels, shares: HourShares, variances: tuple[float, float, float], job: _Job
) -> tuple[Floats, Paths]:
    """Return the rate per forecast hour and the paths around it; `variances` are level, day and hour."""
    weekday, hour = job.ahead["weekday"].to_numpy(), job.ahead["local_hour"].to_numpy()
    position = {day: index for index, day in enumerate(job.dates)}
    day_of_hour = np.array([position[day] for day in job.ahead["local_date"]], dtype=np.int64)
    rate = days.coming["level"].to_numpy()[day_of_hour] * shares.share[weekday, hour]
    # What is not known about a share is one more reason for its hour to stray.
    evidence = shares.evidence[weekday, hour]
    unknown = np.divide(1.0, evidence, out=np.zeros_like(evidence), where=evidence > NEGLIGIBLE)
    level, day, dispersion = variances
    spread = Spread(level=level, day=day, hour=dispersion + unknown)
    seed = seed_of(job.config.seed, subject_id, job.origin)
    return rate, draw_paths(rate, day_of_hour, spread, count=job.config.sample_paths, seed=seed)


def day_shock_variance(sessions: Floats, level: Floats, from_hours: Floats, config: ForecastConfig) -> float:
    """Relative variance of days beyond counting noise and beyond what hourly overdispersion brings.

    Residuals of a fit are too small; n / (n - parameters) puts back what the fit took. 0 when days vary no
    more than counts must.
    """
    size = sessions.size
    spent = min(config.day_parameters, size / 2)
    squared = (sessions - level) ** 2 * size / (size - spent)
    weight = float(np.sum(level**2))
    if weight <= 0:
        return 0.0
    return max(0.0, float(np.sum(squared - level - from_hours * level**2)) / weight)


def hour_dispersion(kept: pl.DataFrame, shares: HourShares) -> float:
    """Relative variance of hours beyond counting noise, given how many sessions their day had.

    `kept` needs weekday, local_hour, sessions and day_sessions. 0 when hours vary no more than counts must.
    """
    share = shares.share[kept["weekday"].to_numpy(), kept["local_hour"].to_numpy()]
    expected = kept["day_sessions"].to_numpy() * share
    spent = min(shares.parameters, kept.height / 2)
    squared = (kept["sessions"].to_numpy() - expected) ** 2 * kept.height / (kept.height - spent)
    weight = float(np.sum(expected**2))
    if weight <= 0:
        return 0.0
    return max(0.0, float(np.sum(squared - expected * (1 - share))) / weight)


def level_shock_variance(
    sessions: Floats, level: Floats, day_variance: float, config: ForecastConfig
) -> float:
    """Relative variance of a whole week's level, beyond what its days bring independently.

    Two parts: weeks in the past that strayed as one, and the end of the trend line, where a curve of p
    parameters through n days is p^2 / n times as unsure as one day.
    """
    weeks = sessions.size // 7
    if weeks == 0 or level.mean() <= 0:
        return 0.0
    tail = slice(sessions.size - 7 * weeks, None)
    by_week, fitted = sessions[tail].reshape(weeks, 7), level[tail].reshape(weeks, 7)
    total = np.maximum(fitted.sum(axis=1), 1.0)
    strayed = ((by_week.sum(axis=1) - fitted.sum(axis=1)) / total) ** 2
    by_chance = (fitted.sum(axis=1) + day_variance * (fitted**2).sum(axis=1)) / total**2
    spent = min(config.trend_parameters, weeks / 2)
    together = max(0.0, float(np.mean(strayed)) * weeks / (weeks - spent) - float(np.mean(by_chance)))
    at_the_end = config.trend_parameters**2 / sessions.size * (day_variance + 1.0 / float(level.mean()))
    return together + at_the_end


def _counts(hours: pl.DataFrame, today: date, config: ForecastConfig) -> Floats:
    age = (pl.lit(today) - pl.col("local_date")).dt.total_days()
    return weighted_counts(
        hours["weekday"].to_numpy(),
        hours["local_hour"].to_numpy(),
        hours["sessions"].to_numpy().astype(np.float64),
        _as_floats(hours.select(age).to_series().to_numpy()),
        config,
    )


def _as_floats(values: npt.NDArray[np.generic]) -> Floats:
    return values.astype(np.float64)


def _hourly(subjects: list[_Subject], starts: list[datetime], today: date, version: str) -> pl.DataFrame:
    parts = []
    for subject in subjects:
        lower, upper = interval_of(subject.paths)
        parts.append(
            pl.DataFrame({"hour_start_at": starts}).select(
                pl.lit(subject.subject_id).alias("subject_id"),
                pl.col("hour_start_at").cast(pl.Datetime("us")),
                pl.lit(today).alias("forecast_origin_date"),
                pl.lit(version).alias("model_version"),
                pl.Series("expected_sessions", subject.rate),
                pl.Series("lower_95", lower),
                pl.Series("upper_95", upper),
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema=HOURLY_SCHEMA)


def _drivers(subjects: list[_Subject]) -> pl.DataFrame:
    parts = [
        subject.days.coming.select(
            pl.lit(subject.subject_id).alias("subject_id"),
            pl.col("local_date").alias("date"),
            pl.col("trend").alias("trend_sessions"),
            "weekday_effect",
            "holiday_effect",
            pl.col("level").alias("expected_day_sessions"),
        )
        for subject in subjects
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=DRIVERS_SCHEMA)
