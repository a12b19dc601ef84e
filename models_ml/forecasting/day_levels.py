"""How many sessions a subject gets per business day: one Prophet fit on daily totals.

Here: the fit, days too odd to learn from, the floor under a falling line. Not here: hours and uncertainty.
"""

import logging
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.config import ForecastConfig

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
MAD_TO_SD = 1.4826


@dataclass(frozen=True, eq=False, kw_only=True)
class DayLevels:
    """Fitted and coming day levels of one subject.

    `fitted`: local_date, weekday, sessions, level, is_outlier per history day; `coming`: local_date, level,
    trend, weekday_effect, holiday_effect per forecast day. Levels are sessions per day.
    """

    fitted: pl.DataFrame
    coming: pl.DataFrame
    is_trend_flat: bool


def fit_day_levels(
    days: pl.DataFrame, coming_dates: list[date], *, holidays: pl.DataFrame | None, config: ForecastConfig
) -> DayLevels:
    """Fit Prophet on `days` (local_date, weekday, sessions; whole days only, oldest first) and extend it.

    Outlier days are not learned from, holidays never are outliers. Deterministic for equal input.
    """
    is_flat = days.height < config.flat_trend_below_days
    exempt = [] if holidays is None else holidays["date"].to_list()
    outlier = find_outliers(days, exempt=exempt, config=config)
    learned = days.filter(~outlier)
    fitted, coming = _fit(learned, days["local_date"].to_list(), coming_dates, holidays, config, is_flat)
    means = learned.group_by("weekday").agg(pl.col("sessions").mean().alias("weekday_mean"))
    floor = pl.col("weekday_mean").fill_null(0.0) * config.floor_share_of_weekday_mean
    level = pl.max_horizontal("level", floor).alias("level")
    return DayLevels(
        fitted=_floored(days.with_columns(level=fitted, is_outlier=outlier), means, level),
        coming=_floored(coming.with_columns(weekday=_weekday_of("local_date")), means, level),
        is_trend_flat=is_flat,
    )


def find_outliers(days: pl.DataFrame, *, exempt: list[date], config: ForecastConfig) -> npt.NDArray[np.bool_]:
    """Mark days far off the same weekday's median in the weeks around, one flag per row of `days`.

    Not marked: days named in `exempt`, days so recent or outliers so many that they may be the new normal,
    and weekdays so thin that a handful of sessions is no surprise. Looks before the fit, because one absurd
    day bends the fit until its neighbours look absurd.
    """
    sessions = days["sessions"].to_numpy().astype(np.float64)
    weekday = days["weekday"].to_numpy()
    usual = np.zeros_like(sessions)
    for day in range(7):
        rows = np.flatnonzero(weekday == day)
        for place, row in enumerate(rows):
            first = max(0, min(place - 4, rows.size - 9))
            usual[row] = np.median(sessions[rows[first : first + 9]])
    residual = (sessions - usual) / np.sqrt(np.maximum(usual, 1.0))
    spread = max(1.0, MAD_TO_SD * float(np.median(np.abs(residual))))
    outlier = (np.abs(residual) > config.outlier_z * spread) & (usual >= config.outlier_min_level)
    outlier[max(0, outlier.size - config.outlier_keep_recent_days) :] = False
    outlier &= ~days["local_date"].is_in(exempt).to_numpy()
    return outlier if outlier.mean() <= config.outlier_max_share else np.zeros_like(outlier)


def _fit(
    learned: pl.DataFrame,
    past_dates: list[date],
    coming_dates: list[date],
    holidays: pl.DataFrame | None,
    config: ForecastConfig,
    is_flat: bool,
) -> tuple[Floats, pl.DataFrame]:
    """Fit once; return the level of each past date, and level and drivers of each coming date."""
    import pandas as pd

    model = _new_model(holidays, is_flat)
    observed = pd.DataFrame(
        {
            "ds": pd.to_datetime(learned["local_date"].to_list()),
            "y": learned["sessions"].to_numpy().astype(np.float64),
        }
    )
    model.fit(observed, seed=config.seed % 2**31)
    # Prophet sorts what it is asked; the dates here are in order already, history before future.
    asked = pd.DataFrame({"ds": pd.to_datetime([*past_dates, *coming_dates])})
    answer: pd.DataFrame = model.predict(asked)
    level = _effect(answer, "yhat")
    ahead = answer.iloc[len(past_dates) :]
    return level[: len(past_dates)], pl.DataFrame(
        {
            "local_date": coming_dates,
            "level": level[len(past_dates) :],
            "trend": _effect(ahead, "trend"),
            "weekday_effect": _effect(ahead, "weekly"),
            "holiday_effect": _effect(ahead, "holidays"),
        },
        schema_overrides={"local_date": pl.Date},
    )


def _new_model(holidays: pl.DataFrame | None, is_flat: bool) -> Any:
    # Both write to stderr on every import or fit what nobody can act on.
    logging.getLogger("cmdstanpy").disabled = True
    logging.getLogger("prophet.plot").disabled = True
    import pandas as pd
    from prophet import Prophet

    logging.getLogger("prophet").setLevel(logging.WARNING)
    calendar = None
    if holidays is not None and not holidays.is_empty():
        calendar = pd.DataFrame(
            {
                "holiday": holidays["holiday_name"].to_list(),
                "ds": pd.to_datetime(holidays["date"].to_list()),
            }
        )
    return Prophet(
        growth="flat" if is_flat else "linear",
        weekly_seasonality=True,
        yearly_seasonality=False,
        daily_seasonality=False,
        seasonality_mode="multiplicative",
        holidays=calendar,
        # The intervals come from our own sample paths: Prophet's know nothing of counts.
        uncertainty_samples=0,
    )


def _effect(answer: "pd.DataFrame", column: str) -> Floats:
    if column not in answer.columns:
        return np.zeros(len(answer))
    return np.asarray(answer[column], dtype=np.float64)


def _weekday_of(column: str) -> pl.Expr:
    return (pl.col(column).dt.weekday() - 1).cast(pl.Int64)


def _floored(frame: pl.DataFrame, means: pl.DataFrame, level: pl.Expr) -> pl.DataFrame:
    joined = frame.join(means, on="weekday", how="left", maintain_order="left")
    return joined.with_columns(level).drop("weekday_mean")
