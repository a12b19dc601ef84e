"""Demand as assets: what is read, forecast and written, from a small made-up history."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.days import AS_OF_FROM_TAG
from assets.ml import demand
from assets.ml.demand import (
    RISK_COLUMNS,
    DemandResult,
    build_demand_assets,
    forecast_demand,
    midnight_utc,
    origins_between,
)
from assets.resources import House, Turn
from data.lake.writer import LakeWriter
from models_ml.forecasting.config import ForecastConfig
from models_ml.forecasting.interface import HOURLY_SCHEMA

ZONE = "America/New_York"
DAY = date(2026, 3, 9)
"""The clocks went forward in the night before: the week ahead is whole, the day behind has 23 hours."""
NOON = datetime(2026, 3, 9, 16, tzinfo=UTC)
CONFIG = ForecastConfig(horizon_hours=48, history_days=35, sample_paths=200)
LIMITS = {"shortage_ratio": 0.8, "surplus_ratio": 1.3}
MADE_UP = (
    "features.ftr_hourly_demand",
    "features.ftr_tutor_supply",
    "features.ftr_subject_durations",
    "rulebook.forecast_limits",
)


def history(*, days: int = 35, until: date = DAY, silent: date | None = None, seed: int = 3) -> pl.DataFrame:
    """Algebra, about three sessions an hour from 15 to 20 o'clock; latin, three sessions in all."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(days):
        day = until - timedelta(days=days - number)
        for hour in range(15, 21):
            at = datetime.combine(day, datetime.min.time(), ZoneInfo(ZONE)) + timedelta(hours=hour)
            count = 0 if day == silent else int(rng.poisson(3))
            rows.append(("algebra", at.astimezone(UTC).replace(tzinfo=None), count, day, day == silent))
        if number in (30, 31, 32):
            rows.append(("latin", midnight_utc(day, ZONE) + timedelta(hours=15), 1, day, False))
    schema = {
        "subject_id": pl.String,
        "hour_start_at": pl.Datetime("us"),
        "sessions": pl.Int64,
        "session_date": pl.Date,
        "is_silent_day": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def supply(hours: float = 1.0) -> pl.DataFrame:
    start = midnight_utc(DAY, ZONE)
    return pl.DataFrame(
        {
            "subject_id": ["algebra"] * 48,
            "hour_start_at": [start + timedelta(hours=number) for number in range(48)],
            "supply_hours": [hours] * 48,
        },
        schema_overrides={"hour_start_at": pl.Datetime("us")},
    )


def forecast(past: pl.DataFrame, hours: pl.DataFrame, day: date = DAY) -> DemandResult:
    return forecast_demand(
        past, hours, {"algebra": 1.0, "latin": 1.0}, LIMITS, day=day, time_zone=ZONE, config=CONFIG
    )


@pytest.fixture(scope="module")
def result() -> DemandResult:
    return forecast(history(), supply())


def test_every_engine_speaks_of_every_hour_ahead_in_the_columns_of_the_table(result: DemandResult) -> None:
    assert result.forecasts.columns == [*HOURLY_SCHEMA, "is_champion"]
    assert result.forecasts["model_version"].n_unique() == 2
    assert result.forecasts.height == 2 * 48
    assert result.forecasts["forecast_origin_date"].unique().to_list() == [DAY]


def test_a_forecast_begins_at_midnight_of_the_business_day(result: DemandResult) -> None:
    assert result.forecasts["hour_start_at"].min() == datetime(2026, 3, 9, 4)


@pytest.mark.parametrize(
    ("day", "zone", "starts_at"),
    [
        (date(2026, 3, 8), ZONE, datetime(2026, 3, 8, 5)),
        (date(2026, 3, 9), ZONE, datetime(2026, 3, 9, 4)),
        (date(2026, 11, 1), ZONE, datetime(2026, 11, 1, 4)),
        (date(2026, 11, 2), ZONE, datetime(2026, 11, 2, 5)),
        (date(2026, 3, 9), "UTC", datetime(2026, 3, 9)),
        (date(2026, 3, 9), "Asia/Kolkata", datetime(2026, 3, 8, 18, 30)),
    ],
)
def test_midnight_is_that_of_the_business_time_zone(day: date, zone: str, starts_at: datetime) -> None:
    assert midnight_utc(day, zone) == starts_at


def test_hours_at_and_after_the_origin_are_not_looked_at(result: DemandResult) -> None:
    late = history().vstack(
        pl.DataFrame(
            [("algebra", midnight_utc(DAY, ZONE) + timedelta(hours=16), 500, DAY, False)],
            schema=history().schema,
            orient="row",
        )
    )
    assert forecast(late, supply()).forecasts.equals(result.forecasts)


def test_the_same_history_gives_the_same_forecast(result: DemandResult) -> None:
    again = forecast(history(), supply())
    assert again.forecasts.equals(result.forecasts)
    assert again.risks.equals(result.risks)


def test_a_subject_with_too_little_history_is_refused_by_name_and_not_made_up(result: DemandResult) -> None:
    refused = result.refusals.filter(pl.col("subject_id") == "latin")
    assert result.refusals.columns == [
        "subject_id",
        "forecast_origin_date",
        "model_version",
        "not_forecast_reason",
    ]
    assert set(refused["not_forecast_reason"]) == {"too_little_history"}
    assert "latin" not in result.forecasts["subject_id"]


def test_supply_is_weighed_against_the_first_engine_only(result: DemandResult) -> None:
    assert result.risks.columns == RISK_COLUMNS
    assert result.risks["model_version"].unique().to_list() == [result.forecasts["model_version"][0]]
    evening = result.risks.filter(pl.col("hour_start_at") == datetime(2026, 3, 9, 20)).row(0, named=True)
    assert evening["p_shortage"] > 0.5
    assert evening["expected_unmet_sessions"] > 1


def test_without_supply_nothing_is_said_about_shortages() -> None:
    said = forecast(history(), supply().clear())
    assert said.risks.is_empty()
    assert not said.forecasts.is_empty()


def test_without_history_nothing_is_said_at_all() -> None:
    said = forecast(history().clear(), supply())
    assert said.forecasts.is_empty()
    assert said.refusals.is_empty()
    assert said.risks.is_empty()


def test_a_day_on_which_the_feed_was_silent_is_not_taken_for_a_day_without_demand() -> None:
    silent_day = DAY - timedelta(days=7)
    zeros = history(silent=silent_day)
    believed = forecast(zeros.with_columns(is_silent_day=pl.lit(False)), supply().clear())
    masked = forecast(zeros, supply().clear())

    def of_that_weekday(said: DemandResult) -> float:
        # The four-week mean has no defence of its own against a zero.
        monday = said.forecasts.filter(
            pl.col("model_version").str.contains("four_week"),
            pl.col("hour_start_at") < midnight_utc(DAY, ZONE) + timedelta(days=1),
        )
        return float(monday["expected_sessions"].sum())

    assert of_that_weekday(masked) > of_that_weekday(believed) * 1.2


@pytest.mark.parametrize(
    ("first", "last", "origins"),
    [
        (DAY, DAY, [DAY]),
        (DAY - timedelta(days=6), DAY, [DAY]),
        (DAY - timedelta(days=7), DAY, [DAY - timedelta(days=7), DAY]),
        (date(2025, 1, 1), DAY, [DAY - timedelta(weeks=week) for week in (4, 3, 2, 1)] + [DAY]),
    ],
)
def test_a_backfill_forecasts_from_weekly_origins_too(first: date, last: date, origins: list[date]) -> None:
    assert origins_between(first, last) == origins


@pytest.fixture
def made_up(lake: LakeWriter) -> Iterator[LakeWriter]:
    feature = history().rename({"sessions": "requested_sessions"})
    frames = {
        MADE_UP[0]: feature,
        MADE_UP[1]: supply(),
        MADE_UP[2]: pl.DataFrame({"subject_id": ["algebra", "latin"], "mean_session_hours": [1.0, 1.0]}),
        MADE_UP[3]: pl.DataFrame({"limit_name": list(LIMITS), "value": list(LIMITS.values())}),
    }
    for relation, frame in frames.items():
        lake.connection.register("made_up", frame)
        lake.connection.execute(f"create or replace table lake.{relation} as select * from made_up")
        lake.connection.unregister("made_up")
    yield lake
    for relation in frames:
        lake.connection.execute(f"drop table lake.{relation}")


def build(house: House, *, first: date | None = None) -> None:
    inputs = [dg.AssetSpec(relation.split(".")) for relation in MADE_UP]
    done = dg.materialize(
        [*inputs, build_demand_assets(ZONE)],
        selection=dg.AssetSelection.groups("ml"),
        partition_key=DAY.isoformat(),
        tags={AS_OF_FROM_TAG: first.isoformat()} if first else {},
        resources={"house": house, "turn": Turn()},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert done.success


def test_a_rerun_of_a_day_leaves_the_same_rows(
    made_up: LakeWriter, house_at: Callable[[datetime], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand, "ForecastConfig", lambda **_: CONFIG)
    tables = ("demand_forecasts", "supply_demand_risks", "forecast_refusals")
    read = [f"select * from lake.ml.{table} order by all" for table in tables]
    build(house_at(NOON))
    before = [made_up.read(sql) for sql in read]
    build(house_at(NOON))
    assert all(made_up.read(sql).equals(rows) for sql, rows in zip(read, before, strict=True))
    assert [rows.height for rows in before] == [2 * 48, 48, 2]


def test_of_each_subject_one_engine_is_the_champion(
    made_up: LakeWriter, house_at: Callable[[datetime], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand, "ForecastConfig", lambda **_: CONFIG)
    build(house_at(NOON))
    champions = made_up.read(
        "select subject_id, count(distinct model_version) as engines, "
        "count(distinct model_version) filter (where is_champion) as champions "
        "from lake.ml.demand_forecasts group by 1"
    )
    assert champions["champions"].to_list() == [1] * champions.height
    assert max(champions["engines"]) == 2
    weighed = made_up.read("select distinct model_version from lake.ml.supply_demand_risks")
    champion = made_up.read("select distinct model_version from lake.ml.demand_forecasts where is_champion")
    assert weighed.equals(champion)


def test_the_next_engine_speaks_for_a_subject_that_the_first_one_refuses() -> None:
    first = pl.DataFrame({"subject_id": ["algebra"], "expected": [1.0]})
    second = pl.DataFrame({"subject_id": ["algebra", "latin"], "expected": [2.0, 3.0]})
    marked = demand._with_champion([first, second])
    assert marked["is_champion"].to_list() == [True, False, True]


def test_a_backfill_weighs_supply_for_its_last_origin_only(
    made_up: LakeWriter, house_at: Callable[[datetime], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demand, "ForecastConfig", lambda **_: CONFIG)
    build(house_at(NOON), first=DAY - timedelta(days=8))
    origins = "select distinct forecast_origin_date as day from lake.ml.{} order by 1"
    assert made_up.read(origins.format("demand_forecasts"))["day"].to_list() == [DAY - timedelta(days=7), DAY]
    assert made_up.read(origins.format("supply_demand_risks"))["day"].to_list() == [DAY]
