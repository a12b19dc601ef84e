from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from models_ml.forecasting.imbalance import supply_demand
from models_ml.forecasting.interface import HOURLY_SCHEMA, NOT_FORECAST_SCHEMA, Forecast

HOUR = datetime(2025, 1, 6, 17)
PATHS = 200_000


def forecast_with(means: list[float | None], *, has_paths: bool = True) -> Forecast:
    """Poisson demand for "maths" with these means, hour by hour."""
    starts = [HOUR + timedelta(hours=i) for i in range(len(means))]
    rng = np.random.default_rng(5)
    block = np.stack([rng.poisson(m or 0.0, PATHS) for m in means], axis=1).astype(np.int32)
    rows = [("maths", s, HOUR.date(), "test-1", m, None, None) for s, m in zip(starts, means, strict=True)]
    return Forecast(
        model_version="test-1",
        origin=HOUR,
        time_zone="UTC",
        hour_starts=starts,
        hourly=pl.DataFrame(rows, schema=HOURLY_SCHEMA, orient="row"),
        not_forecast=pl.DataFrame(schema=NOT_FORECAST_SCHEMA),
        paths={"maths": block} if has_paths else {},
    )


def supply_of(*hours: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        [("maths", HOUR + timedelta(hours=i), value) for i, value in enumerate(hours)],
        schema={"subject_id": pl.String, "hour_start_at": pl.Datetime("us"), "supply_hours": pl.Float64},
        orient="row",
    )


def compare(forecast: Forecast, supply: pl.DataFrame, session_hours: float = 1.0) -> list[dict[str, Any]]:
    return supply_demand(
        forecast,
        supply,
        mean_session_hours={"maths": session_hours},
        shortage_below=0.8,
        surplus_above=1.3,
    ).to_dicts()


def test_probabilities_and_unmet_sessions_match_the_poisson_formulas() -> None:
    mean, supply, hours = 12.0, 7.5, 0.75
    (row,) = compare(forecast_with([mean]), supply_of(supply), hours)
    room = supply / hours
    counts = np.arange(200)
    unmet = float(np.sum(np.maximum(counts - room, 0) * stats.poisson.pmf(counts, mean)))
    assert row["demand_hours"] == 9.0
    assert row["ratio"] == pytest.approx(7.5 / 9)
    # 12.5 and 7.69 sessions: shortage from 13 on, surplus up to 7.
    assert row["p_shortage"] == pytest.approx(stats.poisson.sf(12, mean), abs=0.004)
    assert row["p_surplus"] == pytest.approx(stats.poisson.cdf(7, mean), abs=0.004)
    assert row["expected_unmet_sessions"] == pytest.approx(unmet, abs=0.03)
    assert row["balance"] == "balanced"


def test_demand_exactly_at_the_limit_is_not_a_shortage() -> None:
    # 2.4 / 0.8 is 3 sessions, which floating point writes as 2.9999999999999996.
    (row,) = compare(forecast_with([3.0]), supply_of(2.4))
    assert row["p_shortage"] == pytest.approx(stats.poisson.sf(3, 3.0), abs=0.004)
    assert row["balance"] == "balanced"


def test_the_ratio_names_the_balance() -> None:
    rows = compare(forecast_with([10.0, 10.0, 10.0]), supply_of(7.9, 10.0, 13.1))
    assert [row["balance"] for row in rows] == ["shortage", "balanced", "surplus"]


def test_unknown_supply_is_null_and_never_zero() -> None:
    rows = compare(forecast_with([10.0, 10.0]), supply_of(None))
    for row in rows:
        assert row["balance"] == "supply_unknown"
        assert row["demand_hours"] == 10.0
        for column in ("supply_hours", "ratio", "p_shortage", "p_surplus", "expected_unmet_sessions"):
            assert row[column] is None


def test_no_supply_at_all_is_a_certain_shortage() -> None:
    (row,) = compare(forecast_with([10.0]), supply_of(0.0))
    assert row["ratio"] == 0.0
    assert row["balance"] == "shortage"
    assert row["p_shortage"] == pytest.approx(1.0, abs=1e-3)
    assert row["expected_unmet_sessions"] == pytest.approx(10.0, abs=0.05)


def test_no_demand_has_no_ratio() -> None:
    rows = compare(forecast_with([0.0, 0.0]), supply_of(3.0, 0.0))
    assert [row["ratio"] for row in rows] == [None, None]
    assert [row["balance"] for row in rows] == ["no_demand", "no_demand"]
    assert [row["p_shortage"] for row in rows] == [0.0, 0.0]


def test_an_engine_without_paths_gives_the_ratio_only() -> None:
    (row,) = compare(forecast_with([10.0], has_paths=False), supply_of(5.0))
    assert (row["ratio"], row["balance"]) == (0.5, "shortage")
    assert (row["p_shortage"], row["p_surplus"], row["expected_unmet_sessions"]) == (None, None, None)


def test_unknown_demand_stays_unknown() -> None:
    (row,) = compare(forecast_with([None], has_paths=False), supply_of(5.0))
    assert (row["ratio"], row["balance"]) == (None, "demand_unknown")


def test_a_subject_without_a_duration_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="maths"):
        supply_demand(
            forecast_with([1.0]),
            supply_of(1.0),
            mean_session_hours={"latin": 1.0},
            shortage_below=0.8,
            surplus_above=1.3,
        )


def test_duplicate_or_negative_supply_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="maths"):
        compare(forecast_with([1.0]), pl.concat([supply_of(1.0), supply_of(2.0)]))
    with pytest.raises(ValueError, match="maths"):
        compare(forecast_with([1.0]), supply_of(-1.0))


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="limits"):
        supply_demand(
            forecast_with([1.0]),
            supply_of(1.0),
            mean_session_hours={"maths": 1.0},
            shortage_below=1.3,
            surplus_above=0.8,
        )
