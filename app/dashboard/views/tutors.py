"""Tutors: who needs a coach this week, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import charts, queries, wording
from app.dashboard.components import address, coverage, page, tutor_detail
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.names import Names, names
from app.dashboard.rulebook import Formula, Rulebook, Tier

BENCHMARK = "FIRST_SESSION_SUCCESS"
UNKNOWN = "not_enough_evidence"
LEADERBOARD = 10
SORTS = {
    "urgency": ["tier_rank", "health_score", "tutor_id"],
    "name": ["name"],
    "success": ["first_session_success_rate"],
    "health": ["health_score"],
    "risk": ["churn_risk_score"],
    "sessions": ["sessions_30d"],
    "rating": ["avg_rating_30d"],
    "alerts": ["open_alert_count"],
}


def tutors() -> None:
    """Draw the list, or one tutor when the address names one."""
    lens = page.begin("Tutors", "Who needs a coach, and why?", "see_tutors")
    who = names(lens)
    rulebook = Rulebook(queries.rulebook(lens))
    everybody = queries.tutors(lens)
    chosen = address.value_of("tutor")
    if chosen:
        address.back("All tutors", "tutor", "session")
        tutor_detail.draw(lens, who, rulebook, everybody.filter(pl.col("tutor_id") == chosen))
        return
    if everybody.is_empty():
        page.empty(
            "No tutor to show.",
            "Nobody is on your roster yet."
            if lens.person.roster is not None
            else "No source has named a tutor yet.",
        )
        return
    tiers = rulebook.tiers(BENCHMARK)
    active = everybody.filter(pl.col("is_active"))
    headline(active, tiers, rulebook)
    sources = queries.sources(lens)
    coverage.say_missing(sources, "reports_ratings", "First-session success and the leaderboard stay empty.")
    listing(who, everybody, rulebook, tiers)
    if coverage.reported(sources, "reports_ratings"):
        leaderboard(who, active, tiers)


def headline(active: pl.DataFrame, tiers: Sequence[Tier], rulebook: Rulebook) -> None:
    """Answer first: how many tutors stand where. A tile filters the list."""
    counted = dict(active["benchmark_tier"].value_counts().iter_rows())
    window = rulebook.number("windows", "first_session_window_days")
    least = rulebook.number("score_parameters", "benchmark_min_sample")
    floors = {tier.code: tier for tier in tiers}
    page.section(
        "First sessions",
        f"Share of rated first sessions with 4 or 5, last {wording.number(window)} days. "
        f"Benchmark {wording.percent(_benchmark(tiers))}. Fewer than {wording.number(least)} rated ones: "
        "not enough evidence.",
    )
    order = [*[tier.code for tier in sorted(tiers, key=lambda one: -one.lower_bound)], UNKNOWN]
    chosen = address.value_of("tier")
    tiles(
        [
            Tile(
                floors[code].label if code in floors else "Not enough evidence",
                wording.number(counted.get(code, 0)),
                f"of {active.height:,}",
                tone=floors[code].tone if code in floors else "grey",
                note=_bounds(floors.get(code), tiers),
                id=code,
                chosen=chosen == code,
                hint="Filter the list",
            )
            for code in order
        ],
        key="tutor.tiers",
        on_open=lambda code: address.put("tier", None if code == chosen else code),
    )


def listing(who: Names, everybody: pl.DataFrame, rulebook: Rulebook, tiers: Sequence[Tier]) -> None:
    """Draw filters and the list."""
    health, risk = rulebook.formula("THS"), rulebook.formula("TCRS")
    page.section(
        "The list",
        f"{health.title}: last {health.window_days} days, high is good. "
        f"{risk.title}: last {risk.window_days} days, high is bad. A row opens the tutor.",
    )
    subjects = sorted({subject for row in everybody["subjects"].to_list() for subject in row or []})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Search", key="tutors.search", placeholder="Name or id", width=220)
        subject = st.selectbox(
            "Subject", ["all", *subjects], format_func=_all_or_label, key="tutors.subject", width=180
        )
        inactive = st.toggle("Also inactive tutors", key="tutors.inactive")
    tier = address.choice_of("tier", [*[one.code for one in tiers], UNKNOWN], "")
    rows = everybody if inactive else everybody.filter(pl.col("is_active"))
    if tier:
        rows = rows.filter(pl.col("benchmark_tier") == tier)
        st.button(
            f"Only: {wording.label(tier)}",
            icon=":material/close:",
            key="tutors.clear",
            on_click=lambda: address.put("tier", None),
        )
    if subject != "all":
        rows = rows.filter(pl.col("subjects").list.contains(subject))
    rows = searched(rows, "tutor_id", who.by_tutor, text)
    key, descending, on_sort = address.sorter("urgency")
    ordered = in_order(rows, key, descending=descending, tiers=tiers).to_dicts()
    part, number, pages = address.page_of(ordered)
    table(
        (
            Column("Tutor", first=True, sort="name"),
            Column("First sessions", right=True, sort="success"),
            Column("Tier", tight=True, wide=True, sort="urgency"),
            Column("Health", right=True, tight=True, sort="health"),
            Column("May leave", right=True, tight=True, wide=True, sort="risk"),
            Column("Sessions, 30 d", right=True, wide=True, sort="sessions"),
            Column("Rating", right=True, wide=True, sort="rating"),
            Column("Alerts", right=True, sort="alerts"),
        ),
        [_row(row, who, health, risk, tiers) for row in part],
        key="tutor.rows",
        label="Tutors",
        nothing="No tutor matches.",
        on_open=address.opener("tutor"),
        sort=key,
        descending=descending,
        on_sort=on_sort,
    )
    address.pager(len(ordered), number, pages, noun="tutors")


def leaderboard(who: Names, active: pl.DataFrame, tiers: Sequence[Tier]) -> None:
    """Draw the best tutors by first-session success, with how many sessions stand behind each."""
    page.section(
        "Leaderboard",
        "First-session success, among tutors with enough rated first sessions. n beside each bar.",
    )
    judged = active.filter(pl.col("benchmark_tier") != UNKNOWN).sort(
        ["first_session_success_rate", "first_session_rated_count", "tutor_id"],
        descending=[True, True, False],
    )
    if judged.is_empty():
        page.empty("Nobody to rank yet.", "No tutor has enough rated first sessions.")
        return
    best = judged.head(LEADERBOARD)
    rows = pl.DataFrame(
        {
            "label": _unique([who.tutor(tutor_id) for tutor_id in best["tutor_id"]]),
            "value": best["first_session_success_rate"],
            "sample": best["first_session_rated_count"],
            "tone": [
                next((t.tone for t in tiers if t.code == code), "grey") for code in best["benchmark_tier"]
            ],
            "text": [
                f"{wording.percent(rate)}  n {n}"
                for rate, n in best.select(
                    "first_session_success_rate", "first_session_rated_count"
                ).iter_rows()
            ],
        }
    )
    st.altair_chart(
        charts.bars_with_benchmark(rows, benchmark=_benchmark(tiers), title="first sessions rated 4 or 5"),
        key="tutor.leaders",
    )


def searched(rows: pl.DataFrame, column: str, known: Mapping[str, str], text: str) -> pl.DataFrame:
    """Return the rows whose id or visible name contains the text."""
    wanted = text.strip().casefold()
    if not wanted:
        return rows
    keep = [wanted in str(one).casefold() or wanted in known.get(one, "").casefold() for one in rows[column]]
    return rows.filter(pl.Series(keep, dtype=pl.Boolean))


def in_order(rows: pl.DataFrame, key: str, *, descending: bool, tiers: Sequence[Tier]) -> pl.DataFrame:
    """Return the rows in the chosen order; without a value last, whatever the direction."""
    rank = {tier.code: place for place, tier in enumerate(tiers)}
    ranked = rows.with_columns(
        tier_rank=pl.col("benchmark_tier").replace_strict(rank, default=len(rank), return_dtype=pl.Int64)
    )
    if key == "urgency":
        return ranked.sort(
            ["open_alert_count", "tier_rank", "health_score", "tutor_id"],
            descending=[descending, not descending, not descending, False],
            nulls_last=True,
        )
    column = {"name": "tutor_id"}.get(key) or SORTS.get(key, ["tutor_id"])[0]
    return ranked.sort([column, "tutor_id"], descending=[descending, False], nulls_last=True)


def _row(row: Mapping[str, Any], who: Names, health: Formula, risk: Formula, tiers: Sequence[Tier]) -> Row:
    tier = next((one for one in tiers if one.code == row["benchmark_tier"]), None)
    rate = row["first_session_success_rate"]
    taught = ", ".join(wording.label(subject) for subject in (row["subjects"] or [])[:3])
    return Row(
        [
            Cell(who.tutor(row["tutor_id"]), sub=taught or None),
            Cell(
                wording.percent(rate),
                sub=f"n {row['first_session_rated_count']}",
                bar=rate,
                tone=tier.tone if tier else "grey",
            ),
            Cell(tier.label if tier else "Not enough", chip=True, tone=tier.tone if tier else "grey"),
            score_cell(row["health_score"], row["health_tier"], health),
            score_cell(row["churn_risk_score"], row["churn_risk_tier"], risk),
            Cell(
                wording.number(row["sessions_30d"]),
                sub=f"{row['no_shows_30d']} missed" if row["no_shows_30d"] else None,
            ),
            Cell(wording.number(row["avg_rating_30d"], 2), sub=f"n {row['rating_count_30d']}"),
            Cell(wording.number(row["open_alert_count"]), tone="red" if row["open_alert_count"] else "grey"),
        ],
        id=row["tutor_id"],
    )


def score_cell(score: Any, tier: str | None, formula: Formula) -> Cell:
    """Return a score as a coloured word, or a dash where it was not scored."""
    if not wording.is_known(score):
        return Cell(wording.NOTHING, tone="grey")
    return Cell(formula.said(score), chip=True, tone=formula.tone(tier))


def _bounds(tier: Tier | None, tiers: Sequence[Tier]) -> str:
    if tier is None:
        return "too few rated sessions"
    above = [one.lower_bound for one in tiers if one.lower_bound > tier.lower_bound]
    if tier.lower_bound <= 0 and above:
        return f"below {wording.percent(min(above))}"
    return f"{wording.percent(tier.lower_bound)} and more"


def _benchmark(tiers: Sequence[Tier]) -> float | None:
    return max((tier.lower_bound for tier in tiers), default=None)


def _unique(labels: list[str]) -> list[str]:
    return [
        f"{label} {'' if labels.index(label) == place else place}".strip()
        for place, label in enumerate(labels)
    ]


def _all_or_label(code: str) -> str:
    return "All" if code == "all" else wording.label(code)


tutors()
