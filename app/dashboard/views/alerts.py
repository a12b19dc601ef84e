"""Alerts: what needs somebody now, why, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import median

import polars as pl
import streamlit as st

from app.dashboard import charts, inbox, stores, wording
from app.dashboard.components import address, alert_detail, page
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.inbox import Alert
from app.dashboard.names import Names, names
from app.dashboard.palette import tone_of

HISTORY_DAYS = 30
STATUS_CHOICES = {
    "open": ("open", "snoozed"),
    "in work": ("acknowledged", "in_progress"),
    "closed": ("resolved", "dismissed"),
}
COLUMNS = (
    Column("Severity", tight=True, sort="severity"),
    Column("Alert", first=True),
    Column("Status", tight=True, wide=True),
    Column("Owner", wide=True),
    Column("Opened", right=True, tight=True, sort="opened"),
)


def alerts() -> None:
    """Draw the list, or one alert when the address names it."""
    lens = page.begin("Alerts", "What needs somebody now, and was it right?", "see_alerts")
    who = names(lens)
    chosen = address.value_of("alert")
    if chosen:
        address.back("All alerts", "alert")
        alert_detail.draw(lens, who, chosen)
        return
    recent = inbox.opened_within(lens.person, days=HISTORY_DAYS)
    waiting = inbox.alerts(lens.person, statuses=("open", "snoozed", "acknowledged", "in_progress"))
    headline(lens, waiting, recent)
    listing(lens, who, waiting, recent)
    evidence(lens, who, recent)


def headline(lens: Lens, waiting: Sequence[Alert], recent: Sequence[Alert]) -> None:
    """Answer first: how much waits, for whom, and how well the rules do."""
    severities = Counter(alert.severity for alert in waiting)
    closed = [alert for alert in recent if alert.resolved_at is not None]
    hours = [
        (alert.resolved_at - alert.opened_at).total_seconds() / 3600 for alert in closed if alert.resolved_at
    ]
    judged = [alert for alert in recent if alert.coach_agreed is not None]
    right = sum(1 for alert in judged if alert.coach_agreed)
    mine = sum(1 for alert in waiting if alert.owner_id == lens.person.user_id)
    tiles(
        [
            Tile(
                "Critical",
                wording.number(severities["critical"]),
                "waiting",
                tone="red" if severities["critical"] else "green",
            ),
            Tile(
                "High",
                wording.number(severities["high"]),
                "waiting",
                tone="amber" if severities["high"] else "green",
            ),
            Tile(
                "Nobody's",
                wording.number(sum(1 for alert in waiting if alert.owner_id is None)),
                f"of {len(waiting):,}",
                note=f"{mine} {'is' if mine == 1 else 'are'} yours",
            ),
            Tile(
                "Time to close",
                wording.span(3600 * median(hours)) if hours else wording.NOTHING,
                note=f"median of {len(hours)}, last {HISTORY_DAYS} days"
                if hours
                else f"none closed in {HISTORY_DAYS} days",
            ),
            Tile(
                "Judged right",
                wording.percent(right / len(judged)) if judged else wording.NOTHING,
                note=f"{right} of {len(judged)} answers" if judged else "nobody has answered yet",
            ),
        ],
        key="alert.tiles",
        size="five",
    )


def listing(lens: Lens, who: Names, waiting: Sequence[Alert], recent: Sequence[Alert]) -> None:
    """Draw filters and the list, worst first."""
    page.section(
        "The list", "Worst first, then newest. A row opens its evidence, its history and what can be done."
    )
    closed = [alert for alert in recent if not alert.is_open]
    rows = [*waiting, *closed]
    rules = sorted({alert.rule_code for alert in rows}, key=wording.label)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        status = st.segmented_control(
            "Status",
            ["waiting", *STATUS_CHOICES],
            default="waiting",
            key="alerts.status",
            required=True,
            format_func=str.capitalize,
            width="content",
        )
        severity = st.pills(
            "Severity",
            list(inbox.SEVERITY_ORDER),
            selection_mode="multi",
            key="alerts.severity",
            format_func=str.capitalize,
            width="content",
        )
        rule = st.selectbox("Type", ["all", *rules], key="alerts.rule", format_func=_all_or_label, width=215)
        owner = st.selectbox(
            "Owner", ["anybody", "me", "nobody"], key="alerts.owner", format_func=str.capitalize, width=130
        )
    shown = [
        alert
        for alert in rows
        if _has_status(alert, status)
        and (not severity or alert.severity in severity)
        and rule in ("all", alert.rule_code)
        and _has_owner(alert, owner, lens.person.user_id)
    ]
    key, descending, on_sort = address.sorter("severity")
    if key == "opened":
        shown.sort(key=lambda alert: alert.opened_at, reverse=descending)
    else:
        shown.sort(
            key=lambda alert: (
                inbox.SEVERITY_ORDER[alert.severity] * (1 if descending else -1),
                -alert.opened_at.timestamp(),
            )
        )
    part, number, pages = address.page_of(shown)
    table(
        COLUMNS,
        [_row(lens, who, alert) for alert in part],
        key="alert.rows",
        label="Alerts",
        nothing="No alert matches. Nothing is hidden by your role except what is off your roster.",
        on_open=address.opener("alert"),
        sort=key,
        descending=descending,
        on_sort=on_sort,
    )
    address.pager(len(shown), number, pages, noun="alerts")
    if len(waiting) == inbox.LIMIT:
        st.caption(f"More than {inbox.LIMIT:,} alerts wait; figures and list show the worst {inbox.LIMIT:,}.")


def evidence(lens: Lens, who: Names, recent: Sequence[Alert]) -> None:
    """Draw how many open per day, and what keeps coming back."""
    left, right = st.columns(2, gap="large")
    with left:
        page.section("Opened per day", f"Last {HISTORY_DAYS} days, by severity.")
        if recent:
            st.altair_chart(charts.stacked_days(_per_day(lens, recent), parts=_PARTS, title="alerts"))
        else:
            page.empty("No alert was opened.", f"Nothing in the last {HISTORY_DAYS} days matched a rule.")
    with right:
        page.section("Keeps coming back", f"Opened more than once in {HISTORY_DAYS} days for the same cause.")
        again = [
            (key, times)
            for key, times in Counter(alert.alert_key for alert in recent).most_common()
            if times > 1
        ]
        newest = {alert.alert_key: alert for alert in sorted(recent, key=lambda one: one.opened_at)}
        table(
            (
                Column("Alert", first=True),
                Column("Times", right=True),
                Column("Last", right=True, tight=True),
            ),
            [
                Row(
                    [
                        Cell(
                            wording.label(newest[key].rule_code), sub=alert_detail.subject(newest[key], who)
                        ),
                        Cell(str(times)),
                        Cell(wording.ago(newest[key].opened_at, stores.clock().now())),
                    ],
                    id=str(newest[key].episode_id),
                )
                for key, times in again[:8]
            ],
            key="alert.again",
            label="Recurring alerts",
            nothing="Nothing came back.",
            on_open=address.opener("alert"),
        )


_PARTS = (
    ("critical", "Critical", "red"),
    ("high", "High", "amber"),
    ("medium", "Medium", "accent"),
    ("low", "Low", "grey"),
)


def _row(lens: Lens, who: Names, alert: Alert) -> Row:
    now = stores.clock().now()
    return Row(
        [
            Cell(alert.severity.capitalize(), chip=True, tone=tone_of(alert.severity)),
            Cell(alert.title or wording.label(alert.rule_code), sub=alert_detail.subject(alert, who)),
            Cell(wording.label(alert.status), chip=True, tone=tone_of(alert.status)),
            Cell(alert.owner or "nobody", tone="" if alert.owner else "grey"),
            Cell(wording.ago(alert.opened_at, now), sub=wording.moment(alert.opened_at, lens.zone)),
        ],
        id=str(alert.episode_id),
    )


def _per_day(lens: Lens, recent: Sequence[Alert]) -> pl.DataFrame:
    today = wording.local(stores.clock().now(), lens.zone).date()
    counted: Counter[tuple[date, str]] = Counter(
        (wording.local(alert.opened_at, lens.zone).date(), alert.severity) for alert in recent
    )
    spine = [today - timedelta(days=back) for back in range(HISTORY_DAYS - 1, -1, -1)]
    return pl.DataFrame(
        {"date": spine, **{severity: [counted[day, severity] for day in spine] for severity, _, _ in _PARTS}}
    )


def _has_status(alert: Alert, choice: str | None) -> bool:
    if choice in (None, "waiting"):
        return alert.is_open
    return alert.status in STATUS_CHOICES[str(choice)]


def _has_owner(alert: Alert, choice: str, user_id: int) -> bool:
    if choice == "me":
        return alert.owner_id == user_id
    return choice == "anybody" or alert.owner_id is None


def _all_or_label(code: str) -> str:
    return "All" if code == "all" else wording.label(code)


alerts()
