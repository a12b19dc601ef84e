"""Who exists: tutors and customers with their true traits. What happens to them is `simulate`."""

from dataclasses import dataclass

import numpy as np

from app.mock_rails.world.days import Days
from app.mock_rails.world.demand import SHORTAGE_HOURS, SHORTAGE_WEEKDAY, Demand
from app.mock_rails.world.plan import Plan
from app.mock_rails.world.recipe import Recipe

NEVER = 10**6
ZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
ZONE_HOURS_BEHIND = (0, 1, 2, 3)
CHANNELS = ("organic_search", "referral", "paid_search", "paid_social", "school_partner", "podcast")


@dataclass
class Tutors:
    """One position per tutor; days are positions in `Days`, hours are New York clock hours."""

    teaches: np.ndarray  # (tutors, subjects)
    open_hours: np.ndarray  # (tutors, 7, 24)
    availability: list[list[tuple[int, int, int]]]  # weekday, start hour, end hour, in the tutor's zone
    zone: np.ndarray
    kind: np.ndarray  # star, good, struggling
    part_time: np.ndarray
    quality: np.ndarray
    no_show: np.ndarray
    late: np.ndarray
    early_end: np.ndarray
    reschedule: np.ndarray
    first_session_sd: np.ndarray
    pull: np.ndarray
    hired_day: np.ndarray
    decline_day: np.ndarray
    left_day: np.ndarray
    leave_first: np.ndarray
    leave_last: np.ndarray
    leave_told: np.ndarray

    def __len__(self) -> int:
        return len(self.quality)

    def working(self, day: int) -> np.ndarray:
        """Who takes sessions on a day: hired, not gone, not on leave."""
        on_leave = (self.leave_first <= day) & (day <= self.leave_last)
        return (self.hired_day <= day) & (day < self.left_day) & ~on_leave


@dataclass
class Customers:
    """One position per customer: fixed traits. The changing state lives in the simulation."""

    subject: np.ndarray
    second_subject: np.ndarray
    weight: np.ndarray
    frailty: np.ndarray
    caller: np.ndarray
    leniency: np.ndarray
    channel: np.ndarray
    zone: np.ndarray
    signup_day: np.ndarray

    def __len__(self) -> int:
        return len(self.subject)


def _blocks(rng: np.random.Generator, part_time: bool, behind: int) -> list[tuple[int, int, int]]:
    weekdays = [0, 2, 4] if part_time else sorted(rng.permutation(7)[: int(rng.integers(5, 7))].tolist())
    start, length = int(rng.integers(13, 17)), int(rng.integers(5, 8))
    blocks = []
    for day in weekdays:
        a, b = (
            (start, start + length)
            if day < 5
            else (9 + int(rng.integers(0, 4)), 17 + int(rng.integers(0, 3)))
        )
        blocks.append((day, max(6, a - behind), min(22, b) - behind))
        if day < 5 and rng.random() < 0.22:
            blocks.append((day, 8, 8 + min(4, max(2, a - behind - 8))))
    return sorted(blocks)


def _availability(
    recipe: Recipe, plan: Plan, teaches: np.ndarray, zone: np.ndarray, part: np.ndarray
) -> tuple[list[list[tuple[int, int, int]]], np.ndarray]:
    rng = recipe.stream("availability")
    first, last = SHORTAGE_HOURS
    blocks_of, open_hours = [], np.zeros((len(zone), 7, 24), dtype=bool)
    for tutor in range(len(zone)):
        behind = ZONE_HOURS_BEHIND[zone[tutor]]
        blocks = _blocks(rng, bool(part[tutor]), behind)
        short = teaches[tutor, plan.shortage_subject] and rng.random() < 0.7 and plan.on
        if short:  # few of them work on the evening when their subject is most wanted
            blocks = [
                b
                for b in blocks
                if b[0] != SHORTAGE_WEEKDAY or b[2] + behind <= first or b[1] + behind >= last
            ]
        for weekday, start, end in blocks:
            open_hours[tutor, weekday, start + behind : min(end + behind, 24)] = True
        blocks_of.append(blocks)
    return blocks_of, open_hours


def _teaches(rng: np.random.Generator, demand: Demand, tutors: int) -> np.ndarray:
    subjects = len(demand.share)
    main = np.concatenate(
        [np.arange(min(subjects, tutors)), rng.choice(subjects, max(0, tutors - subjects), p=demand.share)]
    )
    out = np.zeros((tutors, subjects), dtype=bool)
    out[np.arange(tutors), main] = True
    for extra in (0.75, 0.4):
        also = rng.choice(subjects, tutors, p=demand.share)
        has = rng.random(tutors) < extra
        out[np.flatnonzero(has), also[has]] = True
    return out[rng.permutation(tutors)]


