"""The seed's engine: the mean of the last four weeks per subject and hour of the week, give or take 1.96 sd.

Here: that formula exactly, and the one-week-ago baseline every other engine is measured against. Not here:
distributions; the interval is the seed's and is known to be too narrow.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl

from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.history import calendar_ahead, local_date_of, prepare
from models_ml.forecasting.interface import HOURLY_SCHEMA, Forecast

WEEKS = 4
Z_95 = 1.96


class FourWeekMean:
    """Mean per subject x weekday x hour (business time) of the 28 days before the origin."""

    def model_version(self, config: ForecastConfig) -> str:
        """Name the formula; the config does not touch it."""
        return "four_week_mean-1"

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
        """Forecast the mean, with mean - and + 1.96 sample sd clipped at 0 as bounds. Holidays are not
        used.

        The bounds are NULL where a bucket has fewer than two observations, and so is the mean where it has
        none. A subject that started less than four weeks ago is averaged over the weeks it has.
        """
        return _bucket_forecast(
            self.model_version(config), WEEKS, history, origin, time_zone, config, outage_dates
        )


class SeasonalNaive:
    """The same hour one week ago: the yardstick, not a candidate."""

    def model_version(self, config: ForecastConfig) -> str:
        """Name the formula; the config does not touch it."""
        return "seasonal_naive-1"

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
        """Forecast last week's count; one observation has no spread, so the bounds are NULL."""
        return _bucket_forecast(
            self.model_version(config), 1, history, origin, time_zone, config, outage_dates
        )


def _bucket_forecast(
    version: str,
    weeks: int,
    history: pl.DataFrame,
    origin: datetime,
    time_zone: str,
    config: ForecastConfig,
    outage_dates: Collection[date],
) -> Forecast:
    window = replace(config, history_days=max(config.history_days, 7 * WEEKS))
    ready = prepare(
        history, origin, time_zone=time_zone, config=window, model_version=version, outage_dates=outage_dates
    )
    ahead = calendar_ahead(origin, time_zone=time_zone, config=config)
    recent = ready.hours.filter(
        (pl.col("hour_start_at") >= origin - timedelta(weeks=weeks)) & ~pl.col("is_outage")
    )
    return Forecast(
        model_version=version,
        origin=origin,
        time_zone=time_zone,
        hour_starts=ahead["hour_start_at"].to_list(),
        hourly=_bucket_rows(
            ready.hours.select("subject_id").unique().join(ahead, how="cross"),
            recent,
            local_date_of(origin, time_zone),
            version,
        ),
        not_forecast=ready.refused,
    )


def _bucket_rows(ahead: pl.DataFrame, recent: pl.DataFrame, today: date, version: str) -> pl.DataFrame:
    """Give every coming hour (subject x hour) the mean and spread of its bucket in the recent hours."""
    bucket = ["subject_id", "weekday", "local_hour"]
    buckets = recent.group_by(bucket).agg(
        mean=pl.col("sessions").mean(), spread=Z_95 * pl.col("sessions").std(ddof=1)
    )
    return (
        ahead.join(buckets, on=bucket, how="left")
        .select(
            "subject_id",
            "hour_start_at",
            pl.lit(today).alias("forecast_origin_date"),
            pl.lit(version).alias("model_version"),
            pl.col("mean").alias("expected_sessions"),
            (pl.col("mean") - pl.col("spread")).clip(lower_bound=0.0).alias("lower_95"),
            (pl.col("mean") + pl.col("spread")).alias("upper_95"),
        )
        .sort("subject_id", "hour_start_at")
        .cast(pl.Schema(HOURLY_SCHEMA))
    )
