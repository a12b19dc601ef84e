"""Sample paths: thousands of weeks that could happen, and the quantiles read from them at any level.

Here: drawing and summarising counts. Not here: what the rates are (an engine says so).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.history import Level, add_period, local_date_of
from models_ml.forecasting.interface import Forecast, Paths

Floats = npt.NDArray[np.float64]
LOWER, UPPER = 0.025, 0.975
ALL_SUBJECTS = "all_subjects"


@dataclass(frozen=True, eq=False, kw_only=True)
class Spread:
    """How far counts may stray from the rate, as relative variances.

    `level` is shared by a whole path, `day` by the hours of a business day, `hour` (one per hour) by nobody.
    """

    level: float
    day: float
    hour: Floats


def seed_of(seed: int, subject_id: str, origin: datetime) -> int:
    """Derive a seed from the subject and origin that is the same in every process and on every machine."""
    text = f"{seed}|{subject_id}|{origin.isoformat()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def draw_paths(
    rate: Floats, day_of_hour: npt.NDArray[np.int64], spread: Spread, *, count: int, seed: int
) -> Paths:
    """Draw `count` integer paths around `rate` (sessions per hour): level x day x hour shocks, then Poisson.

    Every shock is Gamma with mean 1, so the mean of the paths is the rate. The same seed gives the same bits.
    """
    rng = np.random.default_rng(seed)
    level = _shock(rng, np.array([spread.level]), count)
    day = _shock(rng, np.full(int(day_of_hour.max()) + 1, spread.day), count)
    hour = _shock(rng, spread.hour, count)
    return rng.poisson(rate[None, :] * level * day[:, day_of_hour] * hour).astype(np.int32)


def interval_of(paths: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Return the 2.5 % and 97.5 % quantiles per column: counts that occur, so whole and never below 0."""
    lower, upper = np.quantile(paths, [LOWER, UPPER], axis=0, method="inverted_cdf")
    return lower.astype(np.float64), upper.astype(np.float64)


def summarise(forecast: Forecast, *, level: Level, across_subjects: bool = False) -> pl.DataFrame:
    """Expected sessions and 95 % interval at a coarser level, read from the same paths as the hours.

    Grain: one row per subject_id (or one `all_subjects`, whose subjects vary independently) and period in
    business time. `period_is_whole` is false where the horizon cuts a period. Raises for an engine without
    paths.
    """
    if not forecast.paths and not forecast.hourly.is_empty():
        raise ValueError(f"{forecast.model_version} has no sample paths to summarise")
    hours = pl.DataFrame({"hour_start_at": forecast.hour_starts}, schema={"hour_start_at": pl.Datetime("us")})
    periods = add_period(hours, level=level, time_zone=forecast.time_zone).with_row_index("column")
    groups = (
        periods.group_by("period", "period_is_whole", maintain_order=True)
        .agg(
            period_start_at=pl.col("hour_start_at").min(),
            hour_count=pl.len(),
            first_column=pl.col("column").min(),
        )
        .sort("first_column")
    )
    position = periods.join(
        groups.select("period").with_row_index("position"), on="period", maintain_order="left"
    )
    membership = position["position"].to_numpy()
    parts = [
        _summary_of(name, paths, rate, membership, groups)
        for name, (paths, rate) in sorted(_by_subject(forecast, across_subjects).items())
    ]
    origin_date = local_date_of(forecast.origin, forecast.time_zone)
    return (
        pl.concat(parts) if parts else _summary_of("", None, None, membership, groups).clear()
    ).with_columns(
        pl.lit(origin_date).alias("forecast_origin_date"),
        pl.lit(forecast.model_version).alias("model_version"),
    )


def _by_subject(
    forecast: Forecast, across_subjects: bool
) -> Mapping[str, tuple[npt.NDArray[np.integer], Floats]]:
    rates = {
        str(key[0]): frame.sort("hour_start_at")["expected_sessions"].to_numpy()
        for key, frame in forecast.hourly.group_by("subject_id")
    }
    if not across_subjects or not rates:
        return {name: (paths, rates[name]) for name, paths in forecast.paths.items()}
    names = sorted(forecast.paths)
    total = np.sum([forecast.paths[name] for name in names], axis=0)
    return {ALL_SUBJECTS: (total, np.sum([rates[name] for name in names], axis=0))}


def _summary_of(
    name: str,
    paths: npt.NDArray[np.integer] | None,
    rate: Floats | None,
    membership: npt.NDArray[np.integer],
    groups: pl.DataFrame,
) -> pl.DataFrame:
    width = groups.height
    expected, lower, upper = np.zeros(width), np.zeros(width), np.zeros(width)
    if paths is not None and rate is not None:
        belongs = membership[:, None] == np.arange(width)[None, :]
        expected = rate @ belongs
        lower, upper = interval_of(paths.astype(np.int64) @ belongs.astype(np.int64))
    return groups.select(
        pl.lit(name).alias("subject_id"),
        "period",
        "period_start_at",
        "period_is_whole",
        pl.col("hour_count").cast(pl.Int64),
        pl.Series("expected_sessions", expected),
        pl.Series("lower_95", lower),
        pl.Series("upper_95", upper),
    )


def _shock(rng: np.random.Generator, variance: Floats, count: int) -> Floats:
    """Gamma factors with mean 1 and the given variances (paths x len(variance)); variance 0 means exactly
    1.
    """
    varies = variance > 0
    shape = np.where(varies, 1.0 / np.where(varies, variance, 1.0), 1.0)
    drawn = rng.standard_gamma(shape, size=(count, variance.size)) / shape
    return np.where(varies[None, :], drawn, 1.0)
