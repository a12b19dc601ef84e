"""Demand and supply-demand forecasts as assets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from assets.days import as_of_range, daily_partitions
from assets.resources import WRITER_POOL, House, Turn
from data.clock import naive_utc
from data.lake.writer import LakeWriter
from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.four_week_mean import FourWeekMean
from models_ml.forecasting.history import complete_hours
from models_ml.forecasting.imbalance import supply_demand
from models_ml.forecasting.interface import Forecast, Forecaster
from models_ml.forecasting.prophet_profile import ProphetProfile

BACKTEST_WEEKS = 4
"""A backfill also forecasts from this many weekly origins before its last day, so that accuracy can be shown."""

HISTORY = (
    "select subject_id, hour_start_at, requested_sessions as sessions, session_date, is_silent_day "
    "from lake.features.ftr_hourly_demand"
)

RISK_COLUMNS = [
    "subject_id", "hour_start_at", "forecast_origin_date", "model_version", "supply_hours", "demand_hours",
    "ratio", "p_shortage", "p_surplus", "expected_unmet_sessions",
]  # fmt: skip


@dataclass(frozen=True)
class DemandResult:
    """What all engines said from one origin, and how supply stands against the champion's view."""

    forecasts: pl.DataFrame
    refusals: pl.DataFrame
    risks: pl.DataFrame


def origins_between(first: date, last: date) -> list[date]:
    """Return the forecast origins of a range: its last day, and weekly ones before it as far as the range goes."""
    weekly = [last - timedelta(weeks=week) for week in range(BACKTEST_WEEKS, 0, -1)]
    return [origin for origin in weekly if origin >= first] + [last]


def midnight_utc(day: date, time_zone: str) -> datetime:
    """Return the start of a business day as naive UTC: the instant from which that day's forecast looks ahead."""
    return naive_utc(datetime.combine(day, datetime.min.time(), ZoneInfo(time_zone)).astimezone(UTC))


def forecast_demand(
    history: pl.DataFrame,
    supply: pl.DataFrame,
    durations: Mapping[str, float],
    limits: Mapping[str, float],
    *,
    day: date,
    time_zone: str,
    config: ForecastConfig,
) -> DemandResult:
    """Forecast all subjects with every engine from the start of a day, and weigh supply against the first engine.

    Pure. history: subject_id, hour_start_at, sessions, session_date, is_silent_day (a day on which no subject had
    a session is a feed that failed, not a day without demand); supply: subject_id, hour_start_at, supply_hours, empty
    when the source has no availability: then nothing is said about shortages.
    """
    origin = midnight_utc(day, time_zone)
    before = history.filter(pl.col("hour_start_at") < origin)
    if before.is_empty():
        return DemandResult(pl.DataFrame(), pl.DataFrame(), pl.DataFrame())
    start = before["hour_start_at"].min()
    assert isinstance(start, datetime)
    counts = before.select("subject_id", "hour_start_at", "sessions")
    filled = complete_hours(counts, start_at=start, end_at=origin)
    silent = before.filter(pl.col("is_silent_day"))["session_date"].unique().to_list()
    engines: list[Forecaster] = [ProphetProfile(), FourWeekMean()]
    views = [
        engine.forecast(filled, origin, time_zone=time_zone, config=config, outage_dates=silent)
        for engine in engines
    ]
    return DemandResult(
        forecasts=_with_champion([view.hourly for view in views]),
        refusals=pl.concat([view.not_forecast for view in views]).select(
            "subject_id", "forecast_origin_date", "model_version", "not_forecast_reason"
        ),
        risks=_risks(views[0], supply, durations, limits),
    )


def _with_champion(views: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join the views of all engines; of each subject the first engine that has one is the champion."""
    known: list[str] = []
    marked = []
    for hours in views:
        marked.append(hours.with_columns(is_champion=~pl.col("subject_id").is_in(known)))
        known += hours["subject_id"].unique().to_list()
    return pl.concat(marked)


def _risks(
    champion: Forecast, supply: pl.DataFrame, durations: Mapping[str, float], limits: Mapping[str, float]
) -> pl.DataFrame:
    if supply.is_empty() or champion.hourly.is_empty():
        return pl.DataFrame()
    return supply_demand(
        champion,
        supply,
        mean_session_hours=durations,
        shortage_below=limits["shortage_ratio"],
        surplus_above=limits["surplus_ratio"],
    ).select(RISK_COLUMNS)


def _read_inputs(lake: LakeWriter) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, float], dict[str, float]]:
    history = lake.read(HISTORY)
    supply = lake.read("select subject_id, hour_start_at, supply_hours from lake.features.ftr_tutor_supply")
    durations = lake.read("select subject_id, mean_session_hours from lake.features.ftr_subject_durations")
    limits = lake.read("select limit_name, value from lake.rulebook.forecast_limits")
    return history, supply, dict(durations.iter_rows()), dict(limits.iter_rows())


def build_demand_assets(time_zone: str) -> dg.AssetsDefinition:
    """Return the three ml tables as one step: they come from the same sample paths."""
    names = ("demand_forecasts", "supply_demand_risks", "forecast_refusals")

    @dg.multi_asset(
        name="demand",
        pool=WRITER_POOL,
        specs=[
            dg.AssetSpec(
                ["ml", name],
                deps=[
                    ["features", "ftr_hourly_demand"],
                    ["features", "ftr_tutor_supply"],
                    ["features", "ftr_subject_durations"],
                    ["rulebook", "forecast_limits"],
                ],
                group_name="ml",
                kinds={"python", "prophet"},
            )
            for name in names
        ],
        partitions_def=daily_partitions(time_zone),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def demand(
        context: dg.AssetExecutionContext, house: dg.ResourceParam[House], turn: dg.ResourceParam[Turn]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Hourly demand and the odds of a shortage. Rerunning an origin replaces that origin."""
        first, last = as_of_range(context)
        rows = dict.fromkeys(names, 0)
        with house.lake() as lake:
            history, supply, durations, limits = _read_inputs(lake)
            for origin in origins_between(first, last):
                result = forecast_demand(
                    history,
                    supply if origin == last else supply.clear(),
                    durations,
                    limits,
                    day=origin,
                    time_zone=house.settings.business_time_zone,
                    config=ForecastConfig(horizon_hours=192),
                )
                frames = (result.forecasts, result.risks, result.refusals)
                for name, frame in zip(names, frames, strict=True):
                    lake.replace_day(f"ml.{name}", frame, column="forecast_origin_date", day=origin)
                    rows[name] += frame.height
                context.log.info(f"{origin}: {result.forecasts.height} forecast hours")
        for name in names:
            yield dg.MaterializeResult(
                asset_key=["ml", name], metadata={"dagster/row_count": rows[name], "origin": last.isoformat()}
            )

    return demand
