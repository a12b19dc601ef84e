"""Supply: where will next week's demand not be met, and what to do before it happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import charts, queries, stores, wording
from app.dashboard.components import address, coverage, page, shortages
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.names import Names, names
from app.dashboard.rulebook import Rulebook

EVERY_SUBJECT = "all"
CARDS = 6


def supply() -> None:
    """Draw the page."""
    lens = page.begin("Supply", "Where will demand not be met, and when?", "see_supply")
    rulebook = Rulebook(queries.rulebook(lens))
    hours = coming(queries.supply_demand(lens), lens)
    forecasts = queries.demand_forecasts(lens)
    if hours.is_empty():
        coverage.say_missing(queries.sources(lens), "reports_availability", "Supply cannot be counted.")
        demand_only(coming(forecasts, lens))
        accuracy(lens)
        feed(lens, names(lens))
        return
    blocks = shortages.blocks(hours, rulebook)
    headline(hours, blocks, lens)
    cards(blocks, lens)
    subject = choose_subject(
        hours,
        "Expected demand and supply",
        "Band: 95 of 100 hours should fall inside. Lines: hours of tutors.",
    )
    forecast(hours, forecasts, subject)
    pressure(hours, subject, lens)
    by_subject(hours, rulebook)
    accuracy(lens)
    feed(lens, names(lens))


def coming(hours: pl.DataFrame, lens: Lens) -> pl.DataFrame:
    """Return the hours that are not over yet, with their local time."""
    now = stores.clock().now().replace(tzinfo=None)
    local = pl.col("hour_start_at").dt.replace_time_zone("UTC").dt.convert_time_zone(lens.zone)
    return hours.filter(pl.col("hour_start_at") > now - timedelta(hours=1)).with_columns(
        hour_local=local.dt.replace_time_zone(None, ambiguous="earliest")
    )


def headline(hours: pl.DataFrame, blocks: list[shortages.Block], lens: Lens) -> None:
    """Answer first: how many shortages, how soon, how much may go unmet."""
    now = stores.clock().now()
    next_day = hours.filter(pl.col("hour_start_at") < now.replace(tzinfo=None) + timedelta(hours=24))
    origin = hours["forecast_origin_date"].max()
    first = blocks[0] if blocks else None
    tiles(
        [
            Tile(
                "Shortages ahead",
                wording.number(len(blocks)),
                "blocks of hours",
                tone="red" if any(b.is_severe for b in blocks) else "amber" if blocks else "green",
                note=f"{sum(b.is_severe for b in blocks)} severe",
            ),
            Tile(
                "The first one",
                wording.span((first.starts_at - now).total_seconds())
                if first and first.starts_at > now
                else "now"
                if first
                else wording.NOTHING,
                "from now" if first and first.starts_at > now else "",
                note=f"{wording.label(first.subject_id)}, {wording.weekday_moment(first.starts_at, lens.zone)}"
                if first
                else "none announced",
            ),
            Tile(
                "May go unmet",
                wording.number(sum(b.unmet for b in blocks), 1),
                "sessions",
                note="in the shortages ahead",
            ),
            Tile(
                "Next 24 hours",
                wording.number(_ratio(next_day), 2),
                "supply per demand",
                note=_hours_note(next_day),
            ),
        ],
        key="supply.tiles",
    )
    st.caption(f"Forecast made on {wording.day(origin, year=True)}; hours of {lens.zone.replace('_', ' ')}.")  # type: ignore[arg-type]


def cards(blocks: list[shortages.Block], lens: Lens) -> None:
    """Draw the shortages, soonest first."""
    page.section(
        "Shortages",
        "Soonest first. How likely, how many sessions, how much supply there is per hour of demand.",
    )
    if not blocks:
        page.empty("No shortage is announced.", "No hour ahead is below the limits of the rulebook.")
        return
    table(
        (
            Column("When", first=True, tight=True),
            Column("Subject"),
            Column("Supply per demand", right=True, wide=True),
            Column("Likely", right=True, wide=True),
            Column("Unmet", right=True),
            Column("", tight=True),
        ),
        [
            Row(
                [
                    Cell(
                        wording.weekday_moment(one.starts_at, lens.zone), sub=wording.count(one.hours, "hour")
                    ),
                    Cell(wording.label(one.subject_id)),
                    Cell(
                        wording.number(one.ratio, 2),
                        bar=min(1.0, one.ratio),
                        tone="red" if one.is_severe else "amber",
                    ),
                    Cell(wording.percent(one.probability)),
                    Cell(wording.number(one.unmet, 1), sub="sessions"),
                    Cell(
                        "Severe" if one.is_severe else "Short",
                        chip=True,
                        tone="red" if one.is_severe else "amber",
                    ),
                ],
                id=one.subject_id,
            )
            for one in blocks[: 2 * CARDS]
        ],
        key="supply.shortages",
        label="Shortages",
        on_open=lambda subject: address.put("subject", subject),
    )
    if len(blocks) > 2 * CARDS:
        st.caption(f"The next {2 * CARDS} of {len(blocks)}.")


def demand_only(forecasts: pl.DataFrame) -> None:
    """Draw what will be asked for where nobody knows what will be on offer."""
    if forecasts.is_empty():
        page.empty(
            "No forecast yet.", "Forecasts are made every night, once there are eight weeks of sessions."
        )
        return
    subject = choose_subject(
        forecasts, "Expected demand", "Sessions an hour. Band: 95 of 100 hours should fall inside."
    )
    mine = forecasts if subject == EVERY_SUBJECT else forecasts.filter(pl.col("subject_id") == subject)
    hourly = mine.select(
        "hour_local",
        demand=pl.col("expected_sessions"),
        low=pl.col("lower_95"),
        high=pl.col("upper_95"),
    )
    draw_forecast(hourly, subject, unit="sessions")


def draw_forecast(hourly: pl.DataFrame, subject: str, *, unit: str) -> None:
    """Draw the sum over subjects of what is expected, by hour."""
    rows = hourly.group_by("hour_local").agg(pl.all().sum()).sort("hour_local")
    if subject == EVERY_SUBJECT:
        rows = rows.with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
        st.caption(
            "All subjects together have no band, since bands do not add up. Choose a subject to see its band."
        )
    st.altair_chart(charts.forecast(rows, unit=unit), key="supply.forecast")


def choose_subject(hours: pl.DataFrame, title: str, note: str) -> str:
    """Draw the choice of a subject; it lives in the address."""
    subjects = sorted(hours["subject_id"].unique().to_list())
    now = address.choice_of("subject", subjects, EVERY_SUBJECT)
    page.section(title, note)

    def chosen() -> None:
        picked = st.session_state["supply.subject"]
        address.put("subject", None if picked == EVERY_SUBJECT else picked)

    st.session_state["supply.subject"] = now
    st.selectbox(
        "Subject",
        [EVERY_SUBJECT, *subjects],
        key="supply.subject",
        on_change=chosen,
        width=240,
        format_func=lambda code: "All subjects" if code == EVERY_SUBJECT else wording.label(code),
    )
    return now


def forecast(hours: pl.DataFrame, forecasts: pl.DataFrame, subject: str) -> None:
    """Draw expected demand with its band, and supply over it."""
    mine = hours if subject == EVERY_SUBJECT else hours.filter(pl.col("subject_id") == subject)
    length = pl.col("demand_hours") / pl.col("expected_sessions")
    hourly = mine.join(
        forecasts.select("subject_id", "hour_start_at", "expected_sessions", "lower_95", "upper_95"),
        on=["subject_id", "hour_start_at"],
        how="left",
    ).select(
        "hour_local",
        demand=pl.col("demand_hours"),
        low=pl.col("lower_95") * length,
        high=pl.col("upper_95") * length,
        supply=pl.col("supply_hours"),
    )
    draw_forecast(hourly, subject, unit="tutor hours")


def pressure(hours: pl.DataFrame, subject: str, lens: Lens) -> None:
    """Draw when demand is, hour by weekday."""
    mine = hours if subject == EVERY_SUBJECT else hours.filter(pl.col("subject_id") == subject)
    rows = (
        mine.with_columns(
            hour=pl.col("hour_local").dt.hour().cast(pl.Int64), weekday=pl.col("hour_local").dt.strftime("%a")
        )
        .group_by("weekday", "hour")
        .agg(pl.col("demand_hours", "supply_hours", "expected_unmet_sessions").sum())
        .sort("weekday", "hour")
    )
    left, right = st.columns(2, gap="large")
    with left:
        page.section("When demand is", "Expected hours of tutoring, hour by weekday.")
        st.altair_chart(charts.week_heatmap(rows, value="demand_hours", title="hours"), key="supply.heatmap")
    with right:
        page.section("When it may go unmet", "Expected sessions without a tutor, hour by weekday.")
        st.altair_chart(
            charts.week_heatmap(rows, value="expected_unmet_sessions", title="sessions"), key="supply.unmet"
        )


def by_subject(hours: pl.DataFrame, rulebook: Rulebook) -> None:
    """Draw how much of what is on offer each subject is expected to use."""
    page.section("By subject", "All hours ahead. Use: expected demand per hour on offer.")
    short = rulebook.number("forecast_limits", "shortage_ratio")
    surplus = rulebook.number("forecast_limits", "surplus_ratio")
    rows = (
        hours.group_by("subject_id")
        .agg(pl.col("supply_hours", "demand_hours", "expected_unmet_sessions").sum())
        .with_columns(ratio=pl.col("supply_hours") / pl.col("demand_hours"))
        .sort("ratio", "subject_id", nulls_last=True)
    )
    table(
        (
            Column("Subject", first=True),
            Column("On offer", right=True, wide=True),
            Column("Expected", right=True, wide=True),
            Column("Use", right=True),
            Column("Supply per demand", right=True),
            Column("Unmet", right=True, wide=True),
        ),
        [_subject_row(row, short, surplus) for row in rows.iter_rows(named=True)],
        key="supply.subjects",
        label="Subjects",
        on_open=lambda subject: address.put("subject", subject),
    )


def accuracy(lens: Lens) -> None:
    """Draw how far forecasts were off, beside how far off a perfect one would have been."""
    page.section(
        "How good the forecast was",
        "How far off, as a share of what was asked for (WAPE). By chance: what even a perfect forecast is off by.",
    )
    rows = shortages.recent_accuracy(queries.forecast_accuracy(lens))
    table(
        (
            Column("Subject", first=True),
            Column("Day", right=True),
            Column("Day, by chance", right=True, wide=True),
            Column("Hour", right=True),
            Column("Hour, by chance", right=True),
            Column("In the 95 % band", right=True, wide=True),
            Column("Sessions", right=True, wide=True),
        ),
        [_accuracy_row(row) for row in rows],
        key="supply.accuracy",
        label="Forecast accuracy",
        nothing="No forecast has been judged yet. The first one is, once its hours have passed.",
    )


def feed(lens: Lens, who: Names) -> None:
    """Draw what the rules advise."""
    page.section(
        "Recommendations", "By rule, with the numbers behind them. Confidence grows with the sample."
    )
    found = queries.recommendations(lens)
    if found.is_empty():
        page.empty("Nothing is advised.", "No rule found enough evidence for a change.")
        return
    table(
        (
            Column("Do", first=True),
            Column("Why", wide=True),
            Column("Expected", wide=True),
            Column("Confidence", right=True),
        ),
        [
            Row(
                [
                    Cell(row["action"], sub=f"{_about(row, who)} · priority {row['priority']}"),
                    Cell(row["reason"]),
                    Cell(row["expected_impact"]),
                    Cell(
                        wording.percent(row["confidence_rate"]),
                        bar=row["confidence_rate"],
                        sub=f"n {wording.number(row['sample_size'])}",
                    ),
                ]
            )
            for row in found.head(address.PAGE_SIZE).iter_rows(named=True)
        ],
        key="supply.feed",
        label="Recommendations",
    )


def _about(row: dict[str, Any], who: Names) -> str:
    return who.tutor(row["entity_id"]) if row["entity_type"] == "tutor" else wording.label(row["entity_id"])


def _subject_row(row: dict[str, Any], short: float | None, surplus: float | None) -> Row:
    ratio = row["ratio"] if row["demand_hours"] else None
    use = row["demand_hours"] / row["supply_hours"] if row["supply_hours"] else None
    tone = ""
    if ratio is not None and short is not None and surplus is not None:
        tone = "red" if ratio < short else "accent" if ratio > surplus else "green"
    return Row(
        [
            Cell(wording.label(row["subject_id"])),
            Cell(f"{wording.number(row['supply_hours'])} h"),
            Cell(f"{wording.number(row['demand_hours'])} h"),
            Cell(wording.percent(use), bar=use, tone="accent"),
            Cell(wording.number(ratio, 2) if ratio is not None else "no demand", chip=True, tone=tone),
            Cell(wording.number(row["expected_unmet_sessions"], 1)),
        ],
        id=row["subject_id"],
    )


def _accuracy_row(row: dict[str, Any]) -> Row:
    return Row(
        [
            Cell(wording.label(row["subject_id"])),
            Cell(wording.percent(row["day_wape"])),
            Cell(wording.percent(row["day_floor"]), tone="grey"),
            Cell(wording.percent(row["hour_wape"])),
            Cell(wording.percent(row["hour_floor"]), tone="grey"),
            Cell(wording.percent(row["coverage"]), tone=""),
            Cell(wording.number(row["sessions"])),
        ]
    )


def _hours_note(hours: pl.DataFrame) -> str:
    offered, expected = (wording.number(hours[column].sum()) for column in ("supply_hours", "demand_hours"))
    return f"{offered} h on offer, {expected} h expected"


def _ratio(hours: pl.DataFrame) -> float | None:
    demand = float(hours["demand_hours"].sum() or 0)
    return float(hours["supply_hours"].sum()) / demand if demand else None


supply()
