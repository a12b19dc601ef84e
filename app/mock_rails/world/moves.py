"""Every move of a session to another time, and what a session moved twice looked like in between.

Derived from what the sessions already say; what they do not say is drawn from a stream of its own, so that no other
frame of a world depends on it.
"""

import numpy as np
import polars as pl

from app.mock_rails.world.days import DAY_US
from app.mock_rails.world.recipe import Recipe
from app.mock_rails.world.timeline import fake_id, moment, movers
from app.mock_rails.world.words import RESCHEDULE_REASONS

COLUMNS = (
    "session_id", "tutor_id", "student_id", "rescheduled_by", "original_start_at", "new_start_at",
    "rescheduled_at",
)  # fmt: skip


def _us(frame: pl.DataFrame, column: str) -> np.ndarray:
    return frame[column].cast(pl.Int64).to_numpy()


def _first_of_two(rng: np.random.Generator, moved: pl.DataFrame) -> pl.DataFrame:
    """The sessions with the move that came before their last one, as if each had been moved twice.

    It was made between the booking and the last move, to the same time of one of the four days after the original,
    but not to the day on which the session took place at last.
    """
    n = moved.height
    booked, last = _us(moved, "booked_at"), _us(moved, "rescheduled_at")
    original, final = _us(moved, "original_start_at"), _us(moved, "start_at")
    day = rng.integers(1, 4, n)
    day = day + (day >= (final - original) // DAY_US)
    made = booked + (last - booked) * rng.uniform(0.2, 0.9, n)
    return moved.with_columns(
        interim_start_at=moment(original + day * DAY_US),
        first_moved_at=moment(made.astype(np.int64)),
        first_moved_by=pl.Series(movers(rng.random(n))),
    )


def _reasons(rng: np.random.Generator, movers_of: pl.Series) -> pl.Series:
    """A reason for each move, one that its mover would give."""
    draw = rng.random(len(movers_of))
    reason = pl.lit(None, pl.String)
    for who, choices in RESCHEDULE_REASONS.items():
        chosen = pl.Series(choices).gather((draw * len(choices)).astype(np.int64))
        reason = pl.when(movers_of == who).then(chosen).otherwise(reason)
    return pl.select(reason).to_series()


def build_reschedules(recipe: Recipe, sessions: pl.DataFrame) -> pl.DataFrame:
    """All moves, sorted by reschedule_id; ids follow the time of the move. A session moved twice has two."""
    rng = recipe.stream("reschedules")
    moved = _first_of_two(rng, sessions.filter(pl.col("rescheduled_at").is_not_null()))
    twice = pl.col("reschedule_count") == 2
    last = moved.with_columns(
        original_start_at=pl.when(twice).then("interim_start_at").otherwise("original_start_at"),
        new_start_at="start_at",
    )
    first = moved.filter(twice).with_columns(
        rescheduled_by="first_moved_by", new_start_at="interim_start_at", rescheduled_at="first_moved_at"
    )
    moves = pl.concat([last.select(COLUMNS), first.select(COLUMNS)]).sort("rescheduled_at", "session_id")
    width = 7 if moves.height > 999_999 else 6
    ids = fake_id("rsc_", np.arange(1, moves.height + 1), width).alias("reschedule_id")
    reasons = _reasons(rng, moves["rescheduled_by"]).alias("reason")
    return moves.insert_column(0, ids).insert_column(5, reasons)


def with_first_moves(sessions: pl.DataFrame, reschedules: pl.DataFrame) -> pl.DataFrame:
    """The sessions with the first of two moves beside the last one: when, by whom, and the time in between.

    Null for a session that was moved once or never. Same rows, same order.
    """
    ordered = reschedules.sort("session_id", "rescheduled_at")
    first = ordered.filter(pl.col("session_id") == pl.col("session_id").shift(-1)).select(
        "session_id",
        first_moved_at="rescheduled_at",
        first_moved_by="rescheduled_by",
        interim_start_at="new_start_at",
    )
    joined = sessions.join(first, on="session_id", how="left", maintain_order="left")
    length = pl.col("end_at") - pl.col("start_at")
    return joined.with_columns(interim_end_at=pl.col("interim_start_at") + length)
