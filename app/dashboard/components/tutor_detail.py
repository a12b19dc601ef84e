"""One tutor: how they do, how sure that is, what stands behind it, and what to do.

What belongs here: drawing one tutor. What does not: the list (views/tutors.py), scores (components/score.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import charts, inbox, queries, stores, wording
from app.dashboard.components import address, coverage, page, score, sessions
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.names import Names
from app.dashboard.palette import tone_of
from app.dashboard.rulebook import Formula, Rulebook

TREND_DAYS = 42
EVIDENCE_DAYS = 14


def draw(lens: Lens, who: Names, rulebook: Rulebook, found: pl.DataFrame) -> None:
    """Draw one tutor, or say that there is none that this person may see."""
    if found.is_empty():
        page.empty("No such tutor.", "The id is unknown in this version, or the tutor is not on your roster.")
        return
    tutor = found.row(0, named=True)
    tutor_id = tutor["tutor_id"]
    scores = queries.tutor_scores(lens, tutor_id, days=TREND_DAYS)
    open_alerts = inbox.alerts(lens.person, tutor_id=tutor_id)
    headline(lens, who, rulebook, tutor, scores)
    what_to_do(open_alerts)
    left, right = st.columns(2, gap="large")
    with left:
        one_score(rulebook.formula("THS"), scores)
    with right:
        one_score(rulebook.formula("TCRS"), scores)
    left, right = st.columns(2, gap="large")
    with left:
        subjects(lens, tutor_id, rulebook)
    with right:
        calendar(lens, tutor_id)
    session_list(lens, who, tutor_id)
    alert_list(open_alerts, lens)


def headline(
    lens: Lens, who: Names, rulebook: Rulebook, tutor: Mapping[str, Any], scores: pl.DataFrame
) -> None:
    """Answer first: name, tier, both scores, activity."""
    tier = next(
        (one for one in rulebook.tiers("FIRST_SESSION_SUCCESS") if one.code == tutor["benchmark_tier"]), None
    )
    st.subheader(page.plain(who.tutor(tutor["tutor_id"])), anchor=False)
    chip = page.chip(tier.label, tier.tone) if tier else page.chip("Not enough evidence", "grey")
    inactive = "" if tutor["is_active"] else " " + page.chip("Inactive", "grey")
    st.markdown(f"{chip}{inactive}")
    page.facts(
        [
            ("id", tutor["tutor_id"]),
            (
                "subjects",
                wording.listed([wording.label(one) for one in tutor["subjects"] or []]) or "none named",
            ),
            ("since", wording.day(tutor["first_seen_date"], year=True)),
            ("last session", wording.ago(tutor["last_session_at"], stores.clock().now())),
            ("source", wording.label(tutor["source"])),
        ]
    )
    rate = tutor["first_session_success_rate"]
    tiles(
        [
            _score_tile(rulebook.formula("THS"), score.latest(scores, "THS")),
            _score_tile(rulebook.formula("TCRS"), score.latest(scores, "TCRS")),
            Tile(
                "First sessions",
                wording.percent(rate),
                f"of {tutor['first_session_rated_count']} rated",
                note=f"{tutor['first_session_poor_count']} poor",
                tone=tier.tone if tier else "grey",
            ),
            Tile(
                "Sessions, 30 days",
                wording.number(tutor["completed_30d"]),
                "held",
                note=f"{tutor['no_shows_30d']} missed, {tutor['tutor_reschedules_30d']} moved by the tutor",
            ),
            Tile(
                "Rating, 30 days",
                wording.number(tutor["avg_rating_30d"], 2),
                f"n {tutor['rating_count_30d']}",
                note=f"late {wording.percent(tutor['late_rate_30d'])} of the time"
                if wording.is_known(tutor["late_rate_30d"])
                else "lateness not known",
            ),
        ],
        key="tutor.head",
        size="five",
    )


def what_to_do(alerts: list[inbox.Alert]) -> None:
    """Say what is advised now, from the open alerts, worst first."""
    waiting = [one for one in alerts if one.is_open]
    page.section("What to do")
    if not waiting:
        st.write("Nothing is open for this tutor.")
        return
    advised = list(dict.fromkeys(one.recommended_action for one in waiting if one.recommended_action))
    for action in advised[:3]:
        causes = sorted({wording.label(one.rule_code) for one in waiting if one.recommended_action == action})
        st.markdown(f"- {page.plain(action)} :gray[({page.plain(wording.listed(causes))})]")


def one_score(formula: Formula, scores: pl.DataFrame) -> None:
    """Draw one score over time and what it is made of."""
    page.section(formula.title, "Line: by day. Dashed: where the rulebook draws its tiers.")
    mine = scores.filter((pl.col("score_code") == formula.code) & (pl.col("formula_version") == "v1"))
    newest = score.latest(scores, formula.code)
    st.markdown(score.headline(formula, newest, unit="days" if formula.code == "TCRS" else "sessions"))
    scored = mine.drop_nulls("score")
    if scored.height >= 2:
        st.altair_chart(
            charts.score_over_time(
                scored.select("as_of_date", "score", "tier", "lower_bound", "upper_bound", "sample_size"),
                floors=formula.floors(),
                high=formula.high,
            ),
            key=f"tutor.{formula.code}.trend",
        )
    elif mine.is_empty():
        page.empty("No score in this version.", "Scores are computed every six hours.")
    else:
        st.caption("A line needs two scored days.")
    if newest is not None:
        with st.container(border=False):
            score.explain(formula, newest, key=f"tutor.{formula.code}")


def subjects(lens: Lens, tutor_id: str, rulebook: Rulebook) -> None:
    """Draw how the tutor does in each subject."""
    page.section("By subject", "First sessions rated 4 or 5, with n; dashed: the benchmark.")
    rows = queries.tutor_subjects(lens, tutor_id)
    if rows.is_empty():
        page.empty("No subject yet.", "No session of the last quarter names a subject.")
        return
    tiers = rulebook.tiers("FIRST_SESSION_SUCCESS")
    least = rulebook.number("score_parameters", "benchmark_min_sample") or 0
    judged = rows.drop_nulls("first_session_success_rate")
    if judged.is_empty():
        if not coverage.say_missing(queries.sources(lens), "reports_ratings", "Subjects cannot be compared."):
            page.empty(
                "No rated first session.",
                f"Taught: {wording.listed([wording.label(one) for one in rows['subject_id']])}.",
            )
        return
    shown = [
        {
            "label": wording.label(row["subject_id"]),
            "value": row["first_session_success_rate"],
            "sample": row["first_session_rated_count"],
            "tone": next(
                (
                    tier.tone
                    for tier in reversed(tiers)
                    if row["first_session_success_rate"] >= tier.lower_bound
                ),
                "grey",
            )
            if row["first_session_rated_count"] >= least
            else "grey",
            "text": f"{wording.percent(row['first_session_success_rate'])}  n {row['first_session_rated_count']}",
        }
        for row in judged.iter_rows(named=True)
    ]
    benchmark = max((tier.lower_bound for tier in tiers), default=None)
    st.altair_chart(
        charts.bars_with_benchmark(
            pl.DataFrame(shown), benchmark=benchmark, title="first sessions rated 4 or 5"
        ),
        key="tutor.subjects",
    )
    if any(one["tone"] == "grey" for one in shown):
        st.caption(f"Grey: fewer than {wording.number(least)} rated first sessions, not enough evidence.")


def calendar(lens: Lens, tutor_id: str) -> None:
    """Draw what happened on each day."""
    page.section("Day by day", f"Last {TREND_DAYS} days.")
    days = queries.tutor_days(lens, tutor_id, days=TREND_DAYS)
    if days.is_empty() or not int(days["sessions_scheduled"].sum()):
        page.empty("No session in these days.", "A tutor without sessions has no days to draw.")
        return
    parts = (
        ("sessions_completed", "Held", "accent"),
        ("tutor_reschedules", "Moved by the tutor", "amber"),
        ("no_shows", "Missed by the tutor", "red"),
    )
    st.altair_chart(charts.stacked_days(days, parts=parts, title="sessions"), key="tutor.days")


def session_list(lens: Lens, who: Names, tutor_id: str) -> None:
    """Draw flags and the sessions behind the scores."""
    flags = queries.tutor_session_flags(lens, tutor_id, days=EVIDENCE_DAYS)
    left, right = st.columns([2, 3], gap="large")
    with left:
        page.section("Flags", f"What the rulebook found in the last {EVIDENCE_DAYS} days.")
        table(
            (
                Column("Flag", first=True),
                Column("Severity", tight=True),
                Column("When", right=True, tight=True),
            ),
            [
                Row(
                    [
                        Cell(wording.label(row["rule_code"]), sub=_flag_value(row)),
                        Cell(row["severity"].capitalize(), chip=True, tone=tone_of(row["severity"])),
                        Cell(wording.moment(row["scheduled_start_at"], lens.zone)),
                    ]
                )
                for row in flags.head(address.PAGE_SIZE).iter_rows(named=True)
            ],
            key="tutor.flags",
            label="Flags",
            nothing="Nothing was flagged.",
        )
    with right:
        page.section("Sessions", f"Last {EVIDENCE_DAYS} days, newest first.")
        rows = queries.tutor_sessions(lens, tutor_id, days=EVIDENCE_DAYS)
        sessions.draw(
            rows.head(address.PAGE_SIZE),
            who,
            lens,
            key="tutor.sessions",
            other="customer",
            nothing="No session in these days.",
        )
        if rows.height > address.PAGE_SIZE:
            st.caption(f"The newest {address.PAGE_SIZE} of {rows.height:,}.")


def alert_list(alerts: list[inbox.Alert], lens: Lens) -> None:
    """Draw the alerts of this tutor, open ones first."""
    page.section("Alerts", "Open first. Live.")
    ordered = sorted(
        alerts,
        key=lambda one: (not one.is_open, inbox.SEVERITY_ORDER[one.severity], -one.opened_at.timestamp()),
    )
    draw_alerts(ordered, lens, key="tutor.alerts")


def draw_alerts(alerts: list[inbox.Alert], lens: Lens, *, key: str) -> None:
    """Draw alerts as a table whose rows open the alert centre."""

    def go(episode_id: str) -> None:
        st.session_state[f"{key}.go"] = episode_id

    table(
        (
            Column("Alert", first=True),
            Column("Severity", tight=True),
            Column("Status", tight=True),
            Column("Opened", right=True, tight=True, wide=True),
        ),
        [
            Row(
                [
                    Cell(one.title or wording.label(one.rule_code), sub=one.owner and f"owner {one.owner}"),
                    Cell(one.severity.capitalize(), chip=True, tone=tone_of(one.severity)),
                    Cell(wording.label(one.status), chip=True, tone=tone_of(one.status)),
                    Cell(
                        wording.ago(one.opened_at, stores.clock().now()),
                        sub=wording.moment(one.opened_at, lens.zone),
                    ),
                ],
                id=str(one.episode_id),
            )
            for one in alerts[: address.PAGE_SIZE]
        ],
        key=key,
        label="Alerts",
        nothing="No alert so far.",
        on_open=go,
    )
    if f"{key}.go" in st.session_state:
        st.switch_page("views/alerts.py", query_params={"alert": st.session_state.pop(f"{key}.go")})


def _score_tile(formula: Formula, newest: Mapping[str, Any] | None) -> Tile:
    if newest is None or not wording.is_known(newest["score"]):
        return Tile(formula.title, wording.NOTHING, "not scored", note=score.why_not(newest), tone="grey")
    return Tile(
        formula.title,
        formula.said(newest["score"]),
        f"of {formula.high:g}",
        note=formula.label(newest["tier"]),
        tone=formula.tone(newest["tier"]),
    )


def _flag_value(row: Mapping[str, Any]) -> str | None:
    if row["measure"] in ("late_minutes", "early_end_minutes") and wording.is_known(row["value"]):
        return f"{row['value']:.0f} minutes, limit {row['threshold']:.0f}"
    if row["measure"] == "student_rating" and wording.is_known(row["value"]):
        return f"rated {row['value']:.0f}"
    return None
