"""The planted truth of a world, written down. Tests and benches read it; the product never does."""

from typing import Any

import numpy as np

from app.mock_rails.world.days import Days
from app.mock_rails.world.demand import (
    BURST_CHILDREN,
    OUTAGE_HOURS,
    PLATFORM_SHOCK_CV,
    SHORTAGE_HOURS,
    SHORTAGE_WEEKDAY,
    SUBJECT_SHOCK_CV,
    Demand,
)
from app.mock_rails.world.dialogues import INJECTED, LABELLED
from app.mock_rails.world.people import CHANNELS, NEVER, Customers, Tutors
from app.mock_rails.world.plan import DECOY_METRICS, NO_SHOW_CONTEXT, PATTERNS, Plan
from app.mock_rails.world.recipe import Recipe
from app.mock_rails.world.simulate import REASONS, Happened
from app.mock_rails.world.timeline import RATED_SHARE, WRONG_FIRST_FLAG


def _date(days: Days, day: int) -> str | None:
    """The local date of a day position; null where the day never comes."""
    return str(days.dates[day]) if 0 <= day < len(days) else None


def _subjects(recipe: Recipe, days: Days, demand: Demand, plan: Plan) -> list[dict[str, Any]]:
    shift = {"date": _date(days, plan.shift_day), "factor": plan.shift_factor}
    first, last = SHORTAGE_HOURS
    shortage = {
        "weekday": SHORTAGE_WEEKDAY,
        "start_hour": first,
        "end_hour": last,
        "demand_factor": plan.shortage_factor,
    }
    return [
        {
            "subject_id": name,
            "share": round(float(demand.share[i]), 6),
            "mean_per_day": round(float(demand.week_rate[i].sum() / 7), 4),
            "week_rate": np.round(demand.week_rate[i], 5).tolist(),
            "level_shift": shift if plan.on and i == plan.shift_subject else None,
            "shortage": shortage if plan.on and i == plan.shortage_subject else None,
        }
        for i, name in enumerate(recipe.subjects)
    ]


def _tutors(days: Days, tutors: Tutors) -> list[dict[str, Any]]:
    width = 4 if len(tutors) > 999 else 3
    return [
        {
            "tutor_id": f"tut_{i + 1:0{width}d}",
            "kind": str(tutors.kind[i]),
            "part_time": bool(tutors.part_time[i]),
            "true_quality": round(float(tutors.quality[i]), 4),
            "true_no_show_rate": round(float(tutors.no_show[i]), 5),
            "true_late_rate": round(float(tutors.late[i]), 5),
            "true_early_end_rate": round(float(tutors.early_end[i]), 5),
            "true_reschedule_rate": round(float(tutors.reschedule[i]), 5),
            "first_session_sd": round(float(tutors.first_session_sd[i]), 4),
            "hired_on": _date(days, int(tutors.hired_day[i])),
            "decline_date": _date(days, int(tutors.decline_day[i])),
            "left_on": _date(days, int(tutors.left_day[i])),
            "leave": None
            if tutors.leave_first[i] == NEVER
            else {
                "starts_on": _date(days, int(tutors.leave_first[i])),
                "ends_on": _date(days, int(tutors.leave_last[i])),
            },
        }
        for i in range(len(tutors))
    ]


def _customers(days: Days, people: Customers, happened: Happened) -> list[dict[str, Any]]:
    return [
        {
            "customer_id": f"cus_{i + 1:05d}",
            "frailty": round(float(people.frailty[i]), 4),
            "call_propensity": round(float(people.caller[i]), 4),
            "weekly_weight": round(float(people.weight[i]), 4),
            "acquisition_channel": CHANNELS[people.channel[i]],
            "decided_to_leave_on": _date(days, int(happened.decided_day[i])),
            "churned_on": _date(days, int(happened.gone_day[i])),
        }
        for i in range(len(people))
    ]


def _interventions(days: Days, plan: Plan, happened: Happened) -> list[dict[str, Any]]:
    out = []
    for one in plan.interventions:
        left = happened.decided_day < one.day + one.days
        rates = {
            arm: float(left[who].mean()) if len(who) else None
            for arm, who in (("treated", one.treated), ("control", one.control))
        }
        out.append(
            {
                "code": one.code,
                "campaign": one.name,
                "design": one.design,
                "starts_on": _date(days, one.day),
                "days": one.days,
                "true_effect_on_60_day_churn": one.effect,
                "hazard_multiplier": round(one.hazard_multiplier, 6),
                "expected_churn_untreated": round(one.expected_churn_untreated, 6),
                "treated_count": len(one.treated),
                "control_count": len(one.control),
                "realised_leaving_rate": {k: None if v is None else round(v, 5) for k, v in rates.items()},
                "assignments": "campaign_assignments.parquet",
            }
        )
    return out


