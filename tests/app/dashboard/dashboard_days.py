"""What a marketplace did as a whole, by day, hour and feed: relations of overview, supply and data health."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dashboard_tables import SUBJECTS, ZONE, Row


@dataclass(frozen=True)
class Day:
    """When it is, and the chance that makes the rows."""

    now: datetime
    today: date
    random: random.Random


def sources() -> list[Row]:
    flags = (
        "ratings",
        "attendance",
        "join_minutes",
        "customers",
        "tutors",
        "calls",
        "goals",
        "availability",
    )
    everything = {f"reports_{flag}": True for flag in flags}
    return [
        {"source": "rails.pull", "origin": "rails", **everything},
        {"source": "rails.webhook", "origin": "rails", **everything},
    ]


def kpis(when: Day) -> list[Row]:
    rows = []
    for back in range(61):
        day = when.today - timedelta(days=back)
        count = 2480 + (back * 37) % 300 - (700 if day.weekday() > 4 else 0) - (900 if back == 0 else 0)
        usual = 2500.0 - (700 if day.weekday() > 4 else 0) - (900 if back == 0 else 0)
        rows.append(
            {
                "as_of_date": day,
                "as_of_at": when.now.replace(tzinfo=None) - timedelta(days=back),
                "sessions_today": count,
                "usual_sessions": usual,
                "usual_weeks": 4,
                "sessions_vs_usual": round(count / usual, 4),
                "target_sessions": 3000.0,
                "target_share": round(count / 3000, 4),
                "rating_7d": round(4.41 + (back % 7) / 60, 3),
                "rating_count_7d": 8200 + back * 3,
                "satisfaction_rate_7d": 0.88,
                "no_show_rate_7d": round(0.017 + (back % 5) / 900, 4),
                "attendance_known_count_7d": 15900,
                "reschedule_rate_7d": 0.09,
                "supply_hours_24h": 2900.0,
                "demand_hours_24h": 2600.0,
                "supply_demand_ratio_24h": round(1.11 - (back % 6) / 50, 3),
                "expected_unmet_sessions_24h": 24.5,
                "utilisation_rate": round(0.64 + (back % 4) / 100, 3),
                "open_alerts": 30,
                "open_critical_alerts": 3 + back % 4,
            }
        )
    return rows


def hours(when: Day) -> list[Row]:
    start = datetime.combine(when.today - timedelta(days=34), datetime.min.time(), ZONE).astimezone(UTC)
    rows, at = [], start
    while at < when.now:
        here = at.astimezone(ZONE)
        shape = max(0, 10 - abs(here.hour - 17)) * 14 + (4 if 8 < here.hour < 22 else 0)
        rows.append(
            {
                "hour_start_at": at.replace(tzinfo=None),
                "session_date": here.date(),
                "hour_of_week": here.weekday() * 24 + here.hour,
                "requested_sessions": max(0, shape + when.random.randint(-9, 9) if shape else 0),
                "completed_sessions": shape,
                "tutor_no_shows": 1,
            }
        )
        at += timedelta(hours=1)
    return rows


def supply(when: Day) -> dict[str, list[Row]]:
    forecasts, risks = [], []
    start = when.now.replace(minute=0, second=0, microsecond=0, tzinfo=None) - timedelta(hours=6)
    for place, subject in enumerate(SUBJECTS):
        for ahead in range(7 * 24):
            at = start + timedelta(hours=ahead)
            here = at.replace(tzinfo=UTC).astimezone(ZONE)
            expected = max(0.0, (9 - abs(here.hour - 17)) * (2.2 - place * 0.25)) + (
                0.3 if 8 < here.hour < 22 else 0
            )
            supply = expected * (
                0.55
                if subject == "physics" and here.weekday() in (1, 2) and here.hour in (17, 18, 19)
                else 0.4
                if subject == "algebra" and here.weekday() == 6 and here.hour in (16, 17)
                else 1.15
            )
            common = {
                "subject_id": subject,
                "hour_start_at": at,
                "forecast_origin_date": when.today,
                "model_version": "profile-1",
            }
            view = {
                "expected_sessions": expected,
                "lower_95": expected * 0.6,
                "upper_95": expected * 1.45 + 1,
            }
            forecasts.append(common | view | {"is_champion": True})
            forecasts.append(common | view | {"model_version": "four_week_mean-1", "is_champion": False})
            ratio = supply / expected if expected else None
            short = ratio is not None and ratio < 0.8
            risks.append(
                common
                | {
                    "supply_hours": supply,
                    "demand_hours": expected,
                    "ratio": ratio,
                    "p_shortage": 0.86 if short else 0.1,
                    "p_surplus": 0.1,
                    "expected_unmet_sessions": max(0.0, expected - supply),
                }
            )
    return {"marts.fct_demand_forecasts": forecasts, "marts.fct_supply_demand": risks}


def accuracy(when: Day) -> list[Row]:
    return [
        {
            "subject_id": subject,
            "forecast_origin_date": when.today - timedelta(days=back),
            "model_version": "profile-1",
            "is_champion": True,
            "level": level,
            "wape_rate": 0.11 + place / 50 if level == "day" else 0.27 + place / 40,
            "bias_rate": 0.02,
            "coverage_rate": 0.94 if level == "hour" else None,
            "noise_floor_rate": 0.08 if level == "day" else 0.22,
            "cell_count": 7,
            "actual_sessions": 900.0 - 90 * place,
            "expected_sessions": 880.0,
        }
        for place, subject in enumerate(SUBJECTS)
        for back in (8, 9)
        for level in ("hour", "day")
    ]


def recommendations(when: Day) -> list[Row]:
    lines = (
        (
            "demand_exceeds_supply",
            "subject",
            "physics",
            "Demand exceeds supply",
            "Raise the recruiting budget of the subject by 15 %",
            "Next week 212 tutor-hours are expected to be asked for and 168 are on offer.",
            "Fewer requests go unmet next week",
            1,
            1.26,
            212.0,
            1.0,
        ),
        (
            "tutor_first_sessions_fail",
            "tutor",
            "t-002",
            "First sessions of the tutor often fail",
            "Stop matching new customers with this tutor until they have been coached",
            "5 of 14 rated first sessions were a success.",
            "Fewer customers leave after one session",
            2,
            0.36,
            14.0,
            0.47,
        ),
        (
            "supply_exceeds_demand",
            "subject",
            "spanish",
            "Supply exceeds demand",
            "Lower the recruiting budget of the subject by 20 %",
            "Next week 140 tutor-hours are on offer and 82 are expected to be asked for.",
            "Tutors get more of the hours they offer",
            3,
            1.7,
            82.0,
            0.82,
        ),
    )
    return [
        {
            "recommendation_key": f"{code}:{kind}:{entity}",
            "as_of_date": when.today,
            "rule_code": code,
            "entity_type": kind,
            "entity_id": entity,
            "title": title,
            "action": action,
            "reason": reason,
            "expected_impact": impact,
            "priority": priority,
            "value": value,
            "threshold": 1.2,
            "sample_size": size,
            "confidence_rate": confidence,
        }
        for code, kind, entity, title, action, reason, impact, priority, value, size, confidence in lines
    ]


def quality(when: Day) -> list[Row]:
    return [
        {
            "source": source,
            "kind": kind,
            "as_of_date": when.today - timedelta(days=back),
            "batch_count": 12,
            "read_count": 500,
            "loaded_count": 450,
            "duplicate_count": 46 if kind == "sessions" else 50,
            "quarantined_count": 4 if kind == "sessions" else 0,
            "replayed_count": 0,
            "quarantined_rate": 0.008 if kind == "sessions" else 0.0,
            "is_conserved": True,
            "last_finished_at": (when.now - timedelta(days=back)).replace(tzinfo=None),
        }
        for back in range(8)
        for source, kind in FEEDS
    ]


FEEDS = (
    ("rails.pull", "sessions"),
    ("rails.webhook", "sessions"),
    ("rails.pull", "customers"),
    ("rails.pull", "tutors"),
    ("rails.pull", "inbound_calls"),
)
REFUSED = (
    ("student_rating", "Input should be less than or equal to 5", 21),
    ("updated_at", "has no time zone", 9),
    ("status", "Input should be 'scheduled', 'finished' or 'cancelled'", 2),
)


def quarantine(when: Day) -> list[Row]:
    at = (when.now - timedelta(hours=30)).replace(tzinfo=None)
    return [
        {
            "source": "rails.pull",
            "kind": "sessions",
            "field": field,
            "reason": reason,
            "waiting_count": count,
            "settled_count": 3 if field == "status" else 0,
            "sighting_count": 2 * count,
            "affected_day_count": 1,
            "example_record_id": f"{field}-000",
            "first_seen_at": at,
            "last_seen_at": at + timedelta(hours=20),
        }
        for field, reason, count in REFUSED
    ]


def source_quality(when: Day) -> list[Row]:
    rows = []
    for place, (source, kind) in enumerate(FEEDS):
        for back in range(29):
            dip = 22.0 if (place, back) == (0, 0) else 0.0
            score = round(98.5 - place - (back * 7 + place) % 5 / 3 - dip, 2)
            rows.append(
                {
                    "source": source,
                    "kind": kind,
                    "as_of_date": when.today - timedelta(days=back),
                    "score": score,
                    "usual_score": 97.4 - place if back < 21 else None,
                    "score_change": round(score - 97.4 + place, 2) if back < 21 else None,
                    "validity_rate": 0.992 - dip / 50,
                    "completeness_rate": 0.998 if back < 21 else None,
                    "references_rate": 0.981 if kind != "tutors" else None,
                    "punctuality_rate": 0.996 if source == "rails.pull" else None,
                    "read_count": 500,
                    "quarantined_count": 4,
                    "named_count": 900,
                    "unknown_count": 17,
                    "try_count": 288,
                    "not_scored_reason": None,
                    "is_refusing_much": False,
                }
            )
    return rows


def contract_drift(when: Day) -> list[Row]:
    at = (when.now - timedelta(hours=5)).replace(tzinfo=None)
    lines = (
        ("stars", "new", "number", None, 0.38, 0.0, False),
        ("student_rating", "gone", None, "number", 0.0, 0.61, True),
        ("reschedule_count", "retyped", "text", "number", 0.97, 0.0, True),
    )
    return [
        {
            "source": "rails.pull",
            "kind": "sessions",
            "field": field,
            "change": change,
            "value_type": now,
            "usual_value_type": before,
            "share": share,
            "usual_share": usual,
            "is_understood": is_understood,
            "last_batch_id": "b-1",
            "since_at": at,
            "last_batch_at": at + timedelta(hours=4),
        }
        for field, change, now, before, share, usual, is_understood in lines
    ]


def feed_volume(when: Day) -> list[Row]:
    lines: tuple[tuple[int, float | None, bool | None], ...] = (
        (1240, 1300.0, False),
        (210, 640.0, True),
        (14, 12.0, False),
        (2, None, None),
        (61, 22.0, True),
    )
    return [
        {
            "source": source,
            "kind": kind,
            "as_of_date": when.today,
            "record_count": count,
            "week_count": 8 if usual is not None else 2,
            "usual_count": usual,
            "low_count": usual * 0.6 if usual is not None else None,
            "high_count": usual * 1.4 if usual is not None else None,
            "is_unusual": is_unusual,
        }
        for (source, kind), (count, usual, is_unusual) in zip(FEEDS, lines, strict=True)
    ]


def freshness(when: Day) -> list[Row]:
    ages = ((0.06, 0.06), (0.02, 0.02), (0.7, 3.0), (9.2, 30.0), (0.2, 1.4))
    held = ("rails.pull", "inbound_calls")
    return [
        {
            "source": source,
            "kind": kind,
            "as_of_date": when.today,
            "hours_since_read": read,
            "hours_since_loaded": loaded,
            "hours_since_change": loaded + 0.1,
            "last_as_of_date": when.today,
            "last_changed_at": (when.now - timedelta(hours=loaded)).replace(tzinfo=None),
            "last_read_at": (when.now - timedelta(hours=read)).replace(tzinfo=None),
            "last_loaded_at": (when.now - timedelta(hours=loaded)).replace(tzinfo=None),
            "last_reason": "/api/v1/inbound_calls: answered 403" if (source, kind) == held else None,
            "next_try_at": (when.now + timedelta(hours=20)).replace(tzinfo=None)
            if (source, kind) == held
            else None,
            "cursor_at": None,
            "is_late": (source, kind) == ("rails.pull", "tutors"),
            "is_silent": False,
            "is_held": (source, kind) == held,
            "is_failing": (source, kind) == held,
            "is_unusually_quiet": (source, kind) == ("rails.pull", "customers"),
            "is_clock_off": False,
        }
        for (source, kind), (read, loaded) in zip(FEEDS, ages, strict=True)
    ]
