"""A small marketplace: its tutors, customers and sessions, and what the warehouse says of each, filled by hand."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import dashboard_days
from dashboard_tables import SUBJECTS, ZONE, Row, rulebook_rows
from dashboard_versions import versions_of

from data.settings import Settings

COACHED = ("t-001", "t-002", "t-003", "t-004")
"""Tutors on the roster of the test coach."""
FIRST_NAMES = ("Ada", "Ben", "Cleo", "Dev", "Eli", "Fay", "Gus", "Hana", "Ivo", "June")
LAST_NAMES = ("Archer", "Brandt", "Castillo", "Dube", "Engel", "Farouk", "Greene", "Hollis")


class Marketplace:
    """Rows of a marketplace in which everything happens that a page has to show. Seeded; same seed, same rows."""

    def __init__(self, now: datetime, *, seed: int = 11, tutors: int = 34, customers: int = 90) -> None:
        self.now = now
        self.today: date = now.astimezone(ZONE).date()
        self.random = random.Random(seed)
        self.tutor_ids = [f"t-{number:03d}" for number in range(1, tutors + 1)]
        self.customer_ids = [f"c-{number:03d}" for number in range(1, customers + 1)]
        self.sessions = self._sessions()

    def frames(self, settings: Settings) -> dict[str, list[Row]]:
        """Return the rows of every relation that a page reads."""
        day = dashboard_days.Day(self.now, self.today, self.random)
        return {
            "marts.rpt_rulebook": rulebook_rows(settings),
            "core.dim_sources": dashboard_days.sources(),
            "core.fct_sessions": self.sessions,
            "core.fct_session_versions": versions_of(self.sessions),
            "core.fct_tutor_days": self._tutor_days(),
            "core.fct_inbound_calls": self._calls(),
            "core.dim_customers": self._goals(),
            "marts.rpt_tutor_overview": self._tutor_overview(),
            "marts.rpt_tutor_subjects": self._tutor_subjects(),
            "marts.fct_tutor_scores": self._tutor_scores(),
            "marts.fct_session_flags": self._flags(),
            "marts.rpt_customer_overview": self._customer_overview(),
            "marts.fct_customer_scores": self._customer_scores(),
            "marts.fct_daily_kpis": dashboard_days.kpis(day),
            "marts.fct_hourly_activity": dashboard_days.hours(day),
            **dashboard_days.supply(day),
            "marts.fct_forecast_accuracy": dashboard_days.accuracy(day),
            "marts.rpt_recommendations": dashboard_days.recommendations(day),
            "marts.rpt_ingestion_quality": dashboard_days.quality(day),
            "marts.rpt_quarantine": dashboard_days.quarantine(day),
            "marts.rpt_source_quality": dashboard_days.source_quality(day),
            "marts.rpt_contract_drift": dashboard_days.contract_drift(day),
            "marts.rpt_feed_volume": dashboard_days.feed_volume(day),
            "marts.rpt_source_freshness": dashboard_days.freshness(day),
        }

    def personal(self) -> dict[str, list[Row]]:
        """Return names: an older and a newer one per person, so that the newest has to be chosen."""
        at = self.now.replace(tzinfo=None)
        rows: dict[str, list[Row]] = {"pii.tutors": [], "pii.customers": []}
        for kind, ids in (("tutor", self.tutor_ids), ("customer", self.customer_ids)):
            for number, identifier in enumerate(ids):
                name = f"{FIRST_NAMES[number % 10]} {LAST_NAMES[(number // 3) % 8]}"
                for age, said in ((2, "Old Name"), (1, name)):
                    rows[f"pii.{kind}s"].append(
                        {
                            f"{kind}_id": identifier,
                            "version_hash": f"v{age}",
                            "ingested_at": at - timedelta(days=age),
                            "full_name": said,
                        }
                    )
        rows["pii.customers"][1]["full_name"] = '=HYPERLINK("x")'
        rows["pii.tutors"][3]["full_name"] = "<img src=x onerror=document.title='owned'>"
        return rows

    def _sessions(self) -> list[Row]:
        rows = []
        for back in range(35, -1, -1):
            day = self.today - timedelta(days=back)
            for number in range(self.random.randint(24, 40)):
                tutor, customer = (
                    self.random.choice(self.tutor_ids[:-1]),
                    self.random.choice(self.customer_ids),
                )
                hour = self.random.choice((9, 11, 14, 15, 16, 16, 17, 17, 18, 18, 19, 20))
                start = (
                    datetime(day.year, day.month, day.day, hour, tzinfo=ZONE)
                    .astimezone(UTC)
                    .replace(tzinfo=None)
                )
                status = self.random.choices(
                    ("completed", "tutor_no_show", "student_no_show", "cancelled"), (88, 4, 3, 5)
                )[0]
                is_bad = tutor in self.tutor_ids[:6]
                rating = (
                    self.random.choice((1, 2, 3, 4) if is_bad else (3, 4, 5, 5, 5))
                    if self.random.random() < 0.6
                    else None
                )
                rows.append(
                    {
                        "session_id": f"s-{back:02d}-{number:02d}",
                        "source": "rails.pull",
                        "tutor_id": tutor,
                        "customer_id": customer,
                        "subject_id": self.random.choice(SUBJECTS),
                        "status": status,
                        "scheduled_start_at": start,
                        "scheduled_end_at": start + timedelta(hours=1),
                        "session_date": day,
                        "late_minutes": round(max(0.0, self.random.gauss(1, 6)), 1)
                        if status == "completed"
                        else None,
                        "early_end_minutes": 0.0 if status == "completed" else None,
                        "student_rating": float(rating) if rating and status == "completed" else None,
                        "is_first_for_customer": self.random.random() < 0.1,
                        "reschedule_count": int(is_bad),
                        "rescheduled_by": "tutor" if is_bad and self.random.random() < 0.3 else None,
                    }
                )
        return rows

    def _tutor_days(self) -> list[Row]:
        rows = []
        for tutor in self.tutor_ids:
            for back in range(42):
                mine = [
                    s
                    for s in self.sessions
                    if s["tutor_id"] == tutor and s["session_date"] == self.today - timedelta(days=back)
                ]
                held = sum(s["status"] == "completed" for s in mine)
                missed = sum(s["status"] == "tutor_no_show" for s in mine)
                moved = sum(s["rescheduled_by"] == "tutor" for s in mine)
                rows.append(
                    {
                        "tutor_id": tutor,
                        "date": self.today - timedelta(days=back),
                        "sessions_scheduled": held + missed + moved,
                        "sessions_completed": held,
                        "tutor_reschedules": moved,
                        "no_shows": missed,
                        "avg_late_minutes": 2.5 if held else None,
                    }
                )
        return rows

    def _calls(self) -> list[Row]:
        return [
            {
                "call_id": f"k-{number}",
                "customer_id": self.customer_ids[number % 12],
                "called_at": (self.now - timedelta(days=number % 13, hours=2)).replace(tzinfo=None),
                "reason_code": self.random.choice(("scheduling", "billing", "tutor_quality", None)),
                "source": "rails.pull",
            }
            for number in range(30)
        ]

    def _goals(self) -> list[Row]:
        at = (self.now - timedelta(days=80)).replace(tzinfo=None)
        rows = []
        for number, customer in enumerate(self.customer_ids):
            goal = {
                "goal_id": "g",
                "subject_id": SUBJECTS[number % 6],
                "set_at": at,
                "completed_at": at if number % 3 == 0 else None,
            }
            rows.append({"customer_id": customer, "goals": [goal]})
        return rows

    def _tutor_overview(self) -> list[Row]:
        rows = []
        for number, tutor in enumerate(self.tutor_ids):
            is_last = number == len(self.tutor_ids) - 1
            rated = self.random.randint(0, 24) if not is_last else 0
            good = 0.3 if number < 5 else 0.6 if number < 11 else 0.86
            success = sum(self.random.random() < good for _ in range(rated))
            rate = success / rated if rated else None
            tier = (
                "not_enough_evidence"
                if rated < 5 or rate is None
                else "critical"
                if rate < 0.5
                else "needs_improvement"
                if rate < 0.7
                else "top"
            )
            health, risk = self._score_of(number, "THS"), self._score_of(number, "TCRS")
            rows.append(
                {
                    "tutor_id": tutor,
                    "as_of_date": self.today,
                    "source": "rails.pull",
                    "subjects": list(self.random.sample(SUBJECTS, 2)),
                    "is_active": number % 17 != 16,
                    "first_seen_date": self.today - timedelta(days=200 + number),
                    "sessions_7d": 6,
                    "sessions_30d": 0 if is_last else 20 + number,
                    "completed_30d": 0 if is_last else 18 + number,
                    "no_shows_30d": 3 if number < 4 else 0,
                    "tutor_reschedules_30d": 4 if number < 6 else 0,
                    "reschedule_rate_30d": 0.2 if number < 6 else 0.0,
                    "hours_taught_30d": 18.0 + number,
                    "first_session_success_rate": rate,
                    "first_session_success_count": success,
                    "first_session_poor_count": max(0, rated - success - 1),
                    "first_session_rated_count": rated,
                    "benchmark_tier": tier,
                    "avg_rating_30d": None if is_last else 3.1 + min(1.7, number / 15),
                    "rating_count_30d": 0 if is_last else 11,
                    "late_rate_30d": None if is_last else 0.12,
                    "health_score": None if is_last else health,
                    "health_tier": None if is_last else _ths_tier(health),
                    "health_not_scored_reason": "no sessions in 7 days" if is_last else None,
                    "churn_risk_score": risk,
                    "churn_risk_tier": _tcrs_tier(risk),
                    "churn_risk_not_scored_reason": None,
                    "scored_on": self.today,
                    "open_alert_count": 2 if number < 3 else 0,
                    "last_session_at": (self.now - timedelta(hours=5 + number)).replace(tzinfo=None),
                }
            )
        return rows

    def _score_of(self, number: int, code: str, back: int = 0) -> float:
        bad = max(0.0, 6 - number) / 6
        wobble = ((number * 7 + back * 3) % 9 - 4) / 2
        if code == "THS":
            return round(min(100.0, max(0.0, 96 - 52 * bad - number % 5 * 4 + wobble + back * bad)), 2)
        return round(min(1.0, max(0.0, 0.15 + 0.6 * bad + wobble / 60)), 3)

    def _tutor_scores(self) -> list[Row]:
        rows = []
        for number, tutor in enumerate(self.tutor_ids):
            for back in range(20):
                health, risk = self._score_of(number, "THS", back), self._score_of(number, "TCRS", back)
                is_last = number == len(self.tutor_ids) - 1
                lost = 100 - health
                shares = (("reschedules", 40, 0.6), ("no_shows", 30, 0.3), ("lateness", 30, 0.1))
                common = {
                    "tutor_id": tutor,
                    "as_of_date": self.today - timedelta(days=back),
                    "formula_version": "v1",
                    "lower_bound": None,
                    "upper_bound": None,
                }
                rows.append(
                    common
                    | {
                        "score_code": "THS",
                        "score": None if is_last else health,
                        "tier": None if is_last else _ths_tier(health),
                        "sample_size": 0 if is_last else 9,
                        "not_scored_reason": "no sessions in 7 days" if is_last else None,
                        "components": [
                            _part(name, round(lost * share / weight, 4), weight, round(-lost * share, 3))
                            for name, weight, share in shares
                        ],
                    }
                )
                rows.append(
                    common
                    | {
                        "score_code": "TCRS",
                        "score": risk,
                        "tier": _tcrs_tier(risk),
                        "sample_size": 14,
                        "not_scored_reason": None,
                        "components": [
                            _part("low_activity", 0.2, 0.5, 0.1),
                            _part("inconsistency", round((risk - 0.1) / 0.45, 4), 0.45, round(risk - 0.1, 4)),
                            _part("declining", 0.0, 0.4, 0.0),
                            _part("improving", 0.0, 0.2, 0.0),
                            _part("short_history", 0.0, 0.15, 0.0),
                        ],
                    }
                )
        return rows

    def _tutor_subjects(self) -> list[Row]:
        return [
            {
                "tutor_id": tutor,
                "subject_id": subject,
                "as_of_date": self.today,
                "completed_sessions": 30 - 7 * place,
                "session_share": 0.5 - 0.15 * place,
                "avg_rating": 4.2,
                "rating_count": 14,
                "first_session_success_rate": None if place == 2 else (0.4 + 0.12 * (number % 5)),
                "first_session_rated_count": 0 if place == 2 else 9 - 6 * place,
            }
            for number, tutor in enumerate(self.tutor_ids[:-1])
            for place, subject in enumerate(
                (SUBJECTS[number % 6], SUBJECTS[(number + 2) % 6], SUBJECTS[(number + 3) % 6])
            )
        ]

    def _flags(self) -> list[Row]:
        rows = []
        for one in self.sessions:
            base = {
                key: one[key]
                for key in (
                    "session_id",
                    "tutor_id",
                    "customer_id",
                    "subject_id",
                    "session_date",
                    "scheduled_start_at",
                )
            }
            if one["status"] == "tutor_no_show":
                rows.append(
                    base
                    | {
                        "rule_code": "tutor_no_show",
                        "severity": "critical",
                        "measure": "tutor_no_show",
                        "value": 1.0,
                        "threshold": 1.0,
                    }
                )
            elif (one["late_minutes"] or 0) > 10:
                rows.append(
                    base
                    | {
                        "rule_code": "tutor_late",
                        "severity": "medium",
                        "measure": "late_minutes",
                        "value": one["late_minutes"],
                        "threshold": 10.0,
                    }
                )
        return rows

    def _health_of(self, number: int, back: int = 0) -> tuple[float | None, list[Row]]:
        values = {
            "first_session": 0.0 if number % 4 == 0 else 100.0,
            "velocity": float((number * 13 + back) % 101),
            "calls": 40.0 if number < 12 else 100.0,
            "goals": 50.0 if number % 3 == 0 else 100.0,
            "tutor_consistency": float(40 + number % 60),
        }
        weights = {
            "first_session": 0.3,
            "velocity": 0.25,
            "calls": 0.2,
            "goals": 0.15,
            "tutor_consistency": 0.1,
        }
        parts = [
            _part(name, value, weights[name], round(value * weights[name], 4))
            for name, value in values.items()
        ]
        if number % 15 == 14:
            parts[0] = _part("first_session", None, 0.3, None)
            return None, parts
        return round(sum(part["points"] for part in parts), 4), parts

    def _customer_overview(self) -> list[Row]:
        rows = []
        for number, customer in enumerate(self.customer_ids):
            score, parts = self._health_of(number)
            points = {f"{part['name']}_points": part["value"] for part in parts}
            rows.append(
                {
                    "customer_id": customer,
                    "as_of_date": self.today,
                    "source": "rails.pull",
                    "acquisition_channel": "search",
                    "goal_status": "completed_without_new_goal" if number % 3 == 0 else "not_completed",
                    "is_active": number % 20 != 19,
                    "health_score": score,
                    "health_tier": _health_tier(score),
                    "health_not_scored_reason": None if score is not None else "no rated first session",
                    **points,
                    "first_session_rating": None if score is None else 4.0,
                    "completed_sessions": 4 + number,
                    "sessions_30d": number % 9,
                    "calls_14d": 2 if number < 12 else 0,
                    "open_alert_count": 1 if number < 5 else 0,
                    "days_since_last_session": number % 40 if number % 11 else None,
                    "signed_up_at": (self.now - timedelta(days=90 + number)).replace(tzinfo=None),
                    "last_session_at": (self.now - timedelta(days=number % 40)).replace(tzinfo=None),
                }
            )
        return rows

    def _customer_scores(self) -> list[Row]:
        rows = []
        for number, customer in enumerate(self.customer_ids):
            for back in range(15):
                score, parts = self._health_of(number, back)
                rows.append(
                    {
                        "customer_id": customer,
                        "as_of_date": self.today - timedelta(days=back),
                        "score_code": "HEALTH",
                        "formula_version": "v1",
                        "score": score,
                        "tier": _health_tier(score),
                        "sample_size": 4 + number % 20,
                        "lower_bound": None,
                        "upper_bound": None,
                        "not_scored_reason": None if score is not None else "no rated first session",
                        "components": parts,
                    }
                )
        return rows


def _part(name: str, value: float | None, weight: float, points: float | None) -> Row:
    return {"name": name, "value": value, "weight": float(weight), "points": points}


def _ths_tier(score: float) -> str:
    return "high_risk" if score < 55 else "monitor" if score < 75 else "stable"


def _tcrs_tier(score: float) -> str:
    return "high_risk" if score >= 0.6 else "monitor" if score >= 0.3 else "stable"


def _health_tier(score: float | None) -> str | None:
    if score is None:
        return None
    return "critical" if score < 41 else "at_risk" if score < 71 else "healthy" if score < 86 else "thriving"
