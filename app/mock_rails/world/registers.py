"""Tutors and customers as the marketplace stores them: names, goals, hours, and when each changed."""

import numpy as np
import polars as pl

from app.mock_rails.world.days import DAY_US, HOUR_US, MINUTE_US, Days
from app.mock_rails.world.people import CHANNELS, NEVER, ZONES, Customers, Tutors
from app.mock_rails.world.recipe import Recipe
from app.mock_rails.world.simulate import MAX_GOALS, Happened
from app.mock_rails.world.timeline import NULL_US, fake_id, moment, signup_us
from app.mock_rails.world.words import FIRST_NAMES, LAST_NAMES


def _names(rng: np.random.Generator, n: int) -> pl.Series:
    first = pl.Series(FIRST_NAMES).gather(rng.integers(0, len(FIRST_NAMES), n))
    last = pl.Series(LAST_NAMES).gather(rng.integers(0, len(LAST_NAMES), n))
    return first + " " + last


def _emails(names: pl.Series, ids: pl.Series) -> pl.Series:
    return names.str.to_lowercase().str.replace(" ", ".") + "." + ids.str.slice(4) + "@example.com"


def _on_day(days: Days, day: np.ndarray, rng: np.random.Generator, *, known: np.ndarray) -> np.ndarray:
    """A moment in the working hours of a day, which may lie before history; null if not known."""
    safe = np.where(known, day, 0)
    inside = np.clip(safe, 0, len(days) - 1)
    at = rng.integers(9 * 60, 18 * 60, len(day)) * MINUTE_US
    return np.where(known, days.utc_us(inside, at) + (safe - inside) * DAY_US, NULL_US)


def _goals(
    recipe: Recipe, days: Days, people: Customers, happened: Happened, signed_up: np.ndarray
) -> dict[str, pl.Series]:
    rng, columns = recipe.stream("goals"), {}
    for number in range(MAX_GOALS):
        exists = happened.goal_set[:, number] < NEVER
        done = happened.goal_completed[:, number] < NEVER
        if number == 0:
            set_at = signed_up + 10 * MINUTE_US
        else:
            set_at = _on_day(days, happened.goal_set[:, number], rng, known=exists)
            before = happened.goal_completed[:, number - 1]
            after = _on_day(days, before, rng, known=before < NEVER) + 12 * HOUR_US
            set_at = np.where(exists, np.maximum(set_at, after), NULL_US)
        completed_at = _on_day(days, happened.goal_completed[:, number], rng, known=done)
        completed_at = np.where(done, np.maximum(completed_at, set_at) + 4 * HOUR_US, NULL_US)
        subject = people.subject if number % 2 == 0 else people.second_subject
        columns[f"goal_{number + 1}_set_at"] = moment(set_at)
        columns[f"goal_{number + 1}_completed_at"] = moment(completed_at)
        columns[f"goal_{number + 1}_subject"] = pl.Series(recipe.subjects).gather(subject)
    return columns


def build_customers_frame(recipe: Recipe, days: Days, people: Customers, happened: Happened) -> pl.DataFrame:
    """All customers, sorted by customer_id: fixed fields, and every moment at which their record changes."""
    rng, n = recipe.stream("customer register"), len(people)
    ids = fake_id("cus_", np.arange(1, n + 1), 5)
    names = _names(rng, n)
    signed_up = signup_us(recipe, days, people)
    gone = happened.gone_day < NEVER
    closes = gone & (rng.random(n) < 0.55)
    closed = _on_day(days, happened.gone_day + rng.integers(3, 40, n), rng, known=closes)
    edited = np.where(rng.random(n) < 0.3, signed_up + rng.integers(1, 300, n) * DAY_US, NULL_US)
    area, line = rng.integers(200, 990, n), rng.integers(0, 10_000, n)
    return pl.DataFrame(
        {
            "customer_id": ids,
            "name": names,
            "email": _emails(names, ids),
            "phone": [f"+1-{a}-555-{b:04d}" for a, b in zip(area, line, strict=True)],
            "signed_up_at": moment(signed_up),
            "acquisition_channel": pl.Series(CHANNELS).gather(people.channel),
            "time_zone": pl.Series(ZONES).gather(people.zone),
            "deactivated_at": moment(closed),
            "profile_edited_at": moment(edited),
            **_goals(recipe, days, people, happened, signed_up),
        }
    )


def _weekly(blocks: list[tuple[int, int, int]]) -> list[dict[str, int | str]]:
    return [{"weekday": d, "start": f"{a:02d}:00", "end": f"{b:02d}:00"} for d, a, b in blocks]


def build_tutors_frame(recipe: Recipe, days: Days, tutors: Tutors) -> pl.DataFrame:
    """All tutors, sorted by tutor_id; availability is in the tutor's own zone."""
    rng, n = recipe.stream("tutor register"), len(tutors)
    ids = fake_id("tut_", np.arange(1, n + 1), 4 if n > 999 else 3)
    names = _names(rng, n)
    resting = tutors.leave_first < NEVER
    first = np.array(days.midnight_us)[np.clip(tutors.leave_first, 0, len(days) - 1)]
    length = np.where(resting, tutors.leave_last - tutors.leave_first, 0)
    left = tutors.left_day < NEVER
    hired = _on_day(days, tutors.hired_day, rng, known=np.ones(n, bool)) - 14 * DAY_US
    told = np.maximum(_on_day(days, tutors.leave_told, rng, known=resting), hired + HOUR_US)
    told = np.where(resting, told, NULL_US)
    edited = np.where(rng.random(n) < 0.6, hired + rng.integers(20, 500, n) * DAY_US, NULL_US)
    return pl.DataFrame(
        {
            "tutor_id": ids,
            "name": names,
            "email": _emails(names, ids),
            "hired_at": moment(hired),
            "time_zone": pl.Series(ZONES).gather(tutors.zone),
            "subjects": [[recipe.subjects[i] for i in np.flatnonzero(row)] for row in tutors.teaches],
            "availability": [_weekly(blocks) for blocks in tutors.availability],
            "leave_told_at": moment(told),
            "leave_starts_on": moment(np.where(resting, first, NULL_US)).dt.date(),
            "leave_ends_on": moment(np.where(resting, first + length * DAY_US, NULL_US)).dt.date(),
            "deactivated_at": moment(_on_day(days, tutors.left_day, rng, known=left)),
            "profile_edited_at": moment(edited),
        }
    )
