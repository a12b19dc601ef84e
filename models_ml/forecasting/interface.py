"""What a forecaster is given and what it hands back, the same for every engine.

Here: the Forecast record, the Forecaster protocol, empty frames with the right columns. Not here: any
arithmetic.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.config import ForecastConfig

Paths = npt.NDArray[np.int32]

HOURLY_SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.String(),
    "hour_start_at": pl.Datetime("us"),
    "forecast_origin_date": pl.Date(),
    "model_version": pl.String(),
    "expected_sessions": pl.Float64(),
    "lower_95": pl.Float64(),
    "upper_95": pl.Float64(),
}
NOT_FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.String(),
    "forecast_origin_date": pl.Date(),
    "model_version": pl.String(),
    "not_forecast_reason": pl.String(),
    "history_days": pl.Int64(),
    "sessions": pl.Int64(),
}
DRIVERS_SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.String(),
    "date": pl.Date(),
    "trend_sessions": pl.Float64(),
    "weekday_effect": pl.Float64(),
    "holiday_effect": pl.Float64(),
    "expected_day_sessions": pl.Float64(),
}
DIAGNOSTICS_SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.String(),
    "history_days": pl.Int64(),
    "outlier_days": pl.Int64(),
    "is_trend_flat": pl.Boolean(),
    "day_shock_variance": pl.Float64(),
    "level_variance": pl.Float64(),
    "hour_dispersion": pl.Float64(),
    "share_prior_sessions": pl.Float64(),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecast:
    """One engine's view of the hours from `origin` on.

    `hourly` has one row per forecast subject and hour, `not_forecast` one row per refused subject with its
    reason. `paths` maps subject_id to integer counts of shape (sample paths, hours), column i being
    `hour_starts[i]`; it is empty for an engine that has no distribution. `drivers` (per subject and
    business date) says what makes a day large or small, effects as shares of the trend; `diagnostics` (per
    subject) says what was estimated.
    """

    model_version: str
    origin: datetime
    time_zone: str
    hour_starts: Sequence[datetime]
    hourly: pl.DataFrame
    not_forecast: pl.DataFrame
    paths: Mapping[str, Paths] = field(default_factory=dict)
    drivers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DRIVERS_SCHEMA))
    diagnostics: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DIAGNOSTICS_SCHEMA))


class Forecaster(Protocol):
    """An engine: the same history, origin and config always give the same forecast, bit for bit."""

    def model_version(self, config: ForecastConfig) -> str:
        """Name the formula, and the config where the engine has anything to tune."""
        ...

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
        """Forecast `horizon_hours` hours per subject, the first one starting at `origin`.

        `history`: subject_id, hour_start_at (naive UTC, whole hours), sessions; zero-filled up to the
        origin (see `history.complete_hours`), else ValueError names the subject with gaps. Rows at or after
        the origin are ignored. `origin`: naive UTC, a whole hour. `holidays`: holiday_name, date (business
        dates, past and future). `outage_dates`: business dates on which a zero is not demand.
        """
        ...
