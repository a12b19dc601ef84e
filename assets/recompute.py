"""Recomputes the scores of a day as they were known at an instant, and compares them with what is published.

The same models run over the raw rows that had come in by then, into a file beside the lake; the lake is only read.
What belongs here: building that file, reading scores, telling which differ. What does not: printing. No Dagster here.
Not rewound: the rulebook and the formulas, which are today's, and what was erased since.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assets.transform import (
    build_arguments,
    dbt_executable,
    dbt_process_environment,
    dbt_variables,
    judged_at,
)
from data.clock import end_of_business_day
from data.lake.connection import LakeError, attach_address
from data.lake.scratch import NAME, ScratchReader
from data.postgres import open_postgres
from data.settings import Settings

MODELS = ("fct_tutor_scores", "fct_customer_scores")
SCORES = (
    "select tutor_id as entity_id, score_code, formula_version, score, not_scored_reason, components "
    "from marts.fct_tutor_scores where as_of_date = $day",
    "select customer_id as entity_id, score_code, formula_version, score, not_scored_reason, components "
    "from marts.fct_customer_scores where as_of_date = $day",
)
"""The published scores of a day that can be recomputed."""
KEY = ("entity_id", "score_code", "formula_version")
SCORE_DIGITS = 6
"""Scores are rounded here when they are made (macros/rulebook.sql)."""
LAST_WORDS = 4_000

Query = Callable[[str, dict[str, Any]], pl.DataFrame]


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    counts: one row per score_code with scores, equal and different. differences: one row per score that differs, with
    then, now, difference (now minus then), and why there is none where there is none.
    """

    counts: pl.DataFrame
    differences: pl.DataFrame


@contextmanager
def as_known(
    settings: Settings, *, as_of: date, known_at: datetime, now: datetime
) -> Iterator[ScratchReader]:
    """Build the scores of a day from what was known at an instant, and give a reader of them for a block.

    Nothing is left behind and nothing in the lake changes. Raises ValueError when the question makes no sense, and
    RuntimeError with dbt's last words when the build fails.
    """
    check_question(settings, as_of=as_of, known_at=known_at, now=now)
    room = settings.state / "recomputed"
    room.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{as_of}-", dir=room))
    try:
        file = folder / f"{NAME}.duckdb"
        _build(settings, folder, file, as_of=as_of, known_at=known_at)
        reader = ScratchReader(settings, file)
        try:
            yield reader
        finally:
            reader.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_question(settings: Settings, *, as_of: date, known_at: datetime, now: datetime) -> None:
    """Raise ValueError unless known_at is an instant with a zone, after the day's beginning and not yet to come."""
    if known_at.tzinfo is None:
        raise ValueError(f"{known_at.isoformat()} has no time zone; write it as 2026-03-01T12:00:00Z")
    begins_at = end_of_business_day(date.fromordinal(as_of.toordinal() - 1), settings.business_time_zone)
    if known_at <= begins_at:
        raise ValueError(f"at {known_at.isoformat()} the day {as_of} had not begun; choose a later instant")
    if known_at > now:
        raise ValueError(f"{known_at.isoformat()} is still to come; choose an instant up to now")


def _build(settings: Settings, folder: Path, file: Path, *, as_of: date, known_at: datetime) -> None:
    variables = dbt_variables(as_of, as_of, time_zone=settings.business_time_zone) | {
        "known_at": known_at.astimezone(UTC).isoformat(),
        "build_database": NAME,
    }
    arguments = build_arguments(variables, with_tests=False)
    arguments += ["--target", NAME, "--select", *(f"+{model}" for model in MODELS)]
    # A day that was still running is judged at that instant; one that was over, at its end (macros/time.sql).
    with judged_at(known_at.astimezone(UTC)):
        environment = dbt_process_environment(settings)
    done = subprocess.run(
        [dbt_executable(), *arguments],
        cwd=settings.dbt_project_path,
        env=environment
        | {
            "CHALKLINE_LAKE_ADDRESS": attach_address(open_postgres(settings), reader=True),
            "CHALKLINE_RECOMPUTED_FILE": str(file),
            "DBT_TARGET_PATH": str(folder / "dbt"),
            "DBT_LOG_PATH": str(folder / "dbt"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"the scores of {as_of} cannot be recomputed:\n{done.stdout[-LAST_WORDS:]}{done.stderr[-LAST_WORDS:]}"
        )


def scores_of(query: Query, as_of: date, codes: Sequence[str] = ()) -> pl.DataFrame:
    """Return the scores of a day, of all codes or of some.

    Grain: entity_id, score_code and formula_version, with score, not_scored_reason and components as JSON.
    """
    parts = [
        query(scores, {"day": as_of}).with_columns(
            pl.col("components").map_elements(
                lambda parts: json.dumps(list(parts), sort_keys=True), return_dtype=pl.String
            )
        )
        for scores in SCORES
    ]
    found = pl.concat(parts)
    return found.filter(pl.col("score_code").is_in(codes)) if codes else found


def compare(then: pl.DataFrame, now: pl.DataFrame) -> Comparison:
    """Compare the scores of one day as they were known then with those that are published now. Pure.

    Two scores are equal if the score, the reason for none and every component are. Raises LakeError if neither side
    has a score: an empty comparison would look like a perfect one.
    """
    if then.is_empty() and now.is_empty():
        raise LakeError("there is no such score, neither as known then nor as published now")
    both = then.join(now, on=KEY, how="full", coalesce=True, suffix="_now")
    same = [
        pl.col("score").round(SCORE_DIGITS).eq_missing(pl.col("score_now").round(SCORE_DIGITS)),
        pl.col("not_scored_reason").eq_missing(pl.col("not_scored_reason_now")),
        pl.col("components").eq_missing(pl.col("components_now")),
    ]
    judged = both.with_columns(pl.all_horizontal(same).alias("is_equal"))
    counts = (
        judged.group_by("score_code")
        .agg(
            pl.len().alias("scores"),
            pl.col("is_equal").sum().alias("equal"),
            (~pl.col("is_equal")).sum().alias("different"),
        )
        .sort("score_code")
    )
    differences = (
        judged.filter(~pl.col("is_equal"))
        .select(
            *KEY,
            pl.col("score").alias("then"),
            pl.col("score_now").alias("now"),
            (pl.col("score_now") - pl.col("score")).round(SCORE_DIGITS).alias("difference"),
            _reason("score", "not_scored_reason", "components").alias("none_then_because"),
            _reason("score_now", "not_scored_reason_now", "components_now").alias("none_now_because"),
        )
        .sort(KEY)
    )
    return Comparison(counts, differences)


def _reason(score: str, reason: str, components: str) -> pl.Expr:
    """Say why there is no score: the reason that it gives, or that nothing was known of the person at all."""
    return (
        pl.when(pl.col(score).is_not_null())
        .then(None)
        .when(pl.col(components).is_null())
        .then(pl.lit("not known yet"))
        .otherwise(pl.col(reason))
    )
