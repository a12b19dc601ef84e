"""Engine A on made-up demand of which the truth is known. Each subject costs one Prophet fit, about 0.2 s."""

import logging
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from models_ml.forecasting import accuracy
from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.day_levels import find_outliers
from models_ml.forecasting.four_week_mean import FourWeekMean, SeasonalNaive
from models_ml.forecasting.history import add_local_calendar
from models_ml.forecasting.interface import Forecast, Forecaster
from models_ml.forecasting.paths import summarise
from models_ml.forecasting.prophet_profile import (
    ProphetProfile,
    day_shock_variance,
    level_shock_variance,
)

pytestmark = pytest.mark.slow

ZONE = "America/New_York"
START = datetime(2025, 4, 7, 4)  # midnight in New York, a Monday
ORIGIN = START + timedelta(days=91)
CONFIG = ForecastConfig()
KEY = ["subject_id", "hour_start_at"]


def forecast(history: pl.DataFrame, origin: datetime = ORIGIN, zone: str = ZONE, **options: Any) -> Forecast:
    counted = history.select(*KEY, "sessions")
    return ProphetProfile().forecast(counted, origin, time_zone=zone, config=CONFIG, **options)


def day_total(result: Forecast, subject_id: str) -> float:
    hourly = result.hourly.filter(pl.col("subject_id") == subject_id)
    return float(hourly["expected_sessions"].sum()) / (hourly.height / 24)


def a_market(poisson_history: Any, world: int) -> pl.DataFrame:
    rates = {"algebra": 5.0, "biology": 15.0, "chemistry": 50.0}
    return pl.concat(
        [
            poisson_history(name, rate, start_at=START, days=105, seed=10 * world + i, peak=16 + i)
            for i, (name, rate) in enumerate(rates.items())
        ]
    )


@pytest.fixture(scope="module")
def market(poisson_history) -> pl.DataFrame:
    return a_market(poisson_history, 0)


@pytest.fixture(scope="module")
def usual(market) -> Forecast:
    return forecast(market)


def test_the_frame_has_one_sane_row_per_subject_and_hour(usual) -> None:
    assert usual.hourly.select(KEY).n_unique() == usual.hourly.height == 3 * 168
    assert usual.hourly["hour_start_at"].min() == ORIGIN
    assert usual.hourly["forecast_origin_date"].unique().to_list() == [date(2025, 7, 7)]
    assert usual.model_version == f"prophet_profile-1-{CONFIG.hash8}"
    bounds = usual.hourly.filter(
        (pl.col("lower_95") < 0)
        | (pl.col("lower_95") > pl.col("upper_95"))
        | (pl.col("lower_95") != pl.col("lower_95").floor())
        | (pl.col("expected_sessions") < 0)
    )
    assert bounds.is_empty()
    assert usual.not_forecast.is_empty()
    assert {name: block.shape for name, block in usual.paths.items()} == {
        name: (1000, 168) for name in ("algebra", "biology", "chemistry")
    }


def test_a_rerun_is_equal_to_the_bit(usual, market) -> None:
    again = forecast(market)
    assert again.hourly.equals(usual.hourly)
    assert all(again.paths[name].tobytes() == block.tobytes() for name, block in usual.paths.items())


def test_the_order_of_rows_does_not_matter(usual, market) -> None:
    assert forecast(market.sample(fraction=1.0, shuffle=True, seed=3)).hourly.equals(usual.hourly)


def test_the_mean_of_the_paths_is_the_expectation(usual) -> None:
    for name, block in usual.paths.items():
        expected = usual.hourly.filter(pl.col("subject_id") == name)["expected_sessions"].sum()
        assert block.sum(axis=1).mean() == pytest.approx(expected, rel=0.02)


def test_drivers_explain_each_business_day(usual) -> None:
    saturday = usual.drivers.filter(
        (pl.col("subject_id") == "chemistry") & (pl.col("date") == date(2025, 7, 12))
    )
    row = saturday.row(0, named=True)
    assert row["weekday_effect"] < 0
    assert row["holiday_effect"] == 0
    product = row["trend_sessions"] * (1 + row["weekday_effect"])
    assert row["expected_day_sessions"] == pytest.approx(product)


