"""Customers: who is about to leave, and what would keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import access, actions, advice, queries, wording
from app.dashboard.components import address, coverage, customer_detail, export, page
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.names import Names, names
from app.dashboard.rulebook import Formula, Rulebook, Tier

DEFAULT_TIERS = ("critical", "at_risk")
NOT_SCORED = "not_scored"
SORTS = {
    "health": "health_score",
    "name": "customer_id",
    "last": "days_since_last_session",
    "sessions": "sessions_30d",
    "calls": "calls_14d",
    "alerts": "open_alert_count",
}


def customers() -> None:
    """Draw the list, or one customer when the address names one."""
    lens = page.begin("Customers", "Who is about to leave, and what would keep them?", "see_customers")
    who = names(lens)
    rulebook = Rulebook(queries.rulebook(lens))
    chosen = address.value_of("customer")
    everybody = queries.customers(lens)
    if chosen:
        address.back("All customers", "customer", "session")
        customer_detail.draw(lens, who, rulebook, everybody.filter(pl.col("customer_id") == chosen))
        return
    sources = queries.sources(lens)
    if everybody.is_empty():
        if not coverage.say_missing(sources, "reports_customers", "There is nobody to list."):
            page.empty("No customer to show.", "No session with a customer is in what you may see.")
        return
    formula = rulebook.formula("HEALTH")
    active = everybody.filter(pl.col("is_active"))
    chosen_tiers = headline(active, formula)
    coverage.say_missing(sources, "reports_calls", "Customer health counts calls, so it cannot be scored.")
    listing(lens, who, everybody, formula, chosen_tiers)


def headline(active: pl.DataFrame, formula: Formula) -> list[str]:
    """Answer first: how many customers stand where. Returns the tiers that the list shows."""
    tiers = active.with_columns(pl.col("health_tier").fill_null(NOT_SCORED))["health_tier"]
    counted = dict(tiers.value_counts().iter_rows())
    codes = [*[tier.code for tier in formula.tiers], NOT_SCORED]
    # Where nobody has a score, the list would open empty.
    first = DEFAULT_TIERS if any(code in counted for code in codes[:-1]) else (NOT_SCORED,)
    raw = address.value_of("tiers", ",".join(first))
    chosen = [code for code in raw.split(",") if code in codes]

    def flip(code: str) -> None:
        now = [one for one in codes if (one in chosen) != (one == code)]
        address.put("tiers", ",".join(now) or "none")

    tiles(
        [
            Tile(
                tier.label
                if (tier := next((t for t in formula.tiers if t.code == code), None))
                else "Not scored",
                wording.number(counted.get(code, 0)),
                f"of {active.height:,}",
                note=_bounds(tier, formula),
                tone=tier.tone if tier else "grey",
                id=code,
                chosen=code in chosen,
                hint="Show or hide in the list",
            )
            for code in codes
        ],
        key="customer.tiers",
        size="five",
        on_open=flip,
    )
    return chosen


def listing(lens: Lens, who: Names, everybody: pl.DataFrame, formula: Formula, tiers: list[str]) -> None:
    """Draw search, list and export."""
    page.section(
        "The list",
        "Tiles choose the tiers. Worst first. Next step: the part of the score with the most to win.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Search", key="customers.search", placeholder="Name or id", width=220)
        inactive = st.toggle("Also closed accounts", key="customers.inactive")
    rows = everybody if inactive else everybody.filter(pl.col("is_active"))
    rows = rows.filter(pl.col("health_tier").fill_null(NOT_SCORED).is_in(tiers))
    rows = searched(rows, who.by_customer, text)
    key, descending, on_sort = address.sorter("-health")
    rows = rows.sort(
        [SORTS.get(key, "health_score"), "days_since_last_session", "customer_id"],
        descending=[descending, True, False],
        nulls_last=True,
    )
    ordered = rows.to_dicts()
    part, number, pages = address.page_of(ordered)
    table(
        (
            Column("Customer", first=True, sort="name"),
            Column("Health", right=True, sort="health"),
            Column("Next step"),
            Column("Last session", right=True, tight=True, wide=True, sort="last"),
            Column("Sessions, 30 d", right=True, wide=True, sort="sessions"),
            Column("Calls, 14 d", right=True, wide=True, sort="calls"),
            Column("Alerts", right=True, wide=True, sort="alerts"),
        ),
        [_row(row, who, formula) for row in part],
        key="customer.rows",
        label="Customers",
        nothing="No customer matches." if tiers else "No tier is chosen. Choose one above.",
        on_open=address.opener("customer"),
        sort=key,
        descending=descending,
        on_sort=on_sort,
    )
    address.pager(len(ordered), number, pages, noun="customers")
    download(lens, who, ordered, formula)


def download(lens: Lens, who: Names, rows: list[dict[str, Any]], formula: Formula) -> None:
    """Offer what the filter shows as a file; who took it is recorded."""
    if not access.may(lens.person, "export") or not rows:
        return
    version = lens.published.version

    def record() -> None:
        actions.record_export(lens.person, what="customers", rows=len(rows), version=version)

    st.download_button(
        f"Download these {len(rows):,} as CSV",
        data=export.csv_bytes(_exported(row, who, formula) for row in rows),
        file_name=f"customers-{lens.as_of_date.isoformat()}-version-{version}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click=record,
        key="customer.csv",
    )


def searched(rows: pl.DataFrame, known: Mapping[str, str], text: str) -> pl.DataFrame:
    """Return the rows whose id or visible name contains the text."""
    wanted = text.strip().casefold()
    if not wanted:
        return rows
    keep = [
        wanted in one.casefold() or wanted in known.get(one, "").casefold() for one in rows["customer_id"]
    ]
    return rows.filter(pl.Series(keep, dtype=pl.Boolean))


def _row(row: Mapping[str, Any], who: Names, formula: Formula) -> Row:
    days = row["days_since_last_session"]
    step = advice.next_step(row, formula)
    score = row["health_score"]
    return Row(
        [
            Cell(who.customer(row["customer_id"]), sub=wording.label(row["goal_status"])),
            Cell(
                formula.said(score),
                bar=formula.share(score),
                tone=formula.tone(row["health_tier"]),
                sub=formula.label(row["health_tier"]),
            ),
            Cell(step.action, sub=step.why)
            if step
            else Cell(wording.NOTHING, sub=str(row["health_not_scored_reason"] or "")),
            Cell(_days_ago(days)),
            Cell(wording.number(row["sessions_30d"])),
            Cell(wording.number(row["calls_14d"]), tone="red" if row["calls_14d"] >= 2 else ""),
            Cell(wording.number(row["open_alert_count"]), tone="red" if row["open_alert_count"] else "grey"),
        ],
        id=row["customer_id"],
    )


def _bounds(tier: Tier | None, formula: Formula) -> str:
    if tier is None:
        return "something is not known"
    above = [one.lower_bound for one in formula.tiers if one.lower_bound > tier.lower_bound]
    if not above:
        return f"{tier.lower_bound:g} and more"
    return (
        f"below {min(above):g}"
        if tier.lower_bound <= formula.low
        else f"{tier.lower_bound:g} to {min(above):g}"
    )


def _days_ago(days: int | None) -> str:
    return "never" if days is None else "today" if days == 0 else wording.count(days, "day") + " ago"


def _exported(row: Mapping[str, Any], who: Names, formula: Formula) -> dict[str, Any]:
    step = advice.next_step(row, formula)
    named = {"name": who.by_customer.get(row["customer_id"], "")} if who.by_customer else {}
    return {
        "customer_id": row["customer_id"],
        **named,
        **{
            column: row[column]
            for column in (
                "health_score",
                "health_tier",
                "health_not_scored_reason",
                "first_session_points",
                "velocity_points",
                "calls_points",
                "goals_points",
                "tutor_consistency_points",
                "goal_status",
                "completed_sessions",
                "sessions_30d",
                "calls_14d",
                "days_since_last_session",
                "open_alert_count",
            )
        },
        "next_step": step.action if step else "",
    }


customers()
