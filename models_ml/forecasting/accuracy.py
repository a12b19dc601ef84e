"""How good a forecast was, next to how good it could have been.

Here: WAPE, bias, coverage, pinball, MASE and the noise floor on forecasts joined with what happened. Not
here: which forecast is promoted, where accuracy is stored. MAPE appears only where it means something: it
is undefined at 0 and rewards forecasts that are too low on small counts.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.history import add_period

Floats = npt.NDArray[np.float64]
LOWER, UPPER = 0.025, 0.975
# From here on the noise floor of a count lies below 20 %.
MAPE_MIN_EXPECTED = 16.0


def join_actuals(forecasts: pl.DataFrame, actuals: pl.DataFrame) -> pl.DataFrame:
    """Put what happened beside what was expected.

    Grain: one row per forecast row whose hour is in `actuals` (subject_id, hour_start_at, sessions;
    zero-filled, see `history.complete_hours`). Hours not there yet, or left out as an outage, are left out
    here too.
    """
    return forecasts.join(
        actuals.select("subject_id", "hour_start_at", "sessions"),
        on=["subject_id", "hour_start_at"],
        how="inner",
    )


def to_periods(
    joined: pl.DataFrame,
    *,
    level: Literal["four_hours", "day"],
    time_zone: str,
    bounds: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Add hours up to whole four-hour blocks or days in business time.

    Grain: subject_id, forecast_origin_date, model_version, period; periods cut by the horizon or with hours
    missing are dropped. Intervals do not add up: they come from `bounds`, the output of `paths.summarise`
    at the same level, or are NULL.
    """
    keys = ["subject_id", "forecast_origin_date", "model_version"]
    periods = _whole_periods(joined, level, time_zone, keys)
    if bounds is None:
        nothing = pl.lit(None, pl.Float64)
        return periods.with_columns(nothing.alias("lower_95"), nothing.alias("upper_95"))
    return periods.join(
        bounds.select(*keys, "period", "lower_95", "upper_95"), on=[*keys, "period"], how="left"
    )


def seasonal_scales(history: pl.DataFrame, *, season: timedelta = timedelta(hours=168)) -> pl.DataFrame:
    """Mean absolute change from one season to the next in the history: what MASE divides by.

    Grain: one row per subject_id. `history`: subject_id, hour_start_at, sessions before the origin. For
    days, pass day totals with their start as hour_start_at and a season of 7 days.
    """
    earlier = history.select(
        "subject_id", pl.col("hour_start_at") + season, pl.col("sessions").alias("sessions_before")
    )
    return (
        history.join(earlier, on=["subject_id", "hour_start_at"], how="inner")
        .group_by("subject_id")
        .agg(
            seasonal_scale=(pl.col("sessions").cast(pl.Float64) - pl.col("sessions_before").cast(pl.Float64))
            .abs()
            .mean()
        )
        .sort("subject_id")
    )


