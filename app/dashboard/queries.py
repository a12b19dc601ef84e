"""Questions to the published version: one function per question, one relation, columns and a filter.

What belongs here: which columns and rows answer a question, who may ask it, and a coach's scope. What does
not: joins and aggregates (marts answer), names of people (names.py), alerts (inbox.py), the data itself (health.py).

Answers are cached by version, so a page costs one query per version, whoever looks first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import access, stores
from app.dashboard.access import Permission
from app.dashboard.components.page import Lens

Parameters = tuple[tuple[str, Any], ...]


def rows_of(
    lens: Lens,
    permission: Permission,
    relation: str,
    columns: str,
    *,
    where: str = "true",
    order: str = "",
    scope: str | None = None,
    **parameters: Any,
) -> pl.DataFrame:
    """Return rows of one relation. scope names the column that must be on a coach's roster."""
    person = access.require(lens.person, permission)
    if scope is not None and person.roster is not None:
        where = f"({where}) and {scope} in (select unnest($roster))"
        parameters["roster"] = tuple(sorted(person.roster))
    sql = f"select {columns} from {relation} where {where}" + (f" order by {order}" if order else "")
    state = str(stores.settings().state)
    return _cached(state, lens.published.snapshot_id, sql, tuple(sorted(parameters.items())))


@st.cache_data(max_entries=256, show_spinner=False)
def _cached(state: str, snapshot_id: int, sql: str, parameters: Parameters) -> pl.DataFrame:
    given: Mapping[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in parameters
    }
    return stores.reader(snapshot_id, personal=False).query(sql, given)


SCORE_COLUMNS = (
    "as_of_date, score_code, formula_version, score, tier, sample_size, lower_bound, upper_bound, "
    "not_scored_reason, components"
)
SESSION_COLUMNS = (
    "session_id, source, tutor_id, customer_id, subject_id, status, scheduled_start_at, scheduled_end_at, "
    "late_minutes, early_end_minutes, student_rating, is_first_for_customer, reschedule_count, rescheduled_by"
)


def tutor_scores(lens: Lens, tutor_id: str, *, days: int) -> pl.DataFrame:
    """Return the scores of one tutor over the last so many days, oldest first."""
    return rows_of(
        lens,
        "see_tutors",
        "marts.fct_tutor_scores",
        f"tutor_id, {SCORE_COLUMNS}",
        where="tutor_id = $tutor_id and as_of_date between $until::date - $days::integer and $until::date",
        order="as_of_date, score_code, formula_version",
        scope="tutor_id",
        tutor_id=tutor_id,
        until=lens.as_of_date,
        days=days,
    )


def tutor_days(lens: Lens, tutor_id: str, *, days: int) -> pl.DataFrame:
    """Return the calendar of one tutor over the last so many days, oldest first."""
    return rows_of(
        lens,
        "see_tutors",
        "core.fct_tutor_days",
        "tutor_id, date, sessions_scheduled, sessions_completed, tutor_reschedules, no_shows, avg_late_minutes",
        where="tutor_id = $tutor_id and date > $until::date - $days::integer and date <= $until::date",
        order="date",
        scope="tutor_id",
        tutor_id=tutor_id,
        until=lens.as_of_date,
        days=days,
    )


def tutor_sessions(lens: Lens, tutor_id: str, *, days: int) -> pl.DataFrame:
    """Return the sessions of one tutor over the last so many days, newest first."""
    return rows_of(
        lens,
        "see_tutors",
        "core.fct_sessions",
        SESSION_COLUMNS,
        where="tutor_id = $tutor_id and session_date > $until::date - $days::integer and session_date <= $until::date",
        order="scheduled_start_at desc, session_id",
        scope="tutor_id",
        tutor_id=tutor_id,
        until=lens.as_of_date,
        days=days,
    )


def tutor_session_flags(lens: Lens, tutor_id: str, *, days: int) -> pl.DataFrame:
    """Return what the rulebook found wrong with a tutor's sessions over the last so many days, newest first."""
    return rows_of(
        lens,
        "see_tutors",
        "marts.fct_session_flags",
        "session_id, rule_code, tutor_id, severity, measure, value, threshold, session_date, scheduled_start_at",
        where="tutor_id = $tutor_id and session_date > $until::date - $days::integer and session_date <= $until::date",
        order="scheduled_start_at desc, rule_code",
        scope="tutor_id",
        tutor_id=tutor_id,
        until=lens.as_of_date,
        days=days,
    )


def session_versions(lens: Lens, session_id: str) -> pl.DataFrame:
    """Return what each version of one session said and when it was known, newest first."""
    return rows_of(
        lens,
        "see_tutors",
        "core.fct_session_versions",
        "session_id, version_number, tutor_id, source, status, student_rating, changed_fields, is_late_feedback, "
        "updated_at, known_from, known_until",
        where="session_id = $session_id",
        order="version_number desc",
        scope="tutor_id",
        session_id=session_id,
    )


