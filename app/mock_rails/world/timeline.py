"""From what happened to when it was recorded: the moments in the life of every session."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from app.mock_rails.world.days import DAY_US, HOUR_US, MINUTE_US, Days
from app.mock_rails.world.people import Customers, Tutors
from app.mock_rails.world.plan import Plan
from app.mock_rails.world.recipe import Recipe
from app.mock_rails.world.simulate import Happened
from app.mock_rails.world.words import STUDENT_COMMENTS, SUMMARIES, TUTOR_COMMENTS

NULL_US = np.iinfo(np.int64).min
SECOND_US = 1_000_000
RATED_SHARE = 0.65
WRONG_FIRST_FLAG = 0.02

Columns = dict[str, np.ndarray]


def _where(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Microseconds where the condition holds, null elsewhere."""
    return np.where(condition, values.astype(np.int64), NULL_US)


def signup_us(recipe: Recipe, days: Days, customers: Customers) -> np.ndarray:
    """When each customer signed up: during their local signup day, before nine in the evening."""
    rng = recipe.stream("signup times")
    at = rng.integers(9 * 3600, 21 * 3600, len(customers)) * SECOND_US
    inside = np.maximum(customers.signup_day, 0)
    return days.utc_us(inside, at) + (customers.signup_day - inside) * DAY_US


def movers(draw: np.ndarray) -> np.ndarray:
    """Who moves a session, by a draw from 0 to 1: nearly always the tutor."""
    return np.where(draw < 0.982, "tutor", np.where(draw < 0.996, "student", "system"))


def _exposed(plan: Plan, key: str, day: np.ndarray, unit: np.ndarray) -> np.ndarray:
    one = plan.experiments[key]
    return (day >= one.first_day) & (day <= one.last_day) & (one.variation[unit] == 1)


def _starts(rng: np.random.Generator, days: Days, s: Columns, signed_up: np.ndarray, out: Columns) -> None:
    """Start, end, booking, and the move from an earlier time where a session was rescheduled."""
    n = len(s["day"])
    minute = np.array([0, 15, 30])[
        (np.abs(s["tutor"] * 7919 + s["day"] * 104729) % 10 >= [[7], [8]]).sum(axis=0)
    ]
    length = rng.choice([30, 45, 60], n, p=[0.08, 0.12, 0.80]) * MINUTE_US
    start = days.utc_us(s["day"], s["hour"] * HOUR_US + minute * MINUTE_US)
    earlier = np.where(s["moved"], rng.integers(1, 4, n) * DAY_US, 0)
    original = start - earlier
    joined = signed_up[s["customer"]] + rng.integers(5, 60, n) * MINUTE_US
    booked = np.maximum(original - (s["lead"] * HOUR_US).astype(np.int64), joined)
    # Whoever signed up after the original time cannot have moved a booking.
    moved = s["moved"] & (booked < original - HOUR_US)
    original = np.where(moved, original, start)
    booked = np.minimum(booked, original - 30 * MINUTE_US)
    room = original - booked
    out["moved"] = moved
    out["start_at"], out["end_at"] = start, start + length
    out["original_start_at"], out["original_end_at"] = original, original + length
    out["booked_at"] = booked
    out["rescheduled_at"] = _where(moved, booked + room * rng.uniform(0.2, 0.95, n))
    cancel_room = start - np.where(moved, out["rescheduled_at"], booked)
    out["cancelled_at"] = _where(s["cancelled"], start - cancel_room * rng.uniform(0.02, 0.8, n))
    out["reschedule_count"] = np.where(moved, 1 + (rng.random(n) < 0.12), 0)
    out["rescheduled_by"] = np.where(~moved, "", movers(rng.random(n)))


def _late_chance(days: Days, plan: Plan, tutors: Tutors, s: Columns) -> np.ndarray:
    chance = tutors.late[s["tutor"]] * plan.late_day_factor(len(days))[s["day"]]
    morning = (days.weekday[s["day"]] >= 5) & (s["hour"] < 12)
    chance = chance * np.where(morning, plan.patterns["late_weekend_morning"], 1.0)
    nudged = _exposed(plan, "punctuality_nudge", s["day"], s["customer"])
    chance = chance * np.where(nudged, plan.experiments["punctuality_nudge"].effect, 1.0)
    return np.minimum(0.9, chance * np.where(tutors.decline_day[s["tutor"]] <= s["day"], 2.0, 1.0))


