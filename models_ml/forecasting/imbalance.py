"""Supply against demand per subject and hour: how far apart, how likely, how many sessions go unmet.

Here: both sides in tutor-hours, probabilities from the forecast's sample paths. Not here: the limits
themselves (rulebook), merging hours into one alert (dbt), where supply comes from.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from models_ml.forecasting.interface import Forecast

Floats = npt.NDArray[np.float64]
# Keeps a figure that lies on a limit from crossing it by a rounding error.
TOUCHING = 1e-9
KEY = ["subject_id", "hour_start_at"]
OUTPUT_COLUMNS = [
    "subject_id",
    "hour_start_at",
    "forecast_origin_date",
    "model_version",
    "supply_hours",
    "demand_hours",
    "ratio",
    "p_shortage",
    "p_surplus",
    "expected_unmet_sessions",
    "balance",
]


def supply_demand(
    forecast: Forecast,
    supply: pl.DataFrame,
    *,
    mean_session_hours: Mapping[str, float],
    shortage_below: float,
    surplus_above: float,
) -> pl.DataFrame:
    """Compare available tutor-hours with forecast tutor-hours.

    Grain: one row per subject_id and hour_start_at of the forecast. `supply`: subject_id, hour_start_at,
    supply_hours, at most one row each; a missing row or a NULL means the source says nothing, not that
    nobody is there. `mean_session_hours`: tutor-hours one session of the subject takes. With N sessions of
    m hours and S hours of supply: ratio = S / (E[N] m); p_shortage = P(N m > S / shortage_below); p_surplus
    = P(N m < S / surplus_above); expected_unmet_sessions = E[(N - S / m)+].

    `balance` is supply_unknown, demand_unknown, no_demand, shortage, surplus or balanced, read from the
    ratio. Unknown supply leaves ratio and probabilities NULL; demand 0 leaves the ratio NULL; an engine
    without paths leaves the probabilities NULL. Raises with the subject_id if a duration is missing or not
    positive.
    """
    if not 0 < shortage_below <= surplus_above:
        raise ValueError(f"limits must satisfy 0 < {shortage_below} <= {surplus_above}")
    _check_supply(supply)
    _check_durations(forecast, mean_session_hours)
    joined = _side_by_side(forecast.hourly, supply, mean_session_hours)
    has_demand = pl.col("demand_hours") > 0
    ratio = pl.when(has_demand).then(pl.col("supply_hours") / pl.col("demand_hours"))
    compared = joined.with_columns(
        *_odds(joined, forecast, shortage_below, surplus_above), ratio.alias("ratio")
    )
    return compared.with_columns(balance=_balance(shortage_below, surplus_above)).select(OUTPUT_COLUMNS)


def _side_by_side(
    hourly: pl.DataFrame, supply: pl.DataFrame, mean_session_hours: Mapping[str, float]
) -> pl.DataFrame:
    """Put supply and duration beside each forecast hour, sorted by subject and hour."""
    durations = pl.DataFrame(
        [(subject_id, float(hours)) for subject_id, hours in mean_session_hours.items()],
        schema={"subject_id": pl.String, "session_hours": pl.Float64},
        orient="row",
    )
    return (
        hourly.join(durations, on="subject_id", how="left")
        .join(supply.select(*KEY, pl.col("supply_hours").cast(pl.Float64)), on=KEY, how="left")
        .sort(KEY)
        .with_columns(demand_hours=pl.col("expected_sessions") * pl.col("session_hours"))
    )


def _odds(
    joined: pl.DataFrame, forecast: Forecast, shortage_below: float, surplus_above: float
) -> list[pl.Series]:
    """Read the three figures off the paths, in the row order of `joined` (subject, then hour)."""
    short, over, unmet = (np.full(joined.height, np.nan) for _ in range(3))
    subjects = joined["subject_id"].to_numpy()
    capacity = (joined["supply_hours"] / joined["session_hours"]).fill_null(np.nan).to_numpy()
    for subject_id, paths in forecast.paths.items():
        rows = np.flatnonzero(subjects == subject_id)
        room: Floats = capacity[rows][None, :]
        short[rows] = (paths > room / shortage_below + TOUCHING).mean(axis=0)
        over[rows] = (paths < room / surplus_above - TOUCHING).mean(axis=0)
        unmet[rows] = np.maximum(paths - room, 0.0).mean(axis=0)
    unknown = np.isnan(capacity)
    for figure in (short, over, unmet):
        figure[unknown] = np.nan
    named = {"p_shortage": short, "p_surplus": over, "expected_unmet_sessions": unmet}
    return [pl.Series(name, figure).fill_nan(None) for name, figure in named.items()]


def _balance(shortage_below: float, surplus_above: float) -> pl.Expr:
    return (
        pl.when(pl.col("demand_hours").is_null())
        .then(pl.lit("demand_unknown"))
        .when(pl.col("supply_hours").is_null())
        .then(pl.lit("supply_unknown"))
        .when(pl.col("demand_hours") == 0)
        .then(pl.lit("no_demand"))
        .when(pl.col("ratio") < shortage_below - TOUCHING)
        .then(pl.lit("shortage"))
        .when(pl.col("ratio") > surplus_above + TOUCHING)
        .then(pl.lit("surplus"))
        .otherwise(pl.lit("balanced"))
    )


def _check_supply(supply: pl.DataFrame) -> None:
    bad = supply.filter(pl.struct(KEY).is_duplicated() | (pl.col("supply_hours") < 0))
    if not bad.is_empty():
        row = bad.row(0, named=True)
        raise ValueError(
            f"{bad.height} supply rows are duplicate or negative; first: subject {row['subject_id']} "
            f"at {row['hour_start_at']} with {row['supply_hours']} hours"
        )


def _check_durations(forecast: Forecast, mean_session_hours: Mapping[str, float]) -> None:
    for subject_id in forecast.hourly["subject_id"].unique().sort():
        duration = mean_session_hours.get(subject_id)
        if duration is None or not 0 < duration < float("inf"):
            raise ValueError(
                f"subject {subject_id} has mean_session_hours {duration}, needs a positive number"
            )
