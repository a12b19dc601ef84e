"""Overview: is the marketplace all right today, and where is it not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import access, actions, charts, inbox, queries, stores, wording
from app.dashboard.components import address, page
from app.dashboard.components.alert_detail import subject
from app.dashboard.components.board import Tile, tiles
from app.dashboard.components.page import Lens
from app.dashboard.names import names
from app.dashboard.rulebook import Rulebook

RANGES = {"today": 1, "7": 7, "30": 30}
SPARK_DAYS = 7


def overview() -> None:
    """Draw the page."""
    lens = page.begin("Overview", "Is the marketplace all right, and where is it not?", "see_overview")
    span = choose_range()
    banner(lens)
    kpis = queries.daily_kpis(lens, days=2 * max(RANGES.values()) + 1)
    if kpis.is_empty():
        page.empty("No figures yet.", "The figures of a day appear with its first run.")
        return
    rulebook = Rulebook(queries.rulebook(lens))
    usual_weeks = int(rulebook.number("windows", "baseline_weeks") or 0)
    figures(lens, kpis, rulebook, span, usual_weeks)
    activity(lens, span, usual_weeks)
    by_day(lens, kpis, span)


def choose_range() -> str:
    """Draw the range and the refresh, side by side; the range lives in the address."""
    chosen = address.choice_of("range", list(RANGES), "today")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        picked = st.segmented_control(
            "Range",
            list(RANGES),
            default=chosen,
            required=True,
            label_visibility="collapsed",
            width="content",
            format_func=lambda word: "Today" if word == "today" else f"{word} days",
            key="overview.range",
        )
        st.button(
            "Refresh", icon=":material/refresh:", key="overview.refresh", help="Look for a newer version now."
        )
    if picked and picked != chosen:
        address.put("range", picked if picked != "today" else None)
    return picked or chosen


def banner(lens: Lens) -> None:
    """Keep the three most urgent criticals in sight until somebody acknowledges them."""
    waiting = inbox.urgent(lens.person)
    if not waiting:
        return
    who = names(lens)
    now = stores.clock().now()
    with st.container(border=True, key="overview_banner"):
        for alert in waiting:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{page.chip('Critical', 'red')} **{page.plain(alert.title)}** · {page.plain(subject(alert, who))} "
                    f":gray[· {wording.ago(alert.opened_at, now)}]",
                    width="stretch",
                )
                with st.container(horizontal=True, width="content", gap="small"):
                    if access.may(lens.person, "act_on_alerts") and st.button(
                        "Acknowledge", key=f"acknowledge.{alert.episode_id}"
                    ):
                        outcome = actions.move(
                            lens.person, alert.episode_id, to="acknowledge", version=alert.version
                        )
                        st.toast(outcome.text)
                        st.rerun()
                    if st.button("Open", key=f"open.{alert.episode_id}"):
                        st.switch_page("views/alerts.py", query_params={"alert": str(alert.episode_id)})


def figures(lens: Lens, kpis: pl.DataFrame, rulebook: Rulebook, span: str, usual_weeks: int) -> None:
    """Draw the figures, coloured by the limits of the rulebook, each leading to its page."""
    days = RANGES[span]
    criticals = len(inbox.criticals(lens.person, statuses=("open", "acknowledged", "in_progress")))
    shown = Figures(kpis, days, usual_weeks)
    today = shown.now
    items = [
        Tile(
            "Sessions today" if days == 1 else "Sessions a day",
            wording.number(shown.value("sessions_today")),
            note=_usual_note(today) if days == 1 else shown.change("sessions_today", wording.number),
            tone=rulebook.kpi_tone("sessions_vs_usual", shown.value("sessions_vs_usual")),
            tone_text="against the same weekday of earlier weeks",
            spark=shown.spark("sessions_today"),
        ),
        Tile(
            "Volume against target",
            wording.percent(shown.value("target_share")),
            f"of {wording.number(today['target_sessions'])} a day",
            goal=shown.value("target_share"),
            note=_pace_note(shown) if days == 1 else shown.change("target_share", wording.percent),
            tone=rulebook.kpi_tone(
                "session_volume", shown.pace() if days == 1 else shown.value("target_share")
            ),
            tone_text="at today's pace" if days == 1 else "",
            spark=shown.spark("target_share"),
        ),
        Tile(
            "Rating, 7 days",
            wording.number(shown.value("rating_7d"), 2),
            f"n {wording.number(today['rating_count_7d'])}",
            note=_rating_note(shown, days),
            tone=rulebook.kpi_tone("rating_7d", shown.value("rating_7d")),
            spark=shown.spark("rating_7d"),
            id="tutors",
            hint="Open tutors",
        ),
        Tile(
            "Satisfied, 7 days",
            wording.percent(shown.value("satisfaction_rate_7d")),
            "rated 4 or 5",
            note=f"beside a mean rating of {wording.number(shown.value('rating_7d'), 2)}",
            tone=rulebook.kpi_tone("satisfaction_rate_7d", shown.value("satisfaction_rate_7d")),
            spark=shown.spark("satisfaction_rate_7d"),
            id="customers",
            hint="Open customers",
        ),
        Tile(
            "Supply per demand",
            wording.number(shown.value("supply_demand_ratio_24h"), 2),
            "hours, next 24 h",
            note=_supply_note(today) if days == 1 else shown.change("supply_demand_ratio_24h", _two_digits),
            tone=rulebook.kpi_tone("supply_demand_ratio", shown.value("supply_demand_ratio_24h")),
            spark=shown.spark("supply_demand_ratio_24h"),
            id="supply",
            hint="Open supply",
        ),
        Tile(
            "Utilisation",
            wording.percent(shown.value("utilisation_rate")),
            "of hours on offer",
            note="taught so far today" if days == 1 else shown.change("utilisation_rate", wording.percent),
            tone=rulebook.kpi_tone("utilisation_rate", shown.value("utilisation_rate")),
            spark=shown.spark("utilisation_rate"),
            id="supply",
            hint="Open supply",
        ),
        Tile(
            "Missed by tutors, 7 days",
            wording.percent(shown.value("no_show_rate_7d"), 1),
            f"n {wording.number(today['attendance_known_count_7d'])}",
            note="sessions whose attendance is known"
            if days == 1
            else shown.change("no_show_rate_7d", _one_digit),
            tone=rulebook.kpi_tone("no_show_rate_7d", shown.value("no_show_rate_7d")),
            spark=shown.spark("no_show_rate_7d"),
            id="tutors",
            hint="Open tutors",
        ),
        Tile(
            "Critical alerts",
            wording.number(criticals),
            "not closed",
            note="live" if lens.person.roster is None else "live, your roster",
            tone="red" if criticals else "green",
            spark=shown.spark("open_critical_alerts"),
            id="alerts",
            hint="Open alerts",
        ),
    ]
    pages: dict[str, access.Permission] = {
        "tutors": "see_tutors",
        "customers": "see_customers",
        "supply": "see_supply",
        "alerts": "see_alerts",
    }
    allowed = [
        one if one.id is None or access.may(lens.person, pages[one.id]) else _closed(one) for one in items
    ]
    target = _go()
    tiles(allowed, key="overview.tiles", on_open=target)
    if "overview.go" in st.session_state:
        st.switch_page(f"views/{st.session_state.pop('overview.go')}.py")
    explained = (
        f"Small lines: the last {SPARK_DAYS} days."
        if days == 1
        else f"Means of the {days} whole days before today, against the {days} before them; "
        f"lines: the last {max(SPARK_DAYS, days)} days."
    )
    st.caption(f"Colours follow the limits of the rulebook. {explained}")


class Figures:
    """The figures of a range: today's row, or the mean of whole days beside the mean of the days before."""

    def __init__(self, kpis: pl.DataFrame, days: int, usual_weeks: int) -> None:
        self.days = days
        self._usual_weeks = usual_weeks
        self.now: dict[str, Any] = kpis.row(-1, named=True)
        whole = self._whole = kpis.slice(0, kpis.height - 1)
        self._part = kpis.tail(1) if days == 1 else whole.tail(days)
        self._before = whole.slice(max(0, whole.height - 2 * days), min(days, max(0, whole.height - days)))
        self._line = kpis.tail(max(SPARK_DAYS, days))

    def value(self, column: str) -> float | None:
        """Return today's value, or the mean of the range."""
        known = self._part[column].drop_nulls()
        return float(known.mean()) if not known.is_empty() else None  # type: ignore[arg-type]

    def pace(self) -> float | None:
        """Return the share of the target that the day reaches if the rest of it goes as usual.

        None while less than a tenth of a usual day has passed: then the pace says nothing yet.
        """
        usual_whole = self._usual_whole_day()
        usual_now, share = self.now["usual_sessions"], self.now["target_share"]
        if not usual_whole or not wording.is_known(usual_now) or not wording.is_known(share):
            return None
        passed = min(1.0, float(usual_now) / usual_whole)
        return float(share) / passed if passed >= 0.1 else None

    def _usual_whole_day(self) -> float | None:
        weekday = self.now["as_of_date"].isoweekday()
        same = self._whole.filter(pl.col("as_of_date").dt.weekday() == weekday).tail(self._usual_weeks)[
            "sessions_today"
        ]
        return float(same.mean()) if not same.is_empty() else None  # type: ignore[arg-type]

    def spark(self, column: str) -> list[float | None]:
        """Return the values of the last days for the small line."""
        return charts.spark(self._line[column].to_list())

    def change(self, column: str, say: Callable[[Any], str]) -> str:
        """Return what it was before, or that there is nothing to compare with."""
        known = self._before[column].drop_nulls()
        return (
            f"{say(known.mean())} in the {self.days} days before"
            if not known.is_empty()
            else "no earlier days to compare"
        )


