"""Moves of sessions are true to the sessions that they moved: who, when, from where to where."""

from pathlib import Path

import polars as pl
import pytest

from app.mock_rails.world.build import World
from app.mock_rails.world.moves import build_reschedules
from app.mock_rails.world.recipe import PROFILES, Recipe
from app.mock_rails.world.words import RESCHEDULE_REASONS


@pytest.fixture(scope="module")
def moves(demo: World) -> pl.DataFrame:
    """The moves of the demo world with the session that each one moved, in the order of the moves of a session."""
    sessions = demo.frames["sessions"].select(
        "session_id", "booked_at", "start_at", "reschedule_count",
        session_original="original_start_at", session_moved_at="rescheduled_at", session_mover="rescheduled_by",
    )  # fmt: skip
    joined = demo.frames["reschedules"].join(sessions, on="session_id")
    return joined.sort("session_id", "rescheduled_at").with_columns(
        number=pl.int_range(1, pl.len() + 1).over("session_id")
    )


def test_a_session_has_as_many_moves_as_it_says(demo: World, moves: pl.DataFrame) -> None:
    assert moves.height > 5_000
    counted = moves.group_by("session_id").agg(pl.len(), pl.col("reschedule_count").first())
    assert (counted["len"] == counted["reschedule_count"]).all()
    assert counted["reschedule_count"].n_unique() == 2
    assert counted.height == demo.frames["sessions"]["rescheduled_at"].count()


def test_moves_lead_from_the_first_time_to_the_last_without_a_gap(moves: pl.DataFrame) -> None:
    first = moves.filter(pl.col("number") == 1)
    last = moves.filter(pl.col("number") == pl.col("reschedule_count"))
    assert (first["original_start_at"] == first["session_original"]).all()
    assert (last["new_start_at"] == last["start_at"]).all()
    assert (last["rescheduled_at"] == last["session_moved_at"]).all()
    assert (last["rescheduled_by"] == last["session_mover"]).all()
    second = moves.with_columns(
        came_from=pl.col("new_start_at").shift().over("session_id"),
        came_after=pl.col("rescheduled_at").shift().over("session_id"),
    ).filter(pl.col("number") == 2)
    assert second.height > 500
    assert (second["original_start_at"] == second["came_from"]).all()
    assert (second["rescheduled_at"] > second["came_after"]).all()


def test_every_move_is_made_after_the_booking_and_before_the_start_that_it_moves(moves: pl.DataFrame) -> None:
    assert moves.filter(pl.col("rescheduled_at") <= pl.col("booked_at")).is_empty()
    assert moves.filter(pl.col("rescheduled_at") >= pl.col("original_start_at")).is_empty()
    assert moves.filter(pl.col("original_start_at") == pl.col("new_start_at")).is_empty()


def test_nearly_every_move_is_the_tutors(moves: pl.DataFrame) -> None:
    by_tutors = float(moves.select((pl.col("rescheduled_by") == "tutor").mean()).item())
    assert by_tutors == pytest.approx(0.982, abs=0.006)
    first_of_two = moves.filter((pl.col("number") == 1) & (pl.col("reschedule_count") == 2))
    by_tutors = float(first_of_two.select((pl.col("rescheduled_by") == "tutor").mean()).item())
    assert by_tutors == pytest.approx(0.982, abs=0.015)


def test_a_reason_is_one_that_its_mover_would_give(moves: pl.DataFrame) -> None:
    given = {
        str(who): set(part["reason"])
        for (who,), part in moves.group_by("rescheduled_by", maintain_order=True)
    }
    assert given == {who: set(reasons) for who, reasons in RESCHEDULE_REASONS.items()}


def test_identifiers_follow_the_time_of_the_move(demo: World) -> None:
    assert demo.frames["reschedules"]["rescheduled_at"].is_sorted()


def test_another_seed_draws_other_reasons_and_the_same_seed_the_same(tiny_folder: Path, tiny: World) -> None:
    sessions = pl.read_parquet(tiny_folder / "sessions.parquet")
    again, other = (
        build_reschedules(Recipe(PROFILES["tiny"], seed, tiny.anchor), sessions) for seed in (7, 8)
    )
    assert again.equals(tiny.frames["reschedules"])
    assert not again["reason"].equals(other["reason"])
