"""Demand history as the engines need it: complete, in business time, and enough of it.

Here: zero-filling, checks, business calendar columns, the decision whether a subject can be forecast. Not
here: any model, and what counts as demand (dbt decides).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.interface import NOT_FORECAST_SCHEMA

HOUR = timedelta(hours=1)
Level = Literal["hour", "four_hours", "day", "horizon"]

TOO_LITTLE_HISTORY = "too_little_history"
TOO_FEW_SESSIONS = "too_few_sessions"
NO_RECENT_SESSIONS = "no_recent_sessions"


@dataclass(frozen=True, eq=False)
class ReadyHistory:
    """History split by what can be done with it.

    `hours`: per usable subject and hour of the window, with local_date, weekday (0 = Monday), local_hour,
    is_whole_day and is_outage. `refused`: one row per subject that is not forecast, with its reason.
    """

    hours: pl.DataFrame
    refused: pl.DataFrame


def complete_hours(counts: pl.DataFrame, *, start_at: datetime, end_at: datetime) -> pl.DataFrame:
    """Fill every hour without a row with 0 sessions, from `start_at` up to but not including `end_at`.

    Grain: one row per subject_id and hour_start_at (naive UTC). A subject is filled from its first row on,
    so one that started late keeps its late start. Raises on duplicate or crooked hours. Filling twice
    changes nothing. An hour that failed to load also becomes 0 here: name its business date in
    `outage_dates`.
    """
    _check_hours(counts)
    for moment in (start_at, end_at):
        check_origin(moment)
    if start_at >= end_at:
        raise ValueError(f"start_at {start_at} is not before end_at {end_at}")
    spans = (
        counts.filter(pl.col("hour_start_at") < end_at)
        .group_by("subject_id")
        .agg(first_at=pl.max_horizontal(pl.col("hour_start_at").min(), pl.lit(start_at, pl.Datetime("us"))))
    )
    hours = spans.with_columns(
        hour_start_at=pl.datetime_ranges("first_at", pl.lit(end_at - HOUR, pl.Datetime("us")), interval="1h")
    ).explode("hour_start_at")
    return (
        hours.join(counts, on=["subject_id", "hour_start_at"], how="left")
        .select("subject_id", "hour_start_at", pl.col("sessions").fill_null(0).cast(pl.Int64))
        .sort("subject_id", "hour_start_at")
    )


def check_origin(origin: datetime) -> None:
    """Raise unless `origin` is a naive whole hour (UTC is meant)."""
    if origin.tzinfo is not None:
        raise ValueError(f"{origin} carries a time zone; pass naive UTC")
    if origin.minute or origin.second or origin.microsecond:
        raise ValueError(f"{origin} is not a whole hour")


def local_date_of(moment: datetime, time_zone: str) -> date:
    """Return the business date of a naive UTC moment."""
    return moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(time_zone)).date()


def add_local_calendar(frame: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    """Add local_date, weekday (0 = Monday) and local_hour of `hour_start_at` in the business time zone."""
    local = pl.col("hour_start_at").dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
    return frame.with_columns(
        local_date=local.dt.date(),
        weekday=(local.dt.weekday() - 1).cast(pl.Int64),
        local_hour=local.dt.hour().cast(pl.Int64),
    )


def add_period(frame: pl.DataFrame, *, level: Level, time_zone: str) -> pl.DataFrame:
    """Add `period` (a sortable key in business time), `period_is_whole` and `period_hours`.

    A four-hour block or day is whole when the frame's time span reaches from its first hour to its last, 23
    and 25 hour days included; `period_hours` is how many that is. A horizon is always whole.
    """
    if level in ("hour", "horizon"):
        key = pl.col("hour_start_at").dt.to_string("%Y-%m-%dT%H") if level == "hour" else pl.lit("horizon")
        length = pl.lit(1) if level == "hour" else pl.col("hour_start_at").n_unique()
        return frame.with_columns(
            period=key, period_is_whole=pl.lit(True), period_hours=length.cast(pl.Int64)
        )
    first, last = frame["hour_start_at"].min(), frame["hour_start_at"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return frame.with_columns(
            period=pl.lit(None, pl.String),
            period_is_whole=pl.lit(None, pl.Boolean),
            period_hours=pl.lit(None, pl.Int64),
        )
    margin = timedelta(hours=26)
    spine = _label_period(
        pl.DataFrame({"hour_start_at": pl.datetime_range(first - margin, last + margin, "1h", eager=True)}),
        level,
        time_zone,
    )
    whole = spine.group_by("period").agg(
        period_is_whole=((pl.col("hour_start_at") >= first) & (pl.col("hour_start_at") <= last)).all(),
        period_hours=pl.len().cast(pl.Int64),
    )
    return _label_period(frame, level, time_zone).join(whole, on="period", how="left", maintain_order="left")


def prepare(
    history: pl.DataFrame,
    origin: datetime,
    *,
    time_zone: str,
    config: ForecastConfig,
    model_version: str,
    outage_dates: Collection[date] = (),
) -> ReadyHistory:
    """Cut the history window before `origin`, put it in business time and refuse what cannot be forecast.

    A subject starts with its first session in the window: the empty hours before it are not demand of 0,
    because nobody could book yet. Raises with the subject_id if hours are missing inside the window.
    """
    check_origin(origin)
    _check_hours(history)
    start_at = origin - timedelta(days=config.history_days)
    window = history.filter((pl.col("hour_start_at") >= start_at) & (pl.col("hour_start_at") < origin))
    _check_no_gaps(window, origin)
    subjects = history.filter(pl.col("hour_start_at") < origin).select("subject_id").unique()
    started = _from_first_session(window)
    hours = _mark_days(add_local_calendar(started, time_zone), origin, time_zone).with_columns(
        is_outage=pl.col("local_date").is_in(list(outage_dates))
    )
    evidence = _evidence(subjects, hours, origin, config)
    refused = evidence.filter(pl.col("not_forecast_reason").is_not_null()).select(
        "subject_id",
        pl.lit(local_date_of(origin, time_zone)).alias("forecast_origin_date"),
        pl.lit(model_version).alias("model_version"),
        "not_forecast_reason",
        "history_days",
        "sessions",
    )
    usable = hours.join(refused, on="subject_id", how="anti").sort("subject_id", "hour_start_at")
    return ReadyHistory(usable, refused.sort("subject_id").cast(pl.Schema(NOT_FORECAST_SCHEMA)))


def calendar_ahead(origin: datetime, *, time_zone: str, config: ForecastConfig) -> pl.DataFrame:
    """List the forecast hours in business time: exactly `horizon_hours` of them, whatever the clocks do."""
    starts = [origin + i * HOUR for i in range(config.horizon_hours)]
    frame = pl.DataFrame({"hour_start_at": starts}, schema={"hour_start_at": pl.Datetime("us")})
    return add_local_calendar(frame, time_zone)


def _label_period(frame: pl.DataFrame, level: Level, time_zone: str) -> pl.DataFrame:
    labelled = add_local_calendar(frame, time_zone)
    day = pl.col("local_date").dt.to_string("%Y-%m-%d")
    block = (pl.col("local_hour") // 4 * 4).cast(pl.String).str.zfill(2)
    key = day if level == "day" else pl.concat_str([day, block], separator="T")
    return labelled.with_columns(period=key).drop("local_date", "weekday", "local_hour")


def _check_hours(counts: pl.DataFrame) -> None:
    missing = {"subject_id", "hour_start_at", "sessions"} - set(counts.columns)
    if missing:
        raise ValueError(f"history lacks the columns {sorted(missing)}")
    if counts.schema["hour_start_at"] != pl.Datetime("us"):
        raise ValueError(f"hour_start_at is {counts.schema['hour_start_at']}, expected naive Datetime('us')")
    bad = counts.filter(
        pl.any_horizontal(pl.col("subject_id", "hour_start_at", "sessions").is_null())
        | (pl.col("sessions") < 0)
        | (pl.col("hour_start_at") != pl.col("hour_start_at").dt.truncate("1h"))
        | pl.struct("subject_id", "hour_start_at").is_duplicated()
    )
    if not bad.is_empty():
        row = bad.row(0, named=True)
        raise ValueError(
            f"{bad.height} history rows are null, negative, not a whole hour or duplicate; "
            f"first: subject {row['subject_id']} at {row['hour_start_at']} with {row['sessions']}"
        )


def _check_no_gaps(window: pl.DataFrame, origin: datetime) -> None:
    spans = window.group_by("subject_id").agg(
        present=pl.len(),
        expected=(pl.lit(origin, pl.Datetime("us")) - pl.col("hour_start_at").min()).dt.total_hours(),
    )
    gaps = spans.filter(pl.col("present") != pl.col("expected")).sort("subject_id")
    if not gaps.is_empty():
        row = gaps.row(0, named=True)
        raise ValueError(
            f"history of subject {row['subject_id']} has {row['present']} of {row['expected']} hours before "
            f"{origin}; fill it with complete_hours ({gaps.height} subjects affected)"
        )


def _from_first_session(window: pl.DataFrame) -> pl.DataFrame:
    first = (
        window.filter(pl.col("sessions") > 0)
        .group_by("subject_id")
        .agg(first_session_at=pl.col("hour_start_at").min())
    )
    return (
        window.join(first, on="subject_id", how="inner")
        .filter(pl.col("hour_start_at") >= pl.col("first_session_at"))
        .drop("first_session_at")
    )


def _mark_days(hours: pl.DataFrame, origin: datetime, time_zone: str) -> pl.DataFrame:
    """Mark the days that are in the history from their first to their last hour."""
    unfinished = local_date_of(origin, time_zone) if _splits_a_day(origin, time_zone) else None
    started = hours.group_by("subject_id").agg(first_at=pl.col("hour_start_at").min())
    before = add_local_calendar(
        started.select("subject_id", hour_start_at=pl.col("first_at") - pl.duration(hours=1)), time_zone
    ).select("subject_id", cut_date="local_date")
    is_whole = pl.col("local_date") != pl.col("cut_date")
    if unfinished is not None:
        is_whole = is_whole & (pl.col("local_date") != unfinished)
    return (
        hours.join(before, on="subject_id", how="left").with_columns(is_whole_day=is_whole).drop("cut_date")
    )


def _splits_a_day(origin: datetime, time_zone: str) -> bool:
    return local_date_of(origin, time_zone) == local_date_of(origin - HOUR, time_zone)


def _evidence(
    subjects: pl.DataFrame, hours: pl.DataFrame, origin: datetime, config: ForecastConfig
) -> pl.DataFrame:
    recent = pl.col("hour_start_at") >= origin - timedelta(days=config.recent_days)
    counted = pl.col("is_whole_day") & ~pl.col("is_outage")
    facts = hours.group_by("subject_id").agg(
        history_days=pl.col("local_date").filter(counted).n_unique().cast(pl.Int64),
        sessions=pl.col("sessions").filter(counted).sum().cast(pl.Int64),
        recent_sessions=pl.col("sessions").filter(recent).sum().cast(pl.Int64),
    )
    reason = (
        pl.when(pl.col("recent_sessions") == 0)
        .then(pl.lit(NO_RECENT_SESSIONS))
        .when(pl.col("history_days") < config.min_history_days)
        .then(pl.lit(TOO_LITTLE_HISTORY))
        .when(pl.col("sessions") < config.min_sessions)
        .then(pl.lit(TOO_FEW_SESSIONS))
        .otherwise(pl.lit(None, pl.String))
    )
    return (
        subjects.join(facts, on="subject_id", how="left")
        .with_columns(pl.col("history_days", "sessions", "recent_sessions").fill_null(0))
        .with_columns(not_forecast_reason=reason)
    )
