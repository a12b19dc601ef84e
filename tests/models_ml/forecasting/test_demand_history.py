from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from models_ml.forecasting import history as h
from models_ml.forecasting.config import ForecastConfig

ORIGIN = datetime(2025, 3, 3)
CONFIG = ForecastConfig()
COUNTS_SCHEMA: dict[str, Any] = {
    "subject_id": pl.String,
    "hour_start_at": pl.Datetime("us"),
    "sessions": pl.Int64,
}


def counts(*rows: tuple[str, datetime, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=COUNTS_SCHEMA, orient="row")


def prepared(frame: pl.DataFrame, origin: datetime = ORIGIN, time_zone: str = "UTC") -> h.ReadyHistory:
    return h.prepare(frame, origin, time_zone=time_zone, config=CONFIG, model_version="test-1")


def test_hours_without_a_row_become_zero_up_to_the_end() -> None:
    filled = h.complete_hours(
        counts(("maths", datetime(2025, 1, 1, 1), 4)),
        start_at=datetime(2025, 1, 1),
        end_at=datetime(2025, 1, 1, 4),
    )
    assert filled["sessions"].to_list() == [4, 0, 0]
    assert filled["hour_start_at"].to_list()[-1] == datetime(2025, 1, 1, 3)


def test_a_subject_known_from_before_is_filled_from_the_start() -> None:
    filled = h.complete_hours(
        counts(("maths", datetime(2024, 12, 1), 4)),
        start_at=datetime(2025, 1, 1),
        end_at=datetime(2025, 1, 1, 4),
    )
    assert filled["sessions"].to_list() == [0, 0, 0, 0]


def test_filling_twice_changes_nothing() -> None:
    span = {"start_at": datetime(2025, 1, 1), "end_at": datetime(2025, 1, 3)}
    once = h.complete_hours(counts(("b", datetime(2025, 1, 2), 1), ("a", datetime(2025, 1, 1), 2)), **span)
    assert h.complete_hours(once, **span).equals(once)


@pytest.mark.parametrize(
    "rows",
    [
        [("maths", datetime(2025, 1, 1), 1), ("maths", datetime(2025, 1, 1), 1)],
        [("maths", datetime(2025, 1, 1, 0, 30), 1)],
        [("maths", datetime(2025, 1, 1), -1)],
    ],
)
def test_crooked_rows_are_refused_with_their_subject(rows: list[tuple[str, datetime, int]]) -> None:
    with pytest.raises(ValueError, match="maths"):
        h.complete_hours(counts(*rows), start_at=datetime(2025, 1, 1), end_at=datetime(2025, 1, 2))


def test_a_gap_is_refused_with_its_subject(history_of) -> None:
    full = history_of("maths", ORIGIN - timedelta(days=40), 40, lambda _: 1)
    holed = full.filter(pl.col("hour_start_at") != ORIGIN - timedelta(days=3))
    with pytest.raises(ValueError, match=r"maths has 959 of 960"):
        prepared(holed)


def test_history_that_ends_too_early_is_a_gap(history_of) -> None:
    with pytest.raises(ValueError, match="maths"):
        prepared(history_of("maths", ORIGIN - timedelta(days=40), 39, lambda _: 1))


def test_an_origin_with_a_time_zone_or_minutes_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        h.check_origin(datetime.fromisoformat("2025-01-01T00:00:00+00:00"))
    with pytest.raises(ValueError, match="whole hour"):
        h.check_origin(datetime(2025, 1, 1, 0, 5))


def test_what_happens_after_the_origin_is_not_seen(history_of) -> None:
    long = history_of("maths", ORIGIN - timedelta(days=40), 50, lambda _: 1)
    short = long.filter(pl.col("hour_start_at") < ORIGIN)
    assert prepared(long).hours.equals(prepared(short).hours)


def test_a_subject_starts_with_its_first_session(history_of) -> None:
    first = ORIGIN - timedelta(days=20)
    frame = history_of("maths", ORIGIN - timedelta(days=40), 40, lambda r: int(r["hour_start_at"] >= first))
    assert prepared(frame).hours["hour_start_at"].min() == first


def test_days_cut_by_the_start_or_the_origin_are_not_whole(history_of) -> None:
    origin = ORIGIN + timedelta(hours=2)
    frame = history_of("maths", origin - timedelta(days=40), 40, lambda _: 1)
    cut = prepared(frame, origin).hours.filter(~pl.col("is_whole_day"))["local_date"].unique().sort()
    assert cut.to_list() == [date(2025, 1, 22), date(2025, 3, 3)]


def test_a_day_that_starts_and_ends_with_the_history_is_whole(history_of) -> None:
    frame = history_of("maths", ORIGIN - timedelta(days=40), 40, lambda _: 1)
    assert prepared(frame).hours["is_whole_day"].all()


def test_each_refusal_names_its_reason(history_of) -> None:
    start = ORIGIN - timedelta(days=80)

    def since(days: int):
        return lambda r: int(r["hour_start_at"] >= ORIGIN - timedelta(days=days))

    frame = pl.concat(
        [
            history_of("fine", start, 80, lambda _: 1),
            history_of("new", start, 80, since(13)),
            history_of("rare", start, 80, lambda r: int(r["local_hour"] == 9 and r["local_date"].day == 1)),
            history_of("silent", start, 80, lambda _: 0),
            history_of("stopped", start, 80, lambda r: int(r["hour_start_at"] < ORIGIN - timedelta(days=28))),
        ]
    )
    ready = prepared(frame)
    reasons = dict(ready.refused.select("subject_id", "not_forecast_reason").rows())
    assert reasons == {
        "new": "too_little_history",
        "rare": "too_few_sessions",
        "silent": "no_recent_sessions",
        "stopped": "no_recent_sessions",
    }
    assert ready.hours["subject_id"].unique().to_list() == ["fine"]


def test_the_hour_of_the_week_is_read_in_business_time() -> None:
    frame = counts(("maths", datetime(2025, 3, 9, 6, 0), 1), ("maths", datetime(2025, 3, 9, 7, 0), 1))
    local = h.add_local_calendar(frame, "America/New_York")
    # 02:00 does not exist that night.
    assert local["local_hour"].to_list() == [1, 3]
    assert local["weekday"].to_list() == [6, 6]


def test_a_day_of_23_hours_is_whole_and_a_day_of_22_is_not() -> None:
    start = datetime(2025, 3, 9, 5)
    hours = pl.DataFrame(
        {"hour_start_at": [start + timedelta(hours=i) for i in range(23 + 22)]},
        schema={"hour_start_at": pl.Datetime("us")},
    )
    labelled = h.add_period(hours, level="day", time_zone="America/New_York")
    whole = labelled.group_by("period").agg(pl.col("period_is_whole").first(), pl.len()).sort("period")
    assert whole.rows() == [("2025-03-09", True, 23), ("2025-03-10", False, 22)]


def test_equal_configs_share_a_hash_and_any_change_moves_it() -> None:
    assert ForecastConfig().hash8 == ForecastConfig().hash8
    assert ForecastConfig(seed=2).hash8 != ForecastConfig().hash8
    assert len(ForecastConfig().hash8) == 8


def test_a_config_whose_columns_would_lie_is_refused() -> None:
    with pytest.raises(ValueError, match="lower_95"):
        ForecastConfig(interval=0.8)
