from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.four_week_mean import FourWeekMean, SeasonalNaive

ORIGIN = datetime(2025, 3, 3)  # a Monday
CONFIG = ForecastConfig()
BY_WEEK = {0: 1, 1: 2, 2: 3, 3: 6}


def mondays_at_ten(row: dict[str, Any]) -> int:
    """1, 2, 3 and 6 sessions on the last four Mondays at 10:00, 50 before, 1 in every other hour."""
    age = (ORIGIN - row["hour_start_at"]).days
    if row["weekday"] == 0 and row["local_hour"] == 10:
        return BY_WEEK.get(3 - age // 7, 50)
    return 1


def at(forecast: pl.DataFrame, moment: datetime) -> dict[str, object]:
    return forecast.row(by_predicate=pl.col("hour_start_at") == moment, named=True)


def test_the_mean_and_its_spread_match_a_calculation_by_hand(history_of) -> None:
    history = history_of("maths", ORIGIN - timedelta(days=60), 60, mondays_at_ten)
    forecast = FourWeekMean().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG)
    row = at(forecast.hourly, datetime(2025, 3, 3, 10))
    # mean 12 / 4; squares 4 + 1 + 0 + 9 = 14, over 3, root 2.160247, times 1.96 = 4.234084
    assert row["expected_sessions"] == 3.0
    assert row["upper_95"] == pytest.approx(7.234084, abs=1e-6)
    assert row["lower_95"] == 0.0
    quiet = at(forecast.hourly, datetime(2025, 3, 3, 11))
    assert (quiet["expected_sessions"], quiet["lower_95"], quiet["upper_95"]) == (1.0, 1.0, 1.0)
    assert forecast.hourly.height == 168
    assert forecast.model_version == "four_week_mean-1"
    assert not forecast.paths


def test_a_lower_bound_above_zero_is_kept(history_of) -> None:
    history = history_of("maths", ORIGIN - timedelta(days=28), 28, lambda r: 10 + r["local_date"].day % 2)
    row = at(
        FourWeekMean().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG).hourly, datetime(2025, 3, 4)
    )
    # 4, 11, 18 and 25 February: 10, 11, 10, 11; sd 0.577350
    assert row["expected_sessions"] == 10.5
    assert row["lower_95"] == pytest.approx(10.5 - 1.96 * 0.5773503, abs=1e-6)


def test_five_in_the_afternoon_stays_five_when_the_clocks_change(history_of) -> None:
    zone = "America/New_York"
    origin = datetime(2025, 3, 9, 5)
    history = history_of(
        "maths", origin - timedelta(days=35), 35, lambda r: 8 if r["local_hour"] == 17 else 0, zone
    )
    hourly = FourWeekMean().forecast(history, origin, time_zone=zone, config=CONFIG).hourly
    busy = hourly.filter(pl.col("expected_sessions") > 0)["hour_start_at"]
    # 17:00 is 22:00 UTC before the change and 21:00 UTC after it.
    assert busy.dt.hour().unique().to_list() == [21]
    assert busy.len() == 7


def test_a_bucket_seen_once_has_no_interval_and_an_outage_is_not_a_zero(history_of) -> None:
    history = history_of("maths", ORIGIN - timedelta(days=28), 28, lambda _: 2)
    mondays = [(ORIGIN - timedelta(days=7 * i)).date() for i in (1, 2, 3)]
    forecast = FourWeekMean().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG, outage_dates=mondays)
    row = at(forecast.hourly, datetime(2025, 3, 3, 10))
    assert (row["expected_sessions"], row["lower_95"], row["upper_95"]) == (2.0, None, None)


def test_a_refused_subject_has_a_reason_and_no_numbers(history_of) -> None:
    history = pl.concat(
        [
            history_of("maths", ORIGIN - timedelta(days=40), 40, lambda _: 1),
            history_of("silent", ORIGIN - timedelta(days=40), 40, lambda _: 0),
        ]
    )
    forecast = FourWeekMean().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG)
    assert forecast.hourly["subject_id"].unique().to_list() == ["maths"]
    assert forecast.not_forecast.select("subject_id", "not_forecast_reason").rows() == [
        ("silent", "no_recent_sessions")
    ]


def test_the_yardstick_repeats_last_week(history_of) -> None:
    history = history_of("maths", ORIGIN - timedelta(days=60), 60, mondays_at_ten)
    hourly = SeasonalNaive().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG).hourly
    assert at(hourly, datetime(2025, 3, 3, 10))["expected_sessions"] == 6.0
    assert hourly["lower_95"].null_count() == 168


def test_a_rerun_is_equal(history_of) -> None:
    history = history_of("maths", ORIGIN - timedelta(days=60), 60, mondays_at_ten)
    first, second = (FourWeekMean().forecast(history, ORIGIN, time_zone="UTC", config=CONFIG) for _ in "ab")
    assert first.hourly.equals(second.hourly)