def customers_in_scope(lens: Lens) -> frozenset[str] | None:
    """Return the customers of a coach's tutors; None for roles that see everybody."""
    if lens.person.roster is None:
        return None
    found = rows_of(
        lens,
        "see_customers",
        "core.fct_sessions",
        "distinct customer_id",
        where="customer_id is not null",
        scope="tutor_id",
    )
    return frozenset(found["customer_id"].to_list())


def require_customer(lens: Lens, customer_id: str) -> None:
    """Raise AccessDenied when a customer has had no session with a tutor on the coach's roster."""
    own = customers_in_scope(lens)
    if own is not None and customer_id not in own:
        raise access.AccessDenied("This customer has had no session with a tutor on your roster.")


def customer_scores(lens: Lens, customer_id: str, *, days: int) -> pl.DataFrame:
    """Return the scores of one customer over the last so many days, oldest first."""
    require_customer(lens, customer_id)
    return rows_of(
        lens,
        "see_customers",
        "marts.fct_customer_scores",
        f"customer_id, {SCORE_COLUMNS}",
        where="customer_id = $customer_id and as_of_date between $until::date - $days::integer and $until::date",
        order="as_of_date, score_code, formula_version",
        customer_id=customer_id,
        until=lens.as_of_date,
        days=days,
    )


def customer_sessions(lens: Lens, customer_id: str, *, limit: int) -> pl.DataFrame:
    """Return the newest sessions of one customer; a coach gets those with their own tutors."""
    require_customer(lens, customer_id)
    return rows_of(
        lens,
        "see_customers",
        "core.fct_sessions",
        SESSION_COLUMNS,
        where="customer_id = $customer_id",
        order=f"scheduled_start_at desc, session_id limit {int(limit)}",
        scope="tutor_id",
        customer_id=customer_id,
    )


def customer_calls(lens: Lens, customer_id: str, *, limit: int) -> pl.DataFrame:
    """Return the newest calls of one customer to support."""
    require_customer(lens, customer_id)
    return rows_of(
        lens,
        "see_customers",
        "core.fct_inbound_calls",
        "call_id, customer_id, called_at, reason_code, source",
        where="customer_id = $customer_id",
        order=f"called_at desc, call_id limit {int(limit)}",
        customer_id=customer_id,
    )


def rulebook(lens: Lens) -> pl.DataFrame:
    """Return every number of the rulebook, as published with the marts."""
    return rows_of(
        lens,
        "see_overview",
        "marts.rpt_rulebook",
        "book, entry, attribute, value, number_value",
        order="book, entry, attribute",
    )


def sources(lens: Lens) -> pl.DataFrame:
    """Return what each source reports: ratings, attendance, availability, calls, goals."""
    return rows_of(
        lens,
        "see_overview",
        "core.dim_sources",
        "source, origin, reports_ratings, reports_attendance, reports_join_minutes, reports_customers, "
        "reports_tutors, reports_calls, reports_goals, reports_availability",
        order="source",
    )


def daily_kpis(lens: Lens, *, days: int) -> pl.DataFrame:
    """Return the figures of the overview for the last so many days, oldest first."""
    return rows_of(
        lens,
        "see_overview",
        "marts.fct_daily_kpis",
        "as_of_date, sessions_today, usual_sessions, usual_weeks, sessions_vs_usual, target_sessions, "
        "target_share, rating_7d, rating_count_7d, satisfaction_rate_7d, no_show_rate_7d, "
        "attendance_known_count_7d, reschedule_rate_7d, supply_hours_24h, demand_hours_24h, "
        "supply_demand_ratio_24h, expected_unmet_sessions_24h, utilisation_rate, open_critical_alerts",
        where="as_of_date > $until::date - $days::integer and as_of_date <= $until::date",
        order="as_of_date",
        until=lens.as_of_date,
        days=days,
    )


def hourly_activity(lens: Lens, *, days: int) -> pl.DataFrame:
    """Return sessions by hour over the last so many days, oldest first."""
    return rows_of(
        lens,
        "see_overview",
        "marts.fct_hourly_activity",
        "hour_start_at, session_date, hour_of_week, requested_sessions, completed_sessions, tutor_no_shows",
        where="session_date > $until::date - $days::integer and session_date <= $until::date",
        order="hour_start_at",
        until=lens.as_of_date,
        days=days,
    )