@pytest.fixture(scope="module")
def judged(poisson_history) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Four worlds, three subjects, two origins: hours of every engine, days of engine A.

    One world has 42 subject-days, too few to tell 95 % from 85 %.
    """
    engines: list[Forecaster] = [ProphetProfile(), FourWeekMean(), SeasonalNaive()]
    hours, days = [], []
    for world in range(4):
        market = a_market(poisson_history, world)
        for origin in (ORIGIN, ORIGIN + timedelta(days=7)):
            for engine in engines:
                counted = market.select(*KEY, "sessions")
                result = engine.forecast(counted, origin, time_zone=ZONE, config=CONFIG)
                joined = accuracy.join_actuals(result.hourly, market)
                hours.append(joined.with_columns(engine=pl.lit(type(engine).__name__)))
                if result.paths:
                    bounds = summarise(result, level="day")
                    days.append(accuracy.to_periods(joined, level="day", time_zone=ZONE, bounds=bounds))
    return pl.concat(hours), pl.concat(days)


def test_it_beats_last_week_and_the_four_week_mean(judged) -> None:
    scored = accuracy.score(judged[0], by=["engine"])
    wape: dict[str, float] = dict(scored.select("engine", "wape").rows())
    assert wape["ProphetProfile"] <= 0.80 * wape["SeasonalNaive"]
    assert wape["ProphetProfile"] <= 0.97 * wape["FourWeekMean"]


def test_hours_fall_inside_the_interval_as_often_as_promised(judged) -> None:
    ours = judged[0].filter(pl.col("engine") == "ProphetProfile")
    (row,) = accuracy.score(ours).to_dicts()
    assert 0.93 <= row["coverage"] <= 0.98
    assert abs(row["bias"]) <= 0.03
    local = add_local_calendar(ours, ZONE)
    strata = [
        pl.col("local_hour").is_between(15, 20),
        pl.col("local_hour") < 7,
        pl.col("weekday") >= 5,
        pl.col("subject_id") == "algebra",
        pl.col("subject_id") == "chemistry",
    ]
    assert all(accuracy.score(local.filter(stratum))["coverage"].item() >= 0.90 for stratum in strata)
    seed_engine = accuracy.score(judged[0].filter(pl.col("engine") == "FourWeekMean"))
    assert row["tail_pinball"] <= 0.7 * seed_engine["tail_pinball"].item()


def test_days_are_within_twelve_per_cent_and_inside_their_interval(judged) -> None:
    (row,) = accuracy.score(judged[1]).to_dicts()
    assert row["cell_count"] == 4 * 3 * 2 * 7
    assert row["wape"] <= 0.12
    assert 0.90 <= row["coverage"] <= 0.98


def test_the_week_the_clocks_change_keeps_its_business_hours(poisson_history) -> None:
    start = datetime(2024, 12, 2, 5)
    origin = datetime(2025, 3, 5, 5)  # the change is four days ahead, early on the 9th
    history = poisson_history("maths", 20, start_at=start, days=93, seed=1, weekend=1.0)
    result = forecast(history, origin)
    assert result.hourly.height == 168
    local = add_local_calendar(result.hourly, ZONE)
    on_weekdays = local.filter(pl.col("weekday") < 5).sort("expected_sessions", descending=True)
    busiest = on_weekdays.group_by("local_date", maintain_order=True).first().sort("local_date")[:5]
    assert busiest["local_hour"].is_between(16, 18).all()
    days = summarise(result, level="day")
    assert days.filter(pl.col("period") == "2025-03-09")["hour_count"].to_list() == [23]
    # 168 hours from midnight end an hour into the eighth day.
    assert days["period_is_whole"].to_list() == [True] * 7 + [False]


def test_an_origin_at_two_in_the_morning_ignores_the_unfinished_day(market) -> None:
    result = forecast(market, ORIGIN + timedelta(hours=2))
    totals = summarise(result, level="day").filter("period_is_whole")
    assert totals.height == 3 * 6
    assert day_total(result, "biology") == pytest.approx(day_total(forecast(market), "biology"), rel=0.05)


def test_a_thin_subject_borrows_everybodys_hours(poisson_history) -> None:
    thick = poisson_history("thick", 40, start_at=START, days=98, seed=1)
    thin = poisson_history("thin", 0.4, start_at=START, days=98, seed=2)
    both = pl.concat([thick, thin])
    truth = thin.filter(pl.col("hour_start_at") >= ORIGIN).select(*KEY, "rate")

    def error(result: Forecast) -> float:
        joined = result.hourly.join(truth, on=KEY)
        expected, rate = joined["expected_sessions"].to_numpy(), joined["rate"].to_numpy()
        same_size = expected * rate.sum() / expected.sum()
        return float(np.abs(same_size - rate).sum() / rate.sum())

    assert error(forecast(both)) < 0.6 * error(forecast(thin))


def test_a_subject_with_mostly_empty_hours_is_forecast_in_whole_counts(poisson_history) -> None:
    sparse = poisson_history("rare", 0.5, start_at=START, days=98, seed=4)
    past = sparse.filter(pl.col("hour_start_at") < ORIGIN)
    assert (past["sessions"] == 0).mean() > 0.65
    result = forecast(sparse)
    joined = accuracy.join_actuals(result.hourly, sparse)
    (row,) = accuracy.score(joined).to_dicts()
    assert row["coverage"] > 0.93
    assert day_total(result, "rare") == pytest.approx(past["sessions"].sum() / 91, rel=0.25)


def test_a_subject_taught_on_weekdays_only_gets_quiet_weekends(poisson_history) -> None:
    history = poisson_history("latin", 6, start_at=START, days=91, seed=5, weekend=0.0)
    weekday = add_local_calendar(history, ZONE)["weekday"]
    history = history.with_columns(pl.when(weekday < 5).then("sessions").otherwise(0).alias("sessions"))
    local = add_local_calendar(forecast(history).hourly, ZONE)
    by_part = local.group_by(pl.col("weekday") >= 5).agg(pl.col("expected_sessions").mean()).sort("weekday")
    assert by_part["expected_sessions"][0] > 5
    assert by_part["expected_sessions"][1] < 0.05


def test_a_subject_that_started_three_weeks_ago_is_forecast_without_a_slope(poisson_history) -> None:
    history = pl.concat(
        [
            poisson_history("old", 10, start_at=START, days=91, seed=6),
            poisson_history("new", 10, start_at=ORIGIN - timedelta(days=21), days=21, seed=7),
        ]
    )
    result = forecast(history)
    flat = dict(result.diagnostics.select("subject_id", "is_trend_flat").rows())
    assert flat == {"old": False, "new": True}
    new = history.filter(pl.col("subject_id") == "new")
    assert day_total(result, "new") == pytest.approx(new["sessions"].sum() / 21, rel=0.1)


def test_a_constant_subject_stays_constant(history_of) -> None:
    result = forecast(history_of("clock", START, 91, lambda _: 3))
    np.testing.assert_allclose(result.hourly["expected_sessions"].to_numpy(), 3.0, rtol=0.02)
    assert result.diagnostics["day_shock_variance"].to_list() == [0.0]


def test_refused_subjects_have_reasons_and_no_numbers(market, history_of) -> None:
    silent = history_of("silent", START, 91, lambda r: int(r["hour_start_at"] < ORIGIN - timedelta(days=30)))
    new = history_of("new", ORIGIN - timedelta(days=10), 10, lambda _: 1)
    result = forecast(pl.concat([market.select(*KEY, "sessions"), silent, new]))
    assert dict(result.not_forecast.select("subject_id", "not_forecast_reason").rows()) == {
        "new": "too_little_history",
        "silent": "no_recent_sessions",
    }
    assert set(result.hourly["subject_id"]) == set(result.paths) == {"algebra", "biology", "chemistry"}


def test_nothing_to_forecast_gives_empty_frames_with_all_columns(history_of, usual) -> None:
    result = forecast(history_of("silent", START, 91, lambda _: 0))
    assert result.hourly.schema == usual.hourly.schema
    assert result.not_forecast.height == 1
    assert summarise(result, level="day").is_empty()


def test_an_outage_day_is_not_learned_as_quiet(poisson_history) -> None:
    history = poisson_history("maths", 15, start_at=START, days=91, seed=8)
    lost = [date(2025, 7, 4), date(2025, 7, 5), date(2025, 7, 6)]
    is_lost = add_local_calendar(history, ZONE)["local_date"].is_in(lost)
    broken = history.with_columns(pl.when(is_lost).then(0).otherwise("sessions").alias("sessions"))
    whole = day_total(forecast(history), "maths")
    assert day_total(forecast(broken, outage_dates=lost), "maths") == pytest.approx(whole, rel=0.05)


def test_a_holiday_seen_before_lowers_the_next_one(poisson_history) -> None:
    history = poisson_history("maths", 15, start_at=START, days=91, seed=9)
    breaks = [date(2025, 5, 19) + timedelta(days=i) for i in range(5)]
    is_break = add_local_calendar(history, ZONE)["local_date"].is_in(breaks)
    history = history.with_columns(
        pl.when(is_break).then(pl.col("sessions") // 3).otherwise("sessions").alias("sessions")
    )
    holidays = pl.DataFrame({"holiday_name": "school break", "date": [*breaks, date(2025, 7, 9)]})
    drivers = forecast(history, holidays=holidays).drivers
    effect = dict(drivers.select("date", "holiday_effect").rows())
    assert effect[date(2025, 7, 9)] == pytest.approx(-0.66, abs=0.12)
    assert effect[date(2025, 7, 10)] == 0


def test_one_absurd_day_is_left_out_and_counted(poisson_history) -> None:
    history = poisson_history("maths", 15, start_at=START, days=91, seed=10)
    is_absurd = add_local_calendar(history, ZONE)["local_date"] == date(2025, 6, 3)
    spiked = history.with_columns(
        pl.when(is_absurd).then(pl.col("sessions") * 12).otherwise("sessions").alias("sessions")
    )
    clean, result = forecast(history), forecast(spiked)
    assert result.diagnostics["outlier_days"].to_list() == [1]
    assert day_total(result, "maths") == pytest.approx(day_total(clean, "maths"), rel=0.03)


def test_a_break_in_the_last_days_may_be_news_and_is_kept() -> None:
    dates = [date(2025, 1, 6) + timedelta(days=i) for i in range(90)]

    def found(low: list[int], usual: int = 100, exempt: list[date] | None = None) -> list[int]:
        days = pl.DataFrame(
            {
                "local_date": dates,
                "weekday": [day.weekday() for day in dates],
                "sessions": [usual // 20 if i in low else usual for i in range(90)],
            }
        )
        return np.flatnonzero(find_outliers(days, exempt=exempt or [], config=CONFIG)).tolist()

    assert found([10, 88]) == [10]
    assert found([10, 88], exempt=[dates[10]]) == []
    assert found(list(range(10, 25))) == []
    assert found([10], usual=4) == []


def test_a_falling_subject_never_goes_below_zero(poisson_history) -> None:
    history = poisson_history("fading", 12, start_at=START, days=91, seed=11)
    age = (ORIGIN - pl.col("hour_start_at")).dt.total_days() / 91
    faded = history.with_columns((pl.col("sessions") * (age * 1.05 - 0.05).clip(0.02)).round().cast(pl.Int64))
    result = forecast(faded)
    assert (result.hourly["expected_sessions"] >= 0).all()
    assert day_total(result, "fading") > 0


def test_day_variance_recovers_what_was_planted() -> None:
    rng = np.random.default_rng(12)
    level = np.full(4000, 200.0)
    shocked = rng.poisson(level * rng.gamma(100, 0.01, 4000)).astype(float)
    calm = rng.poisson(level).astype(float)
    nothing = np.zeros(4000)
    assert day_shock_variance(shocked, level, nothing, CONFIG) == pytest.approx(0.01, rel=0.1)
    assert day_shock_variance(calm, level, nothing, CONFIG) == pytest.approx(0, abs=5e-4)


def test_weeks_that_stray_as_one_widen_the_level() -> None:
    rng = np.random.default_rng(13)
    level = np.full(7000, 200.0)
    together = rng.poisson(level * np.repeat(rng.gamma(100, 0.01, 1000), 7)).astype(float)
    apart = rng.poisson(level).astype(float)
    assert level_shock_variance(together, level, 0.0, CONFIG) == pytest.approx(0.01, rel=0.15)
    assert level_shock_variance(apart, level, 0.0, CONFIG) < 5e-4


def test_fitting_writes_nothing_to_the_log(market, caplog, capfd) -> None:
    with caplog.at_level(logging.INFO):
        forecast(market.filter(pl.col("subject_id") == "algebra"))
    assert [record.name for record in caplog.records] == []
    assert capfd.readouterr().err == ""