def _early_chance(plan: Plan, tutors: Tutors, s: Columns) -> np.ndarray:
    tenure = s["day"] - tutors.hired_day[s["tutor"]]
    fresh = np.where(tenure < 60, plan.patterns["early_end_new_tutor"], 1.0)
    return np.minimum(0.9, tutors.early_end[s["tutor"]] * fresh)


def _attendance(
    rng: np.random.Generator, days: Days, plan: Plan, tutors: Tutors, s: Columns, out: Columns
) -> None:
    """Who joined and left when; a missing person has no join, whoever waited leaves after a while."""
    n = len(s["day"])
    late = rng.random(n) < _late_chance(days, plan, tutors, s)
    early = rng.random(n) < _early_chance(plan, tutors, s)
    arrives = np.where(late, 5.2 + rng.exponential(6.5, n), rng.triangular(-5, -0.5, 4.5, n))
    cuts = np.where(early, 10.2 + rng.exponential(5.0, n), rng.triangular(-5, -0.5, 4, n))
    length = (out["end_at"] - out["start_at"]) / MINUTE_US
    arrives, cuts = np.minimum(arrives, length * 0.6), np.minimum(cuts, length * 0.35)
    tutor_there = ~s["cancelled"] & ~s["no_show"]
    student_there = ~s["cancelled"] & ~s["student_away"]
    waits = rng.uniform(12, 22, n)
    tutor_leaves = np.where(
        s["student_away"], out["start_at"] + (arrives + waits) * MINUTE_US, out["end_at"] - cuts * MINUTE_US
    )
    student_arrives = out["start_at"] + rng.triangular(-4, 0, 7, n) * MINUTE_US
    student_leaves = np.where(
        s["no_show"],
        out["start_at"] + (7 + waits) * MINUTE_US,
        tutor_leaves + rng.uniform(-0.5, 1, n) * MINUTE_US,
    )
    out["tutor_join_at"] = _where(tutor_there, out["start_at"] + arrives * MINUTE_US)
    out["tutor_leave_at"] = _where(tutor_there, tutor_leaves)
    out["student_join_at"] = _where(student_there, student_arrives)
    out["student_leave_at"] = _where(student_there, student_leaves)
    last = np.maximum(out["end_at"], np.maximum(out["tutor_leave_at"], out["student_leave_at"]))
    out["finished_at"] = _where(~s["cancelled"], last + rng.integers(10, 180, n) * SECOND_US)
    out["held"] = tutor_there & student_there


def _feedback(
    rng: np.random.Generator, recipe: Recipe, plan: Plan, happened: Happened, s: Columns, out: Columns
) -> None:
    """Ratings arrive minutes to three days after; follow-ups and recordings in their own time."""
    n, held, done = len(s["day"]), out["held"], out["finished_at"]

    def later(share: float, low_hours: float, median_hours: float, cap_hours: float) -> np.ndarray:
        wait = np.clip(rng.lognormal(np.log(median_hours), 1.3, n), low_hours, cap_hours)
        return _where(held & (rng.random(n) < share), done + wait * HOUR_US)

    out["student_feedback_at"] = later(RATED_SHARE, 0.05, 3.0, 72.0)
    out["tutor_feedback_at"] = later(0.75, 0.05, 1.5, 48.0)
    out["tutor_rating"] = np.clip(np.round(4.2 + 0.25 * s["latent"] + rng.normal(0, 0.7, n)), 2, 5).astype(
        np.int64
    )
    odds = np.exp(0.1 + 0.8 * s["latent"]) if recipe.on else np.full(n, 1.1)
    called = _exposed(plan, "welcome_call", s["day"], s["customer"])
    odds = odds * np.where(called, plan.experiments["welcome_call"].effect, 1.0)
    odds = odds * np.where(happened.decided_day[s["customer"]] <= s["day"], 0.3, 1.0)
    wants = rng.random(n) < odds / (1 + odds)
    out["followup_at"] = np.where(wants, later(1.0, 0.01, 0.7, 60.0), NULL_US)
    out["recorded"] = held & (rng.random(n) < 0.55)
    out["transcribed"] = out["recorded"] & (rng.random(n) < 0.25)
    out["summary_at"] = _where(out["transcribed"], done + rng.uniform(4, 50, n) * MINUTE_US)
    touched = rng.random(n) < 0.006
    out["touched_at"] = _where(touched & ~s["cancelled"], done + rng.uniform(4, 20, n) * DAY_US)


def _first_flags(rng: np.random.Generator, s: Columns) -> np.ndarray:
    """The source's own flag: wrong for about 2 % of true first sessions, and set on as many others."""
    first = s["first"]
    flag = first & ~(rng.random(len(first)) < WRONG_FIRST_FLAG)
    others = WRONG_FIRST_FLAG * first.mean() / (1 - first.mean())
    return flag | (~first & (rng.random(len(first)) < others))