TUTOR_COLUMNS = (
    "tutor_id, source, subjects, is_active, first_seen_date, sessions_7d, sessions_30d, completed_30d, no_shows_30d, "
    "tutor_reschedules_30d, reschedule_rate_30d, hours_taught_30d, first_session_success_rate, "
    "first_session_success_count, first_session_poor_count, first_session_rated_count, benchmark_tier, "
    "avg_rating_30d, rating_count_30d, late_rate_30d, health_score, health_tier, health_not_scored_reason, "
    "churn_risk_score, churn_risk_tier, churn_risk_not_scored_reason, scored_on, open_alert_count, last_session_at"
)


def tutors(lens: Lens) -> pl.DataFrame:
    """Return what a coach needs to know about each tutor."""
    return rows_of(
        lens, "see_tutors", "marts.rpt_tutor_overview", TUTOR_COLUMNS, order="tutor_id", scope="tutor_id"
    )


def tutor_subjects(lens: Lens, tutor_id: str) -> pl.DataFrame:
    """Return how one tutor does in each subject, the most taught first."""
    return rows_of(
        lens,
        "see_tutors",
        "marts.rpt_tutor_subjects",
        "tutor_id, subject_id, completed_sessions, session_share, avg_rating, rating_count, "
        "first_session_success_rate, first_session_rated_count",
        where="tutor_id = $tutor_id",
        order="completed_sessions desc, subject_id",
        scope="tutor_id",
        tutor_id=tutor_id,
    )


def customers(lens: Lens) -> pl.DataFrame:
    """Return what an operator needs to know about each customer; a coach gets customers of their tutors."""
    found = rows_of(
        lens,
        "see_customers",
        "marts.rpt_customer_overview",
        "customer_id, source, acquisition_channel, goal_status, is_active, health_score, health_tier, "
        "health_not_scored_reason, first_session_points, velocity_points, calls_points, goals_points, "
        "tutor_consistency_points, first_session_rating, completed_sessions, sessions_30d, calls_14d, "
        "open_alert_count, days_since_last_session, signed_up_at, last_session_at",
        order="customer_id",
    )
    own = customers_in_scope(lens)
    return found if own is None else found.filter(pl.col("customer_id").is_in(sorted(own)))


def goals(lens: Lens, customer_id: str) -> pl.DataFrame:
    """Return the goals of one customer as one row with a list."""
    require_customer(lens, customer_id)
    return rows_of(
        lens,
        "see_customers",
        "core.dim_customers",
        "customer_id, goals",
        where="customer_id = $customer_id",
        customer_id=customer_id,
    )


def supply_demand(lens: Lens) -> pl.DataFrame:
    """Return supply against demand by subject and hour of the newest forecast, from the version's day on."""
    return rows_of(
        lens,
        "see_supply",
        "marts.fct_supply_demand",
        "subject_id, hour_start_at, forecast_origin_date, model_version, supply_hours, demand_hours, ratio, "
        "p_shortage, p_surplus, expected_unmet_sessions",
        where="forecast_origin_date = (select max(forecast_origin_date) from marts.fct_supply_demand "
        "where forecast_origin_date <= $until::date)",
        order="subject_id, hour_start_at",
        until=lens.as_of_date,
    )


def demand_forecasts(lens: Lens) -> pl.DataFrame:
    """Return the newest forecast of each subject's champion by hour, with its band."""
    return rows_of(
        lens,
        "see_supply",
        "marts.fct_demand_forecasts",
        "subject_id, hour_start_at, forecast_origin_date, model_version, expected_sessions, lower_95, upper_95",
        where="is_champion and forecast_origin_date = (select max(forecast_origin_date) "
        "from marts.fct_demand_forecasts where forecast_origin_date <= $until::date)",
        order="subject_id, hour_start_at",
        until=lens.as_of_date,
    )


def forecast_accuracy(lens: Lens) -> pl.DataFrame:
    """Return how far recent forecasts of the champions were off, by subject, origin and level."""
    return rows_of(
        lens,
        "see_supply",
        "marts.fct_forecast_accuracy",
        "subject_id, forecast_origin_date, model_version, level, wape_rate, bias_rate, coverage_rate, "
        "noise_floor_rate, cell_count, actual_sessions, expected_sessions",
        where="is_champion",
        order="forecast_origin_date, subject_id, level",
    )


def recommendations(lens: Lens) -> pl.DataFrame:
    """Return what the rules advise about supply and first sessions, most urgent first."""
    return rows_of(
        lens,
        "see_supply",
        "marts.rpt_recommendations",
        "recommendation_key, as_of_date, rule_code, entity_type, entity_id, title, action, reason, "
        "expected_impact, priority, value, threshold, sample_size, confidence_rate",
        where="as_of_date = (select max(as_of_date) from marts.rpt_recommendations where as_of_date <= $until::date)",
        order="priority, confidence_rate desc, recommendation_key",
        until=lens.as_of_date,
    )
