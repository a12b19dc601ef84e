from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models_ml.forecasting.interface import HOURLY_SCHEMA, NOT_FORECAST_SCHEMA, Forecast
from models_ml.forecasting.paths import Spread, draw_paths, interval_of, seed_of, summarise

ORIGIN = datetime(2025, 1, 6)
DAYS = np.repeat(np.arange(7), 24)


def calm(level: float = 0.0, day: float = 0.0, hour: float = 0.0, hours: int = 168) -> Spread:
    return Spread(level=level, day=day, hour=np.full(hours, hour))


def forecast_of(paths: dict[str, np.ndarray], origin: datetime, time_zone: str) -> Forecast:
    hours = next(iter(paths.values())).shape[1]
    starts = [origin + timedelta(hours=i) for i in range(hours)]
    rows = [
        (name, start, origin.date(), "test-1", float(block[:, i].mean()), 0.0, 0.0)
        for name, block in paths.items()
        for i, start in enumerate(starts)
    ]
    return Forecast(
        model_version="test-1",
        origin=origin,
        time_zone=time_zone,
        hour_starts=starts,
        hourly=pl.DataFrame(rows, schema=HOURLY_SCHEMA, orient="row"),
        not_forecast=pl.DataFrame(schema=NOT_FORECAST_SCHEMA),
        paths=paths,
    )


def test_the_same_seed_gives_the_same_bits() -> None:
    rate = np.linspace(0, 9, 168)
    first, second = (draw_paths(rate, DAYS, calm(0.01, 0.02, 0.03), count=50, seed=7) for _ in "ab")
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != draw_paths(rate, DAYS, calm(0.01, 0.02, 0.03), count=50, seed=8).tobytes()


def test_a_seed_depends_on_subject_and_origin_and_on_no_process() -> None:
    assert seed_of(1, "maths", ORIGIN) == 12048702180707584597
    assert len({seed_of(1, "maths", ORIGIN), seed_of(1, "latin", ORIGIN), seed_of(2, "maths", ORIGIN)}) == 3
    assert seed_of(1, "maths", ORIGIN) != seed_of(1, "maths", ORIGIN + timedelta(days=1))


def test_counts_are_whole_and_never_negative_and_a_zero_rate_stays_zero() -> None:
    rate = np.where(np.arange(168) % 2 == 0, 0.0, 3.0)
    paths = draw_paths(rate, DAYS, calm(0.1, 0.1, 0.1), count=200, seed=1)
    assert paths.dtype == np.int32
    assert paths.min() >= 0
    assert (paths[:, ::2] == 0).all()


def test_mean_and_variance_are_those_of_the_shocks() -> None:
    paths = draw_paths(np.full(168, 5.0), DAYS, calm(day=0.04), count=4000, seed=1)
    days = paths.reshape(4000, 7, 24).sum(axis=2)
    assert days.mean() == pytest.approx(120, rel=0.01)
    # Poisson 120 plus 0.04 x 120^2 from the shared day.
    assert days.var() == pytest.approx(120 + 0.04 * 120**2, rel=0.05)
    assert np.corrcoef(days[:, 0], days[:, 1])[0, 1] == pytest.approx(0, abs=0.06)


def test_the_interval_consists_of_counts_that_occur() -> None:
    lower, upper = interval_of(np.arange(1000).reshape(-1, 1))
    assert (lower[0], upper[0]) == (24.0, 974.0)


def test_levels_are_read_from_the_same_paths() -> None:
    rng = np.random.default_rng(2)
    block = rng.poisson(4, (500, 168)).astype(np.int32)
    forecast = forecast_of({"maths": block}, ORIGIN, "UTC")
    days = summarise(forecast, level="day")
    assert days["period"].to_list()[0] == "2025-01-06"
    assert days["expected_sessions"].sum() == pytest.approx(block.mean(axis=0).sum())
    expected = interval_of(block.reshape(500, 7, 24).sum(axis=2))
    np.testing.assert_array_equal(days["lower_95"].to_numpy(), expected[0])
    np.testing.assert_array_equal(days["upper_95"].to_numpy(), expected[1])
    assert summarise(forecast, level="four_hours").height == 42
    assert summarise(forecast, level="hour").height == 168
    assert summarise(forecast, level="horizon")["hour_count"].to_list() == [168]


def test_all_subjects_together_are_the_sum_path_by_path() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.poisson(m, (500, 24)).astype(np.int32) for m in (4, 40))
    total = summarise(forecast_of({"a": a, "b": b}, ORIGIN, "UTC"), level="day", across_subjects=True)
    lower, upper = interval_of((a + b).sum(axis=1, keepdims=True))
    assert total.select("subject_id", "lower_95", "upper_95").rows() == [("all_subjects", lower[0], upper[0])]


def test_the_short_day_has_23_hours_and_cut_days_say_so() -> None:
    # Midnight of 8 March 2025 in New York is 05:00 UTC; clocks change on the 9th, so 168 hours end at 01:00.
    block = np.ones((10, 168), dtype=np.int32)
    days = summarise(forecast_of({"a": block}, datetime(2025, 3, 8, 5), "America/New_York"), level="day")
    assert days["hour_count"].to_list() == [24, 23, 24, 24, 24, 24, 24, 1]
    assert days["period_is_whole"].to_list() == [True] * 7 + [False]
    assert days["forecast_origin_date"].unique().to_list() == [date(2025, 3, 8)]


def test_an_engine_without_paths_cannot_be_summarised() -> None:
    forecast = forecast_of({"a": np.ones((2, 24), dtype=np.int32)}, ORIGIN, "UTC")
    bare = Forecast(
        model_version="bare-1",
        origin=ORIGIN,
        time_zone="UTC",
        hour_starts=forecast.hour_starts,
        hourly=forecast.hourly,
        not_forecast=forecast.not_forecast,
    )
    with pytest.raises(ValueError, match="bare-1"):
        summarise(bare, level="day")