def activity(lens: Lens, span: str, usual_weeks: int) -> None:
    """Draw what the hours of the day look like, against the usual."""
    days = RANGES[span]
    hours = queries.hourly_activity(lens, days=1 + 7 * usual_weeks if days == 1 else days + 1)
    page.section(
        "Sessions by hour",
        f"Bars: {'today' if days == 1 else f'mean of the {days} whole days before today'}. "
        + (f"Marks: the same weekday of the last {usual_weeks} weeks. " if days == 1 else "")
        + f"Hours of {lens.zone.replace('_', ' ')}.",
    )
    if hours.is_empty():
        page.empty("No activity yet.", "Hours appear once sessions have been read.")
        return
    st.altair_chart(charts.hours_of_day(hours_shown(hours, lens, days)), key="overview.hours")


def hours_shown(hours: pl.DataFrame, lens: Lens, days: int) -> pl.DataFrame:
    """Return one row per hour of the day: sessions, and what is usual where there is a comparison."""
    local = hours.with_columns(
        hour=pl.col("hour_start_at")
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone(lens.zone)
        .dt.hour()
        .cast(pl.Int64)
    )
    spine = pl.DataFrame({"hour": list(range(24))})
    today = pl.col("session_date") == lens.as_of_date
    shown = local.filter(today if days == 1 else ~today)
    count = 1 if days == 1 else max(1, shown["session_date"].n_unique())
    same_day = local.filter(~today & (pl.col("session_date").dt.weekday() == lens.as_of_date.isoweekday()))
    weeks = max(1, same_day["session_date"].n_unique())
    return (
        spine.join(_by_hour(shown, count, "sessions"), on="hour", how="left")
        .join(_by_hour(same_day, weeks, "usual"), on="hour", how="left")
        .with_columns(
            pl.col("sessions").fill_null(0),
            usual=pl.col("usual").fill_null(0)
            if days == 1 and not same_day.is_empty()
            else pl.lit(None, pl.Float64),
        )
    )


