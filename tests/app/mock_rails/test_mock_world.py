"""The world looks like a tutoring marketplace: shapes, people, keys, clocks."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import lived

from app.mock_rails.world.build import World, load_world

FINISHED = pl.col("status") == "finished"


def share(frame: pl.DataFrame, condition: pl.Expr) -> float:
    return float(frame.select(condition.cast(pl.Float64).mean()).item())


def test_the_demo_world_has_a_hundred_thousand_sessions_over_four_hundred_days(
    demo_sessions: pl.DataFrame,
) -> None:
    assert demo_sessions.height >= 100_000
    assert demo_sessions["day"].n_unique() >= 400


def test_weekday_sessions_peak_between_three_and_nine_in_the_evening(demo_sessions: pl.DataFrame) -> None:
    weekdays = demo_sessions.filter(pl.col("weekday") < 5)
    assert share(weekdays, pl.col("hour").is_between(15, 20)) > 0.6
    busiest = weekdays.group_by("hour").len().sort("len")["hour"][-1]
    assert 15 <= busiest <= 20


def test_weekends_are_quieter_than_weekdays(demo_sessions: pl.DataFrame) -> None:
    per_weekday = demo_sessions.group_by("weekday").len().sort("weekday")["len"].to_list()
    assert sum(per_weekday[5:]) / 2 < 0.85 * sum(per_weekday[:5]) / 5


def test_every_session_starts_in_the_same_local_hours_on_both_sides_of_the_clock_change(
    demo_sessions: pl.DataFrame,
) -> None:
    months = demo_sessions.group_by(pl.col("day").dt.month()).agg(
        pl.col("hour").min().alias("first"),
        pl.col("hour").max().alias("last"),
        pl.col("hour").mean().alias("mean"),
    )
    assert months["first"].min() == 7
    assert months["last"].max() == 22
    means = months["mean"].to_numpy()
    assert means.max() - means.min() < 0.5
    offsets = demo_sessions.with_columns(utc=pl.col("session_start_time").dt.hour())
    assert offsets.select(((pl.col("utc") - pl.col("hour")) % 24).unique().sort()).to_series().to_list() == [
        4,
        5,
    ]


def test_school_breaks_lower_the_volume(demo: World, demo_sessions: pl.DataFrame) -> None:
    daily = demo_sessions.group_by("day").len()
    winter = next(one for one in demo.card["breaks"] if one["name"] == "winter")
    first, last = date.fromisoformat(winter["starts_on"]), date.fromisoformat(winter["ends_on"])
    inside = daily.filter(pl.col("day").is_between(first, last))
    assert inside["len"].to_numpy().mean() < 0.6 * daily["len"].to_numpy().mean()


def test_subjects_follow_a_zipf_like_order(demo_sessions: pl.DataFrame) -> None:
    counts = demo_sessions.group_by("subject").len().sort("len", descending=True)["len"].to_list()
    assert len(counts) == 12
    assert counts[0] > 1.5 * counts[1]
    assert counts[0] > 5 * counts[-1]


def test_calls_come_from_few_customers_and_follow_bad_sessions(
    demo: World, demo_sessions: pl.DataFrame
) -> None:
    calls = lived(demo, "inbound_calls")
    per = calls.group_by("customer_id").len()["len"].sort(descending=True)
    assert per.head(240).sum() > 0.35 * calls.height
    bad = demo_sessions.filter(FINISHED & ((pl.col("student_feedback_rating") <= 2) | pl.col("no_show")))
    good = demo_sessions.filter(FINISHED & (pl.col("student_feedback_rating") >= 4))

    def called_within_two_days(sessions: pl.DataFrame) -> float:
        joined = sessions.select("session_id", "student_id", "session_end_time").join(
            calls, left_on="student_id", right_on="customer_id"
        )
        wait = pl.col("call_date") - pl.col("session_end_time")
        after = joined.filter((wait >= pl.duration(minutes=0)) & (wait <= pl.duration(days=2)))
        return after["session_id"].n_unique() / sessions.height

    assert called_within_two_days(bad) > 4 * called_within_two_days(good)
    assert calls["reason_code"].drop_nulls().n_unique() == 6


def test_struggling_tutors_are_late_absent_and_rated_lower(
    demo_sessions: pl.DataFrame, demo_truth: dict[str, Any]
) -> None:
    kinds = pl.DataFrame([{"tutor_id": one["tutor_id"], "kind": one["kind"]} for one in demo_truth["tutors"]])
    by = {
        str(name[0]): part
        for name, part in demo_sessions.filter(FINISHED).join(kinds, on="tutor_id").group_by("kind")
    }
    assert set(by) == {"star", "good", "struggling"}
    for column in (pl.col("no_show"), pl.col("late_minutes") > 5, pl.col("was_rescheduled")):
        assert share(by["struggling"], column) > 1.4 * share(by["good"], column)
    rating = {
        kind: part["student_feedback_rating"].drop_nulls().to_numpy().mean() for kind, part in by.items()
    }
    assert rating["struggling"] + 0.5 < rating["good"] < rating["star"]


def test_rates_are_those_of_a_real_marketplace(demo_sessions: pl.DataFrame) -> None:
    finished = demo_sessions.filter(FINISHED)
    assert 0.01 < share(finished, pl.col("no_show")) < 0.03
    assert 0.58 < share(finished, pl.col("student_feedback_rating").is_not_null()) < 0.68
    moved = demo_sessions.filter(pl.col("was_rescheduled"))
    assert share(moved, pl.col("rescheduled_by") == "tutor") == pytest.approx(0.982, abs=0.006)
    assert 0.02 < share(demo_sessions, pl.col("status") == "cancelled") < 0.06


def test_the_first_session_flag_is_wrong_now_and_then(demo: World) -> None:
    done = demo.frames["sessions"].filter(pl.col("cancelled_at").is_null()).sort("start_at")
    held = pl.col("tutor_join_at").is_not_null() & pl.col("student_join_at").is_not_null()
    before = held.cast(pl.Int64).cum_sum().over("student_id") - held.cast(pl.Int64)
    judged = done.with_columns(true_first=before == 0)
    missed = judged.filter(pl.col("true_first"))
    assert 0.005 < share(missed, ~pl.col("is_first_session")) < 0.05
    assert share(judged, pl.col("is_first_session") != pl.col("true_first")) < 0.005


@pytest.mark.parametrize("which", ["tiny", "demo"])
def test_every_reference_points_to_somebody(which: str, request: pytest.FixtureRequest) -> None:
    frames = request.getfixturevalue(which).frames
    customers, tutors = frames["customers"]["customer_id"], frames["tutors"]["tutor_id"]
    sessions, events = frames["sessions"], frames["engagement_events"]
    assert sessions["tutor_id"].is_in(tutors.implode()).all()
    assert sessions["student_id"].is_in(customers.implode()).all()
    assert frames["inbound_calls"]["customer_id"].is_in(customers.implode()).all()
    for who, ids in (("tutor", tutors), ("customer", customers)):
        assert events.filter(pl.col("actor_type") == who)["actor_id"].is_in(ids.implode()).all()
    moves = frames["reschedules"].join(sessions, on=["session_id", "tutor_id", "student_id"], how="semi")
    assert moves.height == frames["reschedules"].height
    assert events["session_id"].drop_nulls().is_in(sessions["session_id"].implode()).all()
    for kind, ids in (
        ("sessions", "session_id"),
        ("customers", "customer_id"),
        ("reschedules", "reschedule_id"),
        ("engagement_events", "event_id"),
    ):
        assert frames[kind][ids].is_unique().all()
        assert frames[kind][ids].is_sorted()


def test_nobody_teaches_two_sessions_at_once_or_while_away(demo: World) -> None:
    held = demo.frames["sessions"].filter(pl.col("cancelled_at").is_null()).sort("tutor_id", "start_at")
    overlap = pl.col("end_at").shift().over("tutor_id") > pl.col("start_at")
    assert held.filter(overlap).is_empty()
    both = held.join(demo.frames["tutors"], on="tutor_id")
    local_day = pl.col("start_at").dt.convert_time_zone(demo.card["time_zone"]).dt.date()
    assert both.filter(local_day.is_between(pl.col("leave_starts_on"), pl.col("leave_ends_on"))).is_empty()
    assert both.filter(pl.col("start_at") > pl.col("deactivated_at")).is_empty()


def test_every_moment_comes_in_its_order(demo: World) -> None:
    sessions = demo.frames["sessions"]
    for earlier, later in (
        ("booked_at", "rescheduled_at"),
        ("rescheduled_at", "cancelled_at"),
        ("rescheduled_at", "original_start_at"),
        ("cancelled_at", "start_at"),
        ("end_at", "finished_at"),
        ("tutor_join_at", "tutor_leave_at"),
        ("finished_at", "student_feedback_at"),
        ("finished_at", "touched_at"),
    ):
        assert sessions.filter(pl.col(earlier) > pl.col(later)).is_empty(), (earlier, later)
    waits = sessions.select((pl.col("student_feedback_at") - pl.col("finished_at")).max()).item()
    assert timedelta(hours=70) < waits <= timedelta(hours=72, seconds=1)
    people = demo.frames["customers"]
    for number in (1, 2, 3):
        done = people.filter(pl.col(f"goal_{number}_completed_at") < pl.col(f"goal_{number}_set_at"))
        assert done.is_empty()
    assert people.filter(pl.col("goal_2_set_at") < pl.col("goal_1_completed_at")).is_empty()
    assert people["goal_2_set_at"].drop_nulls().len() > 100


def test_the_short_subject_is_booked_beyond_what_tutors_offer_on_tuesday_evenings(
    demo: World, demo_sessions: pl.DataFrame, demo_truth: dict[str, Any]
) -> None:
    short = next(one for one in demo_truth["subjects"] if one["shortage"])
    where = short["shortage"]
    evening = demo_sessions.filter(
        (pl.col("subject") == short["subject_id"])
        & (pl.col("weekday") == where["weekday"])
        & pl.col("hour").is_between(where["start_hour"], where["end_hour"] - 1)
    )
    booked = evening.height / evening["day"].n_unique()
    offers = demo.frames["tutors"].filter(
        pl.col("subjects").list.contains(short["subject_id"]) & (pl.col("time_zone") == "America/New_York")
    )
    blocks = (
        offers.explode("availability").unnest("availability").filter(pl.col("weekday") == where["weekday"])
    )
    opens = pl.max_horizontal(pl.col("start").str.head(2).cast(pl.Int64), where["start_hour"])
    closes = pl.min_horizontal(pl.col("end").str.head(2).cast(pl.Int64), where["end_hour"])
    hours = blocks.select((closes - opens).clip(0).sum()).item()
    assert hours < 0.8 * booked


def test_the_booked_future_reaches_beyond_the_anchor(demo: World) -> None:
    booked = demo.frames["sessions"].filter(
        (pl.col("booked_at") <= demo.anchor) & (pl.col("start_at") > demo.anchor)
    )
    assert booked.height > 200
    last = demo.frames["sessions"].select(pl.col("start_at").max()).item()
    assert (last - demo.anchor).days >= 20


def test_the_same_arguments_write_the_same_bytes(build: Callable[..., Path], tiny_folder: Path) -> None:
    again, other = build(), build(seed=8)
    files = sorted(path.name for path in tiny_folder.iterdir())
    assert files == sorted(path.name for path in again.iterdir())
    for name in files:
        assert (tiny_folder / name).read_bytes() == (again / name).read_bytes(), name
    assert (tiny_folder / "sessions.parquet").read_bytes() != (other / "sessions.parquet").read_bytes()


def test_bursty_arrivals_keep_the_volume_and_spread_more(
    build: Callable[..., Path], demo_sessions: pl.DataFrame
) -> None:
    bursty = lived(load_world(build("demo", family="bursty")))

    def dispersion(sessions: pl.DataFrame) -> float:
        busy = sessions.filter(pl.col("subject") == "algebra", pl.col("weekday") == 2, pl.col("hour") == 17)
        counts = busy.group_by("day").len()["len"].to_numpy()
        return float(counts.var() / counts.mean())

    assert bursty.height == pytest.approx(demo_sessions.height, rel=0.1)
    assert dispersion(bursty) > 1.3 * dispersion(demo_sessions)


def test_a_world_of_an_older_format_is_refused_with_the_next_step(tiny_folder: Path, tmp_path: Path) -> None:
    older = json.loads((tiny_folder / "world.json").read_text()) | {"format": 1}
    (tmp_path / "world.json").write_text(json.dumps(older))
    with pytest.raises(ValueError, match=r"has format 1, this is 2\. Build it again"):
        load_world(tmp_path)


def test_a_folder_without_a_world_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"world\.json is missing"):
        load_world(tmp_path / "nothing")
