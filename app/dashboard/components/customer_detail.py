"""One customer: how likely they stay, what speaks against it, and what to do.

What belongs here: drawing one customer. What does not: the list (views/customers.py), steps (advice.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import access, advice, charts, inbox, queries, wording
from app.dashboard.components import coverage, page, score, sessions
from app.dashboard.components.board import Cell, Column, Row, table
from app.dashboard.components.page import Lens
from app.dashboard.components.tutor_detail import draw_alerts
from app.dashboard.names import Names
from app.dashboard.rulebook import Formula, Rulebook

TREND_DAYS = 42
SHOWN = 20


def draw(lens: Lens, who: Names, rulebook: Rulebook, found: pl.DataFrame) -> None:
    """Draw one customer, or say that there is none that this person may see."""
    if found.is_empty():
        page.empty(
            "No such customer.", "The id is unknown in this version, or not among your tutors' customers."
        )
        return
    customer = found.row(0, named=True)
    customer_id = customer["customer_id"]
    formula = rulebook.formula("HEALTH")
    try:
        scores = queries.customer_scores(lens, customer_id, days=TREND_DAYS)
    except access.AccessDenied as error:
        page.empty("Not yours to see.", str(error))
        return
    newest = score.latest(scores, "HEALTH")
    headline(who, customer, formula, newest)
    left, right = st.columns(2, gap="large")
    with left:
        factors(formula, newest)
        over_time(formula, scores)
    with right:
        what_to_do(customer, formula)
    if newest is not None:
        with st.expander("How the score is computed"):
            score.explain(formula, newest, key="customer.health")
    history(lens, who, customer_id)
    page.section("Alerts", "Open first. Live.")
    alerts = inbox.alerts(lens.person, customer_id=customer_id)
    draw_alerts(sorted(alerts, key=lambda one: not one.is_open), lens, key="customer.alerts")


def headline(
    who: Names, customer: Mapping[str, Any], formula: Formula, newest: Mapping[str, Any] | None
) -> None:
    """Answer first: name, score, how sure, what is known."""
    st.subheader(page.plain(who.customer(customer["customer_id"])), anchor=False)
    st.markdown(score.headline(formula, newest))
    days = customer["days_since_last_session"]
    page.facts(
        [
            ("id", customer["customer_id"]),
            ("signed up", wording.day(customer["signed_up_at"], year=True)),
            ("came by", wording.label(customer["acquisition_channel"])),
            (
                "last session",
                "never" if days is None else "today" if days == 0 else wording.count(days, "day") + " ago",
            ),
            ("sessions", wording.number(customer["completed_sessions"])),
            ("calls in 14 days", wording.number(customer["calls_14d"])),
            ("account", "open" if customer["is_active"] else "closed"),
        ]
    )


def factors(formula: Formula, newest: Mapping[str, Any] | None) -> None:
    """Draw the parts of the score, each from 0 to 100, critical ones in red."""
    page.section(
        "What the score is made of", "Each part from 0 to 100; red where the part alone would be critical."
    )
    parts = [part for part in (newest or {}).get("components") or [] if wording.is_known(part["value"])]
    if not parts:
        page.empty("No part is known.", f"Not scored: {score.why_not(newest)}.")
        return
    floors = [tier.lower_bound for tier in formula.tiers if tier.lower_bound > 0]
    critical = min(floors, default=0)
    healthy = sorted(floors)[1] if len(floors) > 1 else 0
    rows = pl.DataFrame(
        [
            {
                "label": f"{wording.label(part['name'])} ({wording.percent(part['weight'])})",
                "value": part["value"] / 100,
                "sample": 0,
                "tone": "red"
                if part["value"] < critical
                else "amber"
                if part["value"] < healthy
                else "green",
                "text": wording.number(part["value"]),
            }
            for part in parts
        ]
    )
    st.altair_chart(
        charts.bars_with_benchmark(rows, benchmark=None, title="points out of 100", is_rate=False),
        key="customer.factors",
    )
    unknown = [
        wording.label(part["name"]).lower()
        for part in (newest or {}).get("components") or []
        if not wording.is_known(part["value"])
    ]
    if unknown:
        st.caption(f"Not known: {wording.listed(unknown)}.")


def what_to_do(customer: Mapping[str, Any], formula: Formula) -> None:
    """Say the next steps, the one with the most to win first."""
    page.section("What to do", "Points to win are arithmetic of the score, not a promise.")
    steps = advice.all_steps(customer, formula)
    if not steps:
        st.write("Nothing stands out. Every known part is at its best.")
        return
    for step in steps[:3]:
        st.markdown(
            f"- **{step.action}**, {step.urgency}  \n"
            f":gray[{step.why.capitalize()}. Up to {step.points_to_win:.0f} points.]"
        )


def over_time(formula: Formula, scores: pl.DataFrame) -> None:
    """Draw the score by day with the floors of its tiers."""
    page.section("Over time", "Dashed: where the rulebook draws its tiers.")
    mine = scores.filter(pl.col("formula_version") == "v1").drop_nulls("score")
    if mine.height < 2:
        st.caption("A line needs two scored days.")
        return
    st.altair_chart(
        charts.score_over_time(
            mine.select("as_of_date", "score", "tier", "lower_bound", "upper_bound", "sample_size"),
            floors=formula.floors(),
            high=formula.high,
        ),
        key="customer.trend",
    )


def history(lens: Lens, who: Names, customer_id: str) -> None:
    """Draw sessions, calls and goals."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        page.section("Sessions", f"The newest {SHOWN}.")
        sessions.draw(
            queries.customer_sessions(lens, customer_id, limit=SHOWN),
            who,
            lens,
            key="customer.sessions",
            other="tutor",
            nothing="No session yet.",
        )
    with right:
        page.section("Calls to support", f"The newest {SHOWN}.")
        if not coverage.say_missing(queries.sources(lens), "reports_calls", "A missing call says nothing."):
            calls = queries.customer_calls(lens, customer_id, limit=SHOWN)
            table(
                (Column("When", tight=True), Column("Reason")),
                [
                    Row([Cell(wording.moment(at, lens.zone)), Cell(wording.label(reason))])
                    for at, reason in calls.select("called_at", "reason_code").iter_rows()
                ],
                key="customer.calls",
                label="Calls",
                nothing="No call.",
            )
        page.section("Goals", "When they were set and reached.")
        if not coverage.say_missing(queries.sources(lens), "reports_goals", "A missing goal says nothing."):
            _goals(lens, customer_id)


def _goals(lens: Lens, customer_id: str) -> None:
    found = queries.goals(lens, customer_id)
    listed = (found["goals"].to_list()[0] or []) if not found.is_empty() else []
    table(
        (
            Column("Subject", first=True),
            Column("Set", right=True, tight=True),
            Column("Reached", right=True, tight=True),
        ),
        [
            Row(
                [
                    Cell(wording.label(goal["subject_id"])),
                    Cell(wording.day(goal["set_at"], year=True)),
                    Cell(wording.day(goal["completed_at"], year=True) if goal["completed_at"] else "open"),
                ]
            )
            for goal in listed
        ],
        key="customer.goals",
        label="Goals",
        nothing="No goal is set.",
    )
