"""Hours in a row in which demand will not be met, as blocks; and recent accuracy, subject by subject.

What belongs here: laying hours side by side for the page. What does not: the limits (rulebook), the
probabilities (forecasting).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from app.dashboard.rulebook import Rulebook


@dataclass(frozen=True)
class Block:
    """Hours in a row of one subject that the rulebook calls short."""

    subject_id: str
    starts_at: datetime
    hours: int
    ratio: float
    probability: float
    unmet: float
    is_severe: bool


def blocks(hours: pl.DataFrame, rulebook: Rulebook) -> list[Block]:
    """Return the shortages among these hours, soonest first. Without limits in the rulebook there are none."""
    limits = [
        rulebook.number("forecast_limits", name)
        for name in (
            "shortage_ratio",
            "shortage_probability_min",
            "expected_unmet_min",
            "severe_shortage_ratio",
        )
    ]
    if any(limit is None for limit in limits):
        return []
    ratio, probability, unmet, severe = limits
    short = hours.filter(
        (pl.col("ratio") < ratio)
        & (pl.col("p_shortage") >= probability)
        & (pl.col("expected_unmet_sessions") >= unmet)
    ).sort("subject_id", "hour_start_at")
    found: list[list[dict[str, Any]]] = []
    for row in short.iter_rows(named=True):
        last = found[-1][-1] if found else None
        follows = (
            last is not None
            and last["subject_id"] == row["subject_id"]
            and row["hour_start_at"] - last["hour_start_at"] == timedelta(hours=1)
        )
        if follows:
            found[-1].append(row)
        else:
            found.append([row])
    return sorted(
        (_block(rows, severe or 0) for rows in found), key=lambda block: (block.starts_at, block.subject_id)
    )


def recent_accuracy(rows: pl.DataFrame, *, origins: int = 4) -> list[dict[str, Any]]:
    """Return one row per subject over its newest judged forecasts: error by day and hour, weighted by sessions."""
    result = []
    for (subject_id,), mine in rows.sort("forecast_origin_date").group_by("subject_id", maintain_order=True):
        newest = mine.filter(
            pl.col("forecast_origin_date").is_in(mine["forecast_origin_date"].unique().sort().tail(origins))
        )
        day, hour = (newest.filter(pl.col("level") == level) for level in ("day", "hour"))
        result.append(
            {
                "subject_id": str(subject_id),
                "day_wape": _weighted(day, "wape_rate"),
                "day_floor": _weighted(day, "noise_floor_rate"),
                "hour_wape": _weighted(hour, "wape_rate"),
                "hour_floor": _weighted(hour, "noise_floor_rate"),
                "coverage": _weighted(hour, "coverage_rate"),
                "sessions": float(hour["actual_sessions"].sum() or 0),
            }
        )
    return sorted(result, key=lambda row: (-row["sessions"], row["subject_id"]))


def _weighted(rows: pl.DataFrame, column: str) -> float | None:
    known = rows.drop_nulls(column).filter(pl.col("actual_sessions") > 0)
    total = float(known["actual_sessions"].sum() or 0)
    return float((known[column] * known["actual_sessions"]).sum()) / total if total else None


def _block(rows: list[dict[str, Any]], severe: float) -> Block:
    worst = min(row["ratio"] for row in rows)
    return Block(
        subject_id=rows[0]["subject_id"],
        starts_at=rows[0]["hour_start_at"].replace(tzinfo=UTC),
        hours=len(rows),
        ratio=worst,
        probability=max(row["p_shortage"] for row in rows),
        unmet=sum(row["expected_unmet_sessions"] for row in rows),
        is_severe=worst < severe,
    )