def _experiments(days: Days, plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "key": one.key,
            "kind": one.kind,
            "unit": one.unit,
            "starts_on": _date(days, one.first_day),
            "ends_on": _date(days, one.last_day),
            "planned_share_of_variation_1": 0.5,
            "true_share_of_variation_1": one.share,
            "metric": one.metric,
            "effect_kind": one.effect_kind,
            "true_effect": one.effect,
            "exposures": "experiment_exposures.parquet",
        }
        for one in plan.experiments.values()
    ]


def _anomalies(recipe: Recipe, days: Days, plan: Plan) -> dict[str, list[dict[str, Any]]]:
    return {
        "counts": [
            {
                "date": _date(days, day),
                "metric": "sessions_scheduled",
                "subject_id": recipe.subjects[subject],
                "factor": factor,
            }
            for day, subject, factor in plan.count_anomalies
        ],
        "rates": [
            {"date": _date(days, day), "metric": "late_rate", "factor": factor}
            for day, factor in plan.rate_anomalies
        ],
        "low_counts": [
            {"date": _date(days, day), "metric": "inbound_calls", "reason_code": REASONS[4], "extra": extra}
            for day, extra in plan.low_count_anomalies
        ],
    }


def _patterns(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    planted = [
        {
            "code": code,
            "metric": metric,
            "segment": segment,
            "effect_kind": kind,
            "true_effect": plan.patterns[code],
        }
        for code, metric, segment, kind, _ in PATTERNS
    ]
    decoys = [
        {"code": f"decoy_{metric}_by_{segment}", "metric": metric, "segment": segment, "true_effect": 0.0}
        for metric, segments in DECOY_METRICS.items()
        for segment in segments
    ]
    return {"planted": planted, "decoys": decoys}


def _outage(days: Days, plan: Plan) -> dict[str, Any] | None:
    if plan.outage_day is None:
        return None
    return {
        "date": _date(days, plan.outage_day),
        "start_hour": OUTAGE_HOURS[0],
        "end_hour": OUTAGE_HOURS[1],
    }


def _shocks(recipe: Recipe) -> dict[str, float]:
    return {
        "platform_cv": PLATFORM_SHOCK_CV,
        "subject_cv": SUBJECT_SHOCK_CV,
        "burst_children": BURST_CHILDREN if recipe.family == "bursty" else 0.0,
    }


def _days(days: Days, demand: Demand) -> list[dict[str, Any]]:
    return [
        {
            "date": str(date),
            "level": np.round(demand.level[i], 5).tolist(),
            "platform_shock": round(float(demand.platform_shock[i]), 5),
            "subject_shock": np.round(demand.subject_shock[i], 5).tolist(),
        }
        for i, date in enumerate(days.dates)
    ]


def build_truth(
    recipe: Recipe,
    days: Days,
    demand: Demand,
    plan: Plan,
    tutors: Tutors,
    people: Customers,
    happened: Happened,
) -> dict[str, Any]:
    """Everything that was planted, by name. In the null twin effects are 0, factors 1, lists empty."""
    return {
        "profile": recipe.profile.name,
        "seed": recipe.seed,
        "family": recipe.family,
        "null_twin": recipe.null_twin,
        "remains_in_null_twin": [
            "calendar",
            "daily shapes",
            "day shocks",
            "customer keenness",
            "caller clustering",
        ],
        "subjects": _subjects(recipe, days, demand, plan),
        "outage": _outage(days, plan),
        "breaks": days.breaks,
        "holidays": days.holidays,
        "day_shocks": _shocks(recipe),
        "days": _days(days, demand),
        "tutors": _tutors(days, tutors),
        "no_show_context": {name: plan.factor(value) for name, value in NO_SHOW_CONTEXT.items()},
        "churn": {"base_daily_hazard": plan.base_hazard, "coefficients": plan.coefficients},
        "customers": _customers(days, people, happened),
        "interventions": _interventions(days, plan, happened),
        "experiments": _experiments(days, plan),
        "anomalies": _anomalies(recipe, days, plan),
        "patterns": _patterns(plan),
        "dialogues": {"file": "dialogues.jsonl", "labelled": LABELLED, "injections": INJECTED},
        "source_oddities": {
            "wrong_first_flag_rate": WRONG_FIRST_FLAG,
            "rated_share": RATED_SHARE,
            "touched_late_share": 0.006,
        },
    }
