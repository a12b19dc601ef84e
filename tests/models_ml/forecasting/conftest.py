"""A small made-up marketplace with a known rate per hour, and histories written by hand."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models_ml.forecasting.history import add_local_calendar

HistoryOf = Callable[..., pl.DataFrame]


@pytest.fixture(scope="session")
def history_of() -> HistoryOf:
    """Write a history: `count(local calendar row)` gives the sessions of each hour."""

    def build(
        subject_id: str,
        start_at: datetime,
        days: int,
        count: Callable[[dict[str, object]], int],
        time_zone: str = "UTC",
    ) -> pl.DataFrame:
        hours = [start_at + timedelta(hours=i) for i in range(24 * days)]
        frame = pl.DataFrame({"hour_start_at": hours}, schema={"hour_start_at": pl.Datetime("us")})
        rows = add_local_calendar(frame, time_zone).iter_rows(named=True)
        return frame.select(
            pl.lit(subject_id).alias("subject_id"),
            "hour_start_at",
            pl.Series("sessions", [count(row) for row in rows], dtype=pl.Int64),
        )

    return build


@pytest.fixture(scope="session")
def poisson_history() -> HistoryOf:
    """Poisson sessions with Gamma days around an evening peak; column `rate` is the true mean."""

    def build(
        subject_id: str,
        per_hour: float,
        *,
        start_at: datetime,
        days: int,
        seed: int,
        time_zone: str = "America/New_York",
        day_cv: float = 0.1,
        weekend: float = 0.8,
        peak: int = 17,
    ) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        hours = [start_at + timedelta(hours=i) for i in range(24 * days)]
        frame = add_local_calendar(
            pl.DataFrame({"hour_start_at": hours}, schema={"hour_start_at": pl.Datetime("us")}), time_zone
        )
        hour, is_weekend = frame["local_hour"].to_numpy(), frame["weekday"].to_numpy() >= 5
        evening = np.exp(-0.5 * ((hour - peak) / 2.5) ** 2) + 0.2 * np.exp(-0.5 * ((hour - 10) / 2.0) ** 2)
        noon = np.exp(-0.5 * ((hour - 13) / 3.5) ** 2)
        shape = np.where(is_weekend, weekend * noon / noon.mean(), evening / evening.mean())
        rate = per_hour * (shape + 0.02)
        day = (frame["local_date"] - frame["local_date"][0]).dt.total_days().to_numpy()
        shock = rng.gamma(day_cv**-2, day_cv**2, int(day.max()) + 1)[day]
        return frame.select(
            pl.lit(subject_id).alias("subject_id"),
            "hour_start_at",
            pl.Series("sessions", rng.poisson(rate * shock).astype(np.int64)),
            pl.Series("rate", rate),
        )

    return build
