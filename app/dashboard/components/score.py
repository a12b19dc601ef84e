"""One component explains any score: how much, how sure, made of what, by which formula.

What belongs here: drawing a score row of the tidy score tables. What does not: computing scores (dbt).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import charts, wording
from app.dashboard.components import page
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.rulebook import Formula


def headline(formula: Formula, score: Mapping[str, Any] | None, *, unit: str = "sessions") -> str:
    """Return one line of markdown: the score, its tier, and how sure it is."""
    if score is None or not wording.is_known(score["score"]):
        return f"**{formula.title}** {page.chip('Not scored', 'grey')} :gray[{page.plain(why_not(score))}]"
    line = (
        f"**{formula.title} {formula.said(score['score'])}** :gray[of {formula.high:g}] "
        f"{page.chip(formula.label(score['tier']), formula.tone(score['tier']))} "
        f":gray[{how_sure(formula, score, unit)}]"
    )
    return line


def why_not(score: Mapping[str, Any] | None) -> str:
    """Return why there is no score, in words."""
    reason = (score or {}).get("not_scored_reason")
    return wording.label(str(reason)).lower() if reason else "no session to judge yet"


def how_sure(formula: Formula, score: Mapping[str, Any], unit: str = "sessions") -> str:
    """Return how much evidence stands behind a score."""
    size = score.get("sample_size")
    told = f"from {wording.count(size, unit.rstrip('s'), unit)}" if size is not None else "sample not known"
    low, high = score.get("lower_bound"), score.get("upper_bound")
    if wording.is_known(low) and wording.is_known(high):
        told += f", likely between {formula.said(low)} and {formula.said(high)}"
    elif size is not None and int(size) < 5:
        told += ", too few to be sure"
    return told


def explain(formula: Formula, score: Mapping[str, Any], *, key: str) -> None:
    """Draw what a score is made of: a waterfall of points, and the value and weight of each part."""
    parts = list(score["components"] or [])
    if not parts:
        page.empty("There is nothing to take apart.", f"This was not scored: {why_not(score)}.")
        return
    if wording.is_known(score["score"]):
        st.altair_chart(charts.points_of_score(waterfall(formula, parts, score)), key=f"{key}.points")
    table(
        (
            Column("Part", first=True),
            Column("Value", right=True, tight=True),
            Column("Weight", right=True, wide=True),
            Column("Points", right=True, tight=True),
        ),
        [
            Row(
                [
                    Cell(wording.label(part["name"]), sub=formula.meanings.get(part["name"])),
                    Cell(part_value(part, formula)),
                    Cell(wording.number(part["weight"], 0 if part["weight"] >= 1 else 2)),
                    Cell(wording.signed(part["points"], 2 if formula.high <= 1 else 1)),
                ]
            )
            for part in parts
        ],
        key=f"{key}.parts",
        label=f"Parts of {formula.title}",
    )
    window = f" Window: {formula.window_days} days." if formula.window_days else ""
    st.caption(
        f"{page.plain(formula.description)}{window} Formula {score['score_code']} {score['formula_version']}."
    )


def part_value(part: Mapping[str, Any], formula: Formula) -> str:
    """Return the value of a component in its unit."""
    unit, value = formula.units.get(part["name"], ""), part["value"]
    if not wording.is_known(value):
        return "not known"
    if unit.startswith("rate"):
        return wording.percent(value, 1)
    return wording.number(value, 2 if unit.startswith("share") else 0)


def waterfall(formula: Formula, parts: Sequence[Mapping[str, Any]], score: Mapping[str, Any]) -> pl.DataFrame:
    """Return the bars of a score: where it starts, what each part adds or takes, where it ends.

    One row per bar: label, start, stop, tone, text.
    """
    digits = 2 if formula.high <= 1 else 1
    rows: list[dict[str, Any]] = []
    level = formula.base
    if formula.base:
        rows.append(_bar("Start", 0.0, formula.base, "grey", wording.number(formula.base)))
    for part in parts:
        points = float(part["points"]) if wording.is_known(part["points"]) else 0.0
        is_good = (points >= 0) == (formula.direction == "high_is_good")
        tone = "grey" if points == 0 else "green" if is_good else "red"
        rows.append(
            _bar(
                wording.label(part["name"]),
                min(level, level + points),
                max(level, level + points),
                tone,
                wording.signed(points, digits) if points else "0",
            )
        )
        level += points
    final = float(score["score"])
    if abs(final - level) > 10**-digits:
        rows.append(
            _bar(
                f"Kept within {formula.low:g} to {formula.high:g}",
                min(level, final),
                max(level, final),
                "grey",
                wording.signed(final - level, digits),
            )
        )
    rows.append(_bar(formula.title, 0.0, final, "accent", formula.said(final)))
    return pl.DataFrame(rows)


def _bar(label: str, start: float, stop: float, tone: str, text: str) -> dict[str, Any]:
    return {"label": label, "start": start, "stop": stop, "tone": tone, "text": text}


def latest(scores: pl.DataFrame, score_code: str, formula_version: str = "v1") -> Mapping[str, Any] | None:
    """Return the newest row of one score, or None."""
    mine = scores.filter(
        (pl.col("score_code") == score_code) & (pl.col("formula_version") == formula_version)
    )
    return mine.sort("as_of_date").row(-1, named=True) if not mine.is_empty() else None