def _texts(rng: np.random.Generator, recipe: Recipe, s: Columns, out: Columns) -> dict[str, pl.Series]:
    n = len(s["day"])

    def pick(choices: Mapping[int, tuple[str, ...]], rating: np.ndarray, share: float) -> pl.Series:
        flat = [text for key in sorted(choices) for text in choices[key]]
        starts = np.concatenate([[0], np.cumsum([len(choices[key]) for key in sorted(choices)])])
        level = rating - min(choices)
        at = starts[level] + (rng.random(n) * (starts[level + 1] - starts[level])).astype(np.int64)
        chosen = pl.Series(flat).gather(at)
        return pl.select(pl.when(pl.Series(rng.random(n) < share)).then(chosen)).to_series()

    grade = np.where(s["rating"] >= 5, 0, np.where(s["rating"] >= 3, 1, 2))
    lines = pl.Series([text.format(subject=name) for text in SUMMARIES.values() for name in recipe.subjects])
    summary = lines.gather(grade * len(recipe.subjects) + s["subject"])
    return {
        "student_comment": pick(STUDENT_COMMENTS, s["rating"], 0.4),
        "tutor_comment": pick(TUTOR_COMMENTS, out["tutor_rating"], 0.3),
        "ai_summary": pl.select(pl.when(pl.Series(out["transcribed"])).then(summary)).to_series(),
    }


def moment(values: np.ndarray) -> pl.Series:
    """Microseconds as UTC timestamps, whole milliseconds, null where there is none."""
    whole = np.where(values == NULL_US, NULL_US, values // 1000 * 1000)
    return pl.Series(whole.view("datetime64[us]")).dt.replace_time_zone("UTC")


def fake_id(prefix: str, number: np.ndarray, width: int) -> pl.Series:
    """Ids of equal length, so that their order as text is their order as numbers."""
    return pl.select(pl.lit(prefix) + pl.Series(number).cast(pl.String).str.zfill(width)).to_series()


def _session_frame(
    recipe: Recipe, s: Columns, out: Columns, texts: dict[str, pl.Series], second: np.ndarray
) -> pl.DataFrame:
    moments = [name for name in out if name.endswith("_at")]
    subjects = pl.Series(recipe.subjects)
    names = subjects.gather(s["subject"])
    also = pl.select(pl.when(pl.Series(second >= 0)).then(subjects.gather(np.maximum(second, 0)))).to_series()
    covered = pl.select(
        pl.concat_list(names, also).list.drop_nulls().list.unique(maintain_order=True)
    ).to_series()
    return pl.DataFrame(
        {
            "tutor_id": fake_id("tut_", s["tutor"] + 1, 4 if recipe.profile.tutors > 999 else 3),
            "student_id": fake_id("cus_", s["customer"] + 1, 5),
            "subjects_covered": covered,
            **{name: moment(out[name]) for name in moments},
            "reschedule_count": out["reschedule_count"],
            "rescheduled_by": pl.Series(out["rescheduled_by"]).replace({"": None}),
            "is_first_session": out["is_first_session"],
            "student_rating": s["rating"],
            "tutor_rating": out["tutor_rating"],
            "is_recorded": out["recorded"],
            "is_transcribed": out["transcribed"],
            **texts,
        }
    )


def build_sessions(
    recipe: Recipe, days: Days, plan: Plan, tutors: Tutors, customers: Customers, happened: Happened
) -> tuple[pl.DataFrame, np.ndarray]:
    """All sessions with every moment of their life, sorted by session_id; and how `happened` was sorted.

    A null moment never comes; ratings and texts become visible with their moment. Ids follow the booking.
    """
    rng, s = recipe.stream("timeline"), happened.sessions
    out: Columns = {}
    _starts(rng, days, s, signup_us(recipe, days, customers), out)
    _attendance(rng, days, plan, tutors, s, out)
    _feedback(rng, recipe, plan, happened, s, out)
    out["is_first_session"] = _first_flags(rng, s)
    texts = _texts(rng, recipe, s, out)
    second = np.where(rng.random(len(s["day"])) < 0.04, customers.second_subject[s["customer"]], -1)
    order = np.argsort(out["booked_at"], kind="stable")
    frame = _session_frame(recipe, s, out, texts, second)[order]
    ids = fake_id("ses_", np.arange(1, len(order) + 1), 7 if len(order) > 999_999 else 6)
    return frame.insert_column(0, ids.alias("session_id")), order