def score(
    joined: pl.DataFrame,
    *,
    by: Sequence[str] = (),
    scales: pl.DataFrame | None = None,
    dispersion: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Measure accuracy per group of `by` (all rows as one group when empty).

    Columns: cell_count, sessions, expected_sessions, wape, bias (relative, > 0 means too many expected),
    noise_floor_wape (best WAPE anybody could expect if the forecast mean were true), coverage,
    interval_count, tail_pinball (mean of the 2.5 % and 97.5 % losses), mase (mean of |error| / scale, cells
    with a scale > 0), mape and mape_cell_count (cells with *expected* >= 16 and at least one session). NULL
    where not defined. `dispersion`: relative variance beyond Poisson per subject_id; absent means 0. Rows
    without an expectation are not cells.
    """
    cells = joined.filter(pl.col("expected_sessions").is_not_null()).with_columns(
        error=pl.col("expected_sessions") - pl.col("sessions")
    )
    extra = cells["subject_id"].replace_strict(dict(dispersion or {}), default=0.0, return_dtype=pl.Float64)
    cells = cells.with_columns(
        pl.Series("noise", expected_absolute_error(cells["expected_sessions"].to_numpy(), extra.to_numpy())),
        _joined_scale(cells, scales),
    )
    if by:
        return cells.group_by(list(by)).agg(*_measures()).sort(list(by))
    return cells.select(*_measures())


def noise_floor(expected: Floats, dispersion: Floats | float = 0.0) -> float | None:
    """Best WAPE to hope for if the counts really had these means: never below it, except by luck."""
    total = float(np.sum(expected))
    if total <= 0:
        return None
    return float(np.sum(expected_absolute_error(expected, dispersion))) / total


def expected_absolute_error(mean: Floats, dispersion: Floats | float = 0.0) -> Floats:
    """E|Y - median| of a count with this mean: Poisson, or negative binomial with variance m + d m^2."""
    from scipy import stats

    mean = np.asarray(mean, dtype=np.float64)
    extra = np.broadcast_to(np.asarray(dispersion, dtype=np.float64), mean.shape)
    result = np.zeros_like(mean)
    calm, wild = (mean > 0) & (extra <= 0), (mean > 0) & (extra > 0)
    m = mean[calm]
    median = stats.poisson.ppf(0.5, m)
    below = m * stats.poisson.cdf(median - 1, m)
    result[calm] = m - median - 2 * (below - median * stats.poisson.cdf(median, m))
    m, size = mean[wild], 1.0 / extra[wild]
    p = size / (size + m)
    median = stats.nbinom.ppf(0.5, size, p)
    # E[Y; Y <= k] of a negative binomial is its mean times the next size's distribution at k - 1.
    below = m * stats.nbinom.cdf(median - 1, size + 1, p)
    result[wild] = m - median - 2 * (below - median * stats.nbinom.cdf(median, size, p))
    return result


def _measures() -> list[pl.Expr]:
    y, q = pl.col("sessions"), pl.col("expected_sessions")
    some = y.sum() > 0
    judged = pl.col("lower_95").is_not_null() & pl.col("upper_95").is_not_null()
    inside = ((y >= pl.col("lower_95")) & (y <= pl.col("upper_95"))).filter(judged)
    tails = ((_pinball("lower_95", LOWER) + _pinball("upper_95", UPPER)) / 2).filter(judged)
    large = (q >= MAPE_MIN_EXPECTED) & (y > 0)
    scaled = (pl.col("error").abs() / pl.col("scale")).filter(pl.col("scale") > 0)
    return [
        pl.len().cast(pl.Int64).alias("cell_count"),
        y.sum().cast(pl.Int64).alias("sessions"),
        q.sum().alias("expected_sessions"),
        pl.when(some).then(pl.col("error").abs().sum() / y.sum()).alias("wape"),
        pl.when(some).then(pl.col("error").sum() / y.sum()).alias("bias"),
        pl.when(q.sum() > 0).then(pl.col("noise").sum() / q.sum()).alias("noise_floor_wape"),
        inside.mean().alias("coverage"),
        judged.sum().cast(pl.Int64).alias("interval_count"),
        tails.mean().alias("tail_pinball"),
        scaled.mean().alias("mase"),
        (pl.col("error").abs() / y).filter(large).mean().alias("mape"),
        large.sum().cast(pl.Int64).alias("mape_cell_count"),
    ]


def _pinball(bound: str, quantile: float) -> pl.Expr:
    gap = pl.col("sessions") - pl.col(bound)
    return pl.max_horizontal(quantile * gap, (quantile - 1) * gap)


def _joined_scale(cells: pl.DataFrame, scales: pl.DataFrame | None) -> pl.Series:
    if scales is None:
        return pl.Series("scale", [None] * cells.height, dtype=pl.Float64)
    joined = cells.select("subject_id").join(
        scales.select("subject_id", "seasonal_scale"), on="subject_id", how="left", maintain_order="left"
    )
    return joined["seasonal_scale"].alias("scale")


def _whole_periods(
    part: pl.DataFrame, level: Literal["four_hours", "day"], time_zone: str, keys: list[str]
) -> pl.DataFrame:
    return (
        add_period(part, level=level, time_zone=time_zone)
        .group_by(*keys, "period", "period_hours")
        .agg(
            period_start_at=pl.col("hour_start_at").min(),
            hour_count=pl.len(),
            expected_sessions=pl.col("expected_sessions").sum(),
            unknown_count=pl.col("expected_sessions").null_count(),
            sessions=pl.col("sessions").sum(),
        )
        .filter((pl.col("hour_count") == pl.col("period_hours")) & (pl.col("unknown_count") == 0))
        .drop("hour_count", "period_hours", "unknown_count")
        .sort(*keys, "period")
    )
