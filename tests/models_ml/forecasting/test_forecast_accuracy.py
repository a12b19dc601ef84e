from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models_ml.forecasting import accuracy

START = datetime(2025, 1, 6)


def joined(
    expected: list[float],
    sessions: list[int],
    *,
    lower: float | None = 0.0,
    upper: float | None = 10.0,
    subject_id: str = "maths",
    start: datetime = START,
) -> pl.DataFrame:
    rows = [
        (subject_id, start + timedelta(hours=i), date(2025, 1, 6), "test-1", e, lower, upper, s)
        for i, (e, s) in enumerate(zip(expected, sessions, strict=True))
    ]
    return pl.DataFrame(
        rows,
        schema={
            "subject_id": pl.String,
            "hour_start_at": pl.Datetime("us"),
            "forecast_origin_date": pl.Date,
            "model_version": pl.String,
            "expected_sessions": pl.Float64,
            "lower_95": pl.Float64,
            "upper_95": pl.Float64,
            "sessions": pl.Int64,
        },
        orient="row",
    )


def test_the_measures_match_a_calculation_by_hand() -> None:
    scales = pl.DataFrame({"subject_id": ["maths"], "seasonal_scale": [2.0]})
    (row,) = accuracy.score(joined([2.0, 4.0, 6.0], [3, 4, 11]), scales=scales).to_dicts()
    assert row["wape"] == pytest.approx((1 + 0 + 5) / 18)
    assert row["bias"] == pytest.approx((12 - 18) / 18)
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["mase"] == pytest.approx((1 + 0 + 5) / 3 / 2)
    # Lower: 0.025 x (3 + 4 + 11); upper: 0.025 x (7 + 6) + 0.975 x 1; half their sum, per cell.
    assert row["tail_pinball"] == pytest.approx((0.45 + 0.325 + 0.975) / 2 / 3)
    assert (row["mape"], row["mape_cell_count"]) == (None, 0)


def test_mape_selects_on_the_forecast_and_skips_zero() -> None:
    (row,) = accuracy.score(joined([20.0, 20.0, 15.0], [25, 0, 40])).to_dicts()
    assert row["mape_cell_count"] == 1
    assert row["mape"] == pytest.approx(0.2)


def test_what_is_not_defined_is_null() -> None:
    (row,) = accuracy.score(joined([0.0, 0.0], [0, 0], lower=None, upper=None)).to_dicts()
    undefined = ("wape", "bias", "noise_floor_wape", "coverage", "tail_pinball", "mase", "mape")
    assert [row[name] for name in undefined] == [None] * 7
    assert row["interval_count"] == 0


def test_groups_are_scored_apart() -> None:
    both = pl.concat([joined([1.0], [1]), joined([1.0], [3], subject_id="latin")])
    scored = accuracy.score(both, by=["subject_id"])
    assert scored.select("subject_id", "wape").rows() == [("latin", pytest.approx(2 / 3)), ("maths", 0.0)]


@pytest.mark.parametrize(
    ("mean", "floor"), [(0.5, 1.0), (2, 0.541), (5, 0.351), (16, 0.199), (50, 0.113), (125, 0.071)]
)
def test_the_poisson_floor_is_the_published_one(mean: float, floor: float) -> None:
    assert accuracy.noise_floor(np.array([float(mean)])) == pytest.approx(floor, abs=6e-4)


def test_the_floor_with_extra_noise_matches_a_simulation() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(20 * rng.gamma(10, 0.1, 400_000))
    simulated = np.abs(counts - np.median(counts)).mean() / 20
    assert accuracy.noise_floor(np.array([20.0]), 0.1) == pytest.approx(simulated, rel=0.01)


def test_there_is_no_floor_without_demand() -> None:
    assert accuracy.noise_floor(np.zeros(3)) is None


def test_a_perfect_forecaster_scores_about_the_floor() -> None:
    rng = np.random.default_rng(4)
    means = rng.uniform(1, 30, 20_000)
    frame = joined(means.tolist(), rng.poisson(means).tolist())
    (row,) = accuracy.score(frame).to_dicts()
    assert row["wape"] == pytest.approx(row["noise_floor_wape"], rel=0.02)


def test_the_seasonal_scale_compares_with_one_week_before_by_time_not_by_row() -> None:
    history = joined([0.0] * 336, [1] * 168 + [4] * 168).select("subject_id", "hour_start_at", "sessions")
    holed = history.filter(pl.col("hour_start_at") != START + timedelta(hours=5))
    assert accuracy.seasonal_scales(holed).rows() == [("maths", 3.0)]


def test_only_whole_days_are_added_up() -> None:
    frame = joined([1.0] * 50, [2] * 50, start=START + timedelta(hours=1))
    days = accuracy.to_periods(frame, level="day", time_zone="UTC")
    assert days.select("period", "expected_sessions", "sessions").rows() == [("2025-01-07", 24.0, 48)]
    assert days["lower_95"].to_list() == [None]


def test_a_subject_with_an_hour_missing_loses_that_day_only() -> None:
    full = joined([1.0] * 48, [1] * 48)
    other = joined([1.0] * 48, [1] * 48, subject_id="latin").filter(
        pl.col("hour_start_at") != START + timedelta(hours=3)
    )
    days = accuracy.to_periods(pl.concat([full, other]), level="day", time_zone="UTC")
    assert days.group_by("subject_id").len().sort("subject_id").rows() == [("latin", 1), ("maths", 2)]


def test_an_hour_missing_for_everybody_does_not_make_a_day_whole() -> None:
    frame = joined([1.0] * 48, [1] * 48).filter(pl.col("hour_start_at") != START + timedelta(hours=3))
    assert accuracy.to_periods(frame, level="day", time_zone="UTC")["period"].to_list() == ["2025-01-07"]


def test_hours_that_have_not_happened_are_not_scored() -> None:
    frame = joined([1.0, 2.0], [0, 0]).drop("sessions")
    actuals = joined([0.0], [5]).select("subject_id", "hour_start_at", "sessions")
    assert accuracy.join_actuals(frame, actuals)["sessions"].to_list() == [5]