def _lives(recipe: Recipe, days: Days, n: int) -> dict[str, np.ndarray]:
    """When tutors join, decline, leave and rest."""
    rng = recipe.stream("tutor lives")
    history = days.history
    hired = np.where(
        rng.random(n) < 0.78, rng.integers(-400, -15, n), rng.integers(5, max(6, history - 10), n)
    )
    decline = np.full(n, NEVER)
    left = np.full(n, NEVER)
    if recipe.on:
        chosen = rng.permutation(np.flatnonzero(hired < history * 0.4))[: max(2, round(n * 0.12))]
        decline[chosen] = rng.integers(int(history * 0.55), history - 6, len(chosen))
        recent = chosen[1::2][:2]  # two of them just now, so that there is something to find today
        decline[recent] = history - np.array([8, 12])[: len(recent)]
        goers = chosen[::2]
        left[goers] = decline[goers] + rng.integers(25, 60, len(goers))
    first = np.full(n, NEVER)
    last = np.full(n, -NEVER)
    resting = np.flatnonzero(rng.random(n) < 0.45)
    first[resting] = rng.integers(10, len(days) - 8, len(resting))
    last[resting] = first[resting] + rng.integers(4, 13, len(resting))
    told = first - rng.integers(10, 40, n)
    return {"hired_day": hired, "decline_day": decline, "left_day": left,
            "leave_first": first, "leave_last": last, "leave_told": told}  # fmt: skip


def build_tutors(recipe: Recipe, days: Days, demand: Demand, plan: Plan) -> Tutors:
    """The tutors: stars, good and struggling ones, part-timers, joiners and leavers."""
    rng, n = recipe.stream("tutors"), recipe.profile.tutors
    kind_share = rng.permutation(n) / n
    kind = np.where(kind_share < 0.15, "struggling", np.where(kind_share < 0.32, "star", "good"))
    struggling, star = kind == "struggling", kind == "star"
    teaches = _teaches(rng, demand, n)
    zone = rng.choice(4, n, p=[0.72, 0.18, 0.06, 0.04])
    part = rng.random(n) < 0.20
    availability, open_hours = _availability(recipe, plan, teaches, zone, part)
    on = recipe.on
    spread = 1 + on * (np.where(struggling, 2.4, np.where(star, 0.5, 1.0)) - 1)
    own = 1 + on * (rng.gamma(6, 1 / 6, (4, n)) - 1)
    return Tutors(
        teaches=teaches,
        open_hours=open_hours,
        availability=availability,
        zone=zone,
        kind=kind,
        part_time=part,
        quality=on * (rng.normal(0, 0.5, n) + np.where(struggling, -1.4, np.where(star, 0.9, 0.1))),
        no_show=np.clip(0.012 * spread * own[0], 0.002, 0.10),
        late=np.clip(0.10 * spread * own[1], 0.02, 0.6),
        early_end=np.clip(0.05 * spread * own[2], 0.01, 0.4),
        reschedule=np.clip(0.06 * spread * own[3], 0.01, 0.4),
        first_session_sd=0.3 + on * np.where(struggling, 0.5, rng.uniform(0, 0.3, n)),
        pull=rng.gamma(5, 0.2, n),
        **_lives(recipe, days, n),
    )


def build_customers(recipe: Recipe, days: Days, demand: Demand) -> Customers:
    """The customers: half of them there when history begins, the others signing up along the way."""
    rng, n = recipe.stream("customers"), recipe.profile.customers
    subjects = len(demand.share)
    founding = rng.random(n) < (0.75 if recipe.profile.days < 60 else 0.48)
    season = days.calendar_factor * np.where([d.month in (8, 9, 1) for d in days.dates], 1.6, 1.0)
    season = season[: days.history + 1] / season[: days.history + 1].sum()
    joined = rng.choice(days.history + 1, n, p=season)
    signup = np.where(founding, rng.integers(-14, 0, n), joined)
    order = np.argsort(signup, kind="stable")  # ids grow with time, as a sequence in a database does
    floor = 0.25 * demand.share.max()
    weight = np.maximum(demand.share, floor * 0.3)
    return Customers(
        subject=rng.choice(subjects, n, p=weight / weight.sum()),
        second_subject=rng.choice(subjects, n, p=weight / weight.sum()),
        weight=rng.gamma(3.0, 1 / 3.0, n) + 0.15,
        frailty=rng.normal(0, 1, n),
        caller=rng.gamma(0.25, 4.0, n),
        leniency=rng.normal(0, 1, n),
        channel=rng.choice(len(CHANNELS), n, p=[0.28, 0.22, 0.18, 0.16, 0.11, 0.05]),
        zone=rng.choice(4, n, p=[0.6, 0.22, 0.06, 0.12]),
        signup_day=signup[order],
    )
