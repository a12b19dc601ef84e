"""How good the data is: scores of feeds with their trend, what changed in what a source sends, and unusual days.

What belongs here: drawing. What does not: what is good or unusual (marts and rulebook).
"""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import charts, wording
from app.dashboard.components import address, page
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.components.page import Lens
from app.dashboard.palette import Tone
from app.dashboard.rulebook import Rulebook

PARTS = {
    "validity_rate": "Valid",
    "completeness_rate": "Filled",
    "references_rate": "Known ids",
    "punctuality_rate": "Read in time",
}
TYPES = {
    "null": "nothing",
    "boolean": "true or false",
    "number": "a number",
    "text": "text",
    "list": "a list",
}


def draw(quality: pl.DataFrame, rulebook: Rulebook) -> None:
    """Draw the score of each feed on its newest day, and the trend of one."""
    page.section(
        "Quality",
        "From 0 to 100, by feed, on the newest day with records. A dash: nobody can judge it. A row shows its trend.",
    )
    newest = newest_scores(quality)
    if newest.is_empty():
        page.empty("No feed has a score yet.", "The first one comes with the first records that are read.")
        return
    chosen = address.choice_of(
        "feed", [_key(row) for row in newest.iter_rows(named=True)], _key(newest.row(0, named=True))
    )
    table(
        (
            Column("Feed", first=True),
            Column("Score", right=True),
            Column("Against usual", right=True, tight=True, wide=True),
            *[Column(title, right=True, tight=True, wide=True) for title in PARTS.values()],
            Column("Last four weeks", tight=True, wide=True),
        ),
        [_score_row(row, quality, rulebook, chosen) for row in newest.iter_rows(named=True)],
        key="health.quality",
        label="Quality of feeds",
        on_open=lambda feed: address.put("feed", feed),
    )
    _trend(quality, chosen, rulebook)


def newest_scores(quality: pl.DataFrame) -> pl.DataFrame:
    """Return the newest scored day of each feed, the lowest score first."""
    return (
        quality.filter(pl.col("score").is_not_null())
        .sort("as_of_date")
        .group_by("source", "kind", maintain_order=True)
        .last()
        .sort("score", "source", "kind")
    )


def tone_of_score(score: float | None, rulebook: Rulebook) -> Tone:
    """Return the tone of a quality score by the limits of the rulebook; none where one is missing."""
    good, poor = (
        rulebook.number("quality_limits", "score_good"),
        rulebook.number("quality_limits", "score_poor"),
    )
    if score is None or good is None or poor is None:
        return ""
    return "green" if score >= good else "red" if score < poor else "amber"


def _score_row(row: dict[str, Any], quality: pl.DataFrame, rulebook: Rulebook, chosen: str) -> Row:
    mine = quality.filter((pl.col("source") == row["source"]) & (pl.col("kind") == row["kind"]))
    return Row(
        [
            Cell(wording.label(row["kind"]), sub=wording.label(row["source"])),
            Cell(wording.number(row["score"]), chip=True, tone=tone_of_score(row["score"], rulebook)),
            Cell(wording.signed(row["score_change"], 1)),
            *[Cell(wording.percent(row[part], 1)) for part in PARTS],
            Cell(spark=charts.spark(mine["score"].to_list())),
        ],
        id=_key(row),
        chosen=_key(row) == chosen,
    )


def _trend(quality: pl.DataFrame, chosen: str, rulebook: Rulebook) -> None:
    rows = quality.filter(pl.concat_str("source", "kind", separator=":") == chosen)
    days = rows.filter(pl.col("score").is_not_null())
    if days.height < 2:
        st.caption("A trend needs two days with records.")
        return
    source, kind = chosen.split(":", 1)
    limits = [
        (name, floor)
        for name, limit in (("well", "score_good"), ("poor below", "score_poor"))
        if (floor := rulebook.number("quality_limits", limit)) is not None
    ]
    st.caption(f"{wording.label(kind)}, {wording.label(source)}: the last four weeks.")
    st.altair_chart(charts.quality_over_time(days, limits=limits), key="health.trend")


def drift(found: pl.DataFrame, lens: Lens) -> None:
    """Say in words what a source sends otherwise than before."""
    page.section(
        "Changes at the source", "What the newest records have otherwise than those of the four weeks before."
    )
    if found.is_empty():
        page.empty(
            "Nothing has changed.",
            "Every feed sends the fields and types that it used to, as far as there is a habit.",
        )
        return
    table(
        (
            Column("What", first=True),
            Column("Feed", wide=True),
            Column("Since", right=True, tight=True),
            Column(""),
        ),
        [
            Row(
                [
                    Cell(said_of_drift(row), sub=_share_of_drift(row)),
                    Cell(wording.label(row["kind"]), sub=wording.label(row["source"])),
                    Cell(wording.moment(row["since_at"], lens.zone)),
                    Cell(
                        "Used here" if row["is_understood"] else "Not used here",
                        chip=True,
                        tone="amber" if row["is_understood"] else "grey",
                    ),
                ]
            )
            for row in found.iter_rows(named=True)
        ],
        key="health.drift",
        label="Changes at the source",
    )


def said_of_drift(row: dict[str, Any]) -> str:
    """Return one change in words."""
    field = row["field"]
    if row["change"] == "new":
        return f"{field} is new, and no contract knows it"
    if row["change"] == "gone":
        return f"{field} is no longer filled"
    return f"{field} is {_type(row['value_type'])} now; it was {_type(row['usual_value_type'])}"


def _type(name: str | None) -> str:
    return TYPES.get(name or "", f"an {name}" if name else "nothing")


def _share_of_drift(row: dict[str, Any]) -> str:
    return f"in {wording.percent(row['share'])} of the newest records, {wording.percent(row['usual_share'])} before"


def volume(found: pl.DataFrame) -> None:
    """Draw what each feed brought on the newest day against its own rhythm."""
    page.section("Volume today", "New records so far against the same weekday and hours of the last weeks.")
    newest = found.filter(pl.col("as_of_date") == pl.col("as_of_date").max())
    table(
        (
            Column("Feed", first=True),
            Column("New", right=True, tight=True),
            Column("", tight=True),
        ),
        [_volume_row(row) for row in newest.iter_rows(named=True)],
        key="health.volume",
        label="Volume today",
        nothing="No feed has brought anything yet.",
    )


def _volume_row(row: dict[str, Any]) -> Row:
    known = wording.is_known(row["usual_count"])
    weeks = wording.count(row["week_count"], "week")
    if not known or row["is_unusual"] is None:
        state = Cell("Too new to tell", chip=True, tone="grey")
    elif row["is_unusual"]:
        more = row["record_count"] > row["usual_count"]
        state = Cell("More" if more else "Less", chip=True, tone="amber")
    else:
        state = Cell("As usual", chip=True, tone="green")
    usual = (
        f"usually {wording.number(row['low_count'])}–{wording.number(row['high_count'])}" if known else weeks
    )
    return Row(
        [
            Cell(wording.label(row["kind"]), sub=wording.label(row["source"])),
            Cell(wording.number(row["record_count"]), sub=usual),
            state,
        ]
    )


def _key(row: dict[str, Any]) -> str:
    return f"{row['source']}:{row['kind']}"