def _by_hour(rows: pl.DataFrame, days: int, name: str) -> pl.DataFrame:
    return rows.group_by("hour").agg((pl.col("requested_sessions").sum() / days).round(1).alias(name))


def by_day(lens: Lens, kpis: pl.DataFrame, span: str) -> None:
    """Draw the days of the range, with the target."""
    if RANGES[span] == 1:
        return
    page.section("Sessions by day", "Dashed: the target of the rulebook. The last day is not over.")
    rows = kpis.tail(RANGES[span] + 1).select(pl.col("as_of_date").alias("date"), pl.col("sessions_today"))
    target = kpis["target_sessions"].drop_nulls()
    st.altair_chart(
        charts.days(
            rows,
            value="sessions_today",
            title="sessions",
            target=float(target[-1]) if not target.is_empty() else None,
        ),
        key="overview.days",
    )


def _rating_note(shown: Figures, days: int) -> str:
    if days > 1:
        return shown.change("rating_7d", _two_digits)
    return "no ratings in 7 days" if not shown.now["rating_count_7d"] else "mean of students' ratings"


def _usual_note(today: dict[str, Any]) -> str:
    if not wording.is_known(today["usual_sessions"]):
        return "no earlier weeks to compare"
    return f"usual by now {wording.number(today['usual_sessions'])}, from {wording.count(today['usual_weeks'], 'week')}"


def _pace_note(shown: Figures) -> str:
    pace = shown.pace()
    return (
        f"at this pace {wording.percent(pace)} by the end of the day"
        if pace is not None
        else "the day is young"
    )


def _supply_note(today: dict[str, Any]) -> str:
    if not wording.is_known(today["supply_demand_ratio_24h"]):
        return "no forecast yet"
    return f"{wording.number(today['expected_unmet_sessions_24h'], 1)} sessions may go unmet"


def _two_digits(value: Any) -> str:
    return wording.number(value, 2)


def _one_digit(value: Any) -> str:
    return wording.percent(value, 1)


def _closed(item: Tile) -> Tile:
    return Tile(**{**item.__dict__, "id": None, "hint": ""})


def _go() -> Callable[[str], None]:
    def go(name: str) -> None:
        st.session_state["overview.go"] = name

    return go


overview()
