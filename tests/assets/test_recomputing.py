"""A recompute asks what makes sense, and tells apart what is other now from what is not."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from assets.recompute import check_question, compare
from data.lake.connection import LakeError
from data.settings import Settings

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 17, tzinfo=UTC)
COLUMNS = ("entity_id", "score_code", "formula_version", "score", "not_scored_reason", "components")
SCHEMA = {name: pl.Float64 if name == "score" else pl.String for name in COLUMNS}


def scores(*rows: tuple[str, float | None, str | None, str]) -> pl.DataFrame:
    """Scores of tutors: who, how much, why none, made of what."""
    given = [(who, "THS", "v1", score, why, parts) for who, score, why, parts in rows]
    return pl.DataFrame(given, schema=SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("known_at", "words"),
    [
        (datetime(2026, 3, 2, 12), "no time zone"),
        (datetime(2026, 3, 2, 5, tzinfo=UTC), "had not begun"),  # midnight in New York
        (datetime(2026, 3, 3, 17, 0, 1, tzinfo=UTC), "still to come"),
    ],
)
def test_an_instant_without_sense_is_refused(
    state_settings: Settings, known_at: datetime, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_question(state_settings, as_of=DAY, known_at=known_at, now=NOW)


@pytest.mark.parametrize("known_at", [datetime(2026, 3, 2, 5, 0, 1, tzinfo=UTC), NOW])
def test_an_instant_of_the_day_or_after_it_is_a_question(
    state_settings: Settings, known_at: datetime
) -> None:
    check_question(state_settings, as_of=DAY, known_at=known_at, now=NOW)


def test_scores_are_equal_when_the_score_its_parts_and_its_reason_are() -> None:
    then = scores(
        ("same", 71.5, None, "[1]"),
        ("digits", 71.5, None, "[1]"),
        ("none", None, "too few", "[]"),
        ("lower", 80.0, None, "[1]"),
        ("parts", 60.0, None, "[1]"),
        ("reason", None, "too few", "[]"),
    )
    now = scores(
        ("same", 71.5, None, "[1]"),
        ("digits", 71.5 + 1e-9, None, "[1]"),
        ("none", None, "too few", "[]"),
        ("lower", 65.5, None, "[1]"),
        ("parts", 60.0, None, "[2]"),
        ("reason", None, "on leave", "[]"),
    )
    found = compare(then, now)
    assert found.counts.rows() == [("THS", 6, 3, 3)]
    told = found.differences.select(
        "entity_id", "then", "now", "difference", "none_then_because", "none_now_because"
    )
    assert told.rows() == [
        ("lower", 80.0, 65.5, -14.5, None, None),
        ("parts", 60.0, 60.0, 0.0, None, None),
        ("reason", None, None, None, "too few", "on leave"),
    ]


def test_a_person_known_on_one_side_only_is_a_difference() -> None:
    found = compare(scores(("gone", 50.0, None, "[1]")), scores(("new", 60.0, None, "[1]")))
    told = found.differences.select("entity_id", "none_then_because", "none_now_because")
    assert told.rows() == [("gone", None, "not known yet"), ("new", "not known yet", None)]


def test_two_empty_sides_are_no_agreement() -> None:
    with pytest.raises(LakeError, match="no such score"):
        compare(scores(), scores())
