"""Day by day: who comes, who teaches, how it goes, who calls, who reaches a goal, who leaves.

Only what later days depend on is decided here; clock times and texts follow in `timeline`.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from app.mock_rails.world.days import Days
from app.mock_rails.world.demand import Demand
from app.mock_rails.world.matching import Roster, match, teacher_table
from app.mock_rails.world.people import CHANNELS, NEVER, Customers, Tutors
from app.mock_rails.world.plan import NO_SHOW_CONTEXT, Intervention, Plan
from app.mock_rails.world.recipe import Recipe

RATING_CUTS = np.array([-1.95, -1.45, -0.85, 0.05])
REASONS = ("tutor_no_show", "tutor_quality", "rescheduling", "billing", "technical", "general_question")
CALL_AFTER_BAD_SESSION = 0.20
BASE_CALL_RATE = 0.0035
FADING_WEIGHT = 0.35
FIRST_SESSION_WEIGHT = 25.0
MAX_GOALS = 3


@dataclass
class Happened:
    """What happened: columns of sessions, calls, unmet requests and goals, in the order of days."""

    sessions: dict[str, np.ndarray]
    calls: dict[str, np.ndarray]
    unmet: dict[str, np.ndarray]
    goal_set: np.ndarray  # (customers, MAX_GOALS) day, NEVER if not
    goal_completed: np.ndarray
    gone_day: np.ndarray
    decided_day: np.ndarray
    hazard_at_start: np.ndarray


class Simulation:
    """One run through the days of a world."""

    def __init__(
        self, recipe: Recipe, days: Days, demand: Demand, plan: Plan, tutors: Tutors, customers: Customers
    ) -> None:
        self.days, self.demand, self.plan = days, demand, plan
        self.tutors, self.customers, self.on = tutors, customers, recipe.on
        self.rng = recipe.stream("simulation")
        n = len(customers)
        self.done = np.zeros(n, np.int64)
        self.met = np.zeros(n, np.int64)
        self.bad_first = np.zeros(n)
        self.calls_recent = np.zeros(n)
        self.changes = np.zeros(n)
        self.regular = np.full(n, -1, np.int64)
        self.fading_from = np.full(n, NEVER)
        self.gone_day = np.full(n, NEVER)
        self.treatment = np.ones(n)
        self.treated_until = np.full(n, -1)
        self.goal_no = np.zeros(n, np.int64)
        per_customer = recipe.profile.sessions_per_day * recipe.profile.days / recipe.profile.customers
        # Busier customers meet more trouble per day; the daily base is lowered so that the base stays stable.
        self.base_hazard = plan.base_hazard * min(1.0, 45 / per_customer) ** 0.45
        self.goal_length = max(8.0, 1.1 * per_customer)
        self.goal_target = self._next_goal(n)
        self.goal_open = np.ones(n, bool)
        self.goal_set = np.full((n, MAX_GOALS), NEVER)
        self.goal_set[:, 0] = customers.signup_day
        self.goal_completed = np.full((n, MAX_GOALS), NEVER)
        self.table, self.table_count = teacher_table(tutors.teaches)
        self.kept: dict[str, dict[str, list[np.ndarray]]] = {
            k: defaultdict(list) for k in ("sessions", "calls", "unmet")
        }
        self.late_calls = dict(plan.low_count_anomalies)
        self.hazard_at_start = self._hazard(0)

    def run(self) -> Happened:
        """Live through every day."""
        for day in range(len(self.days)):
            for one in self.plan.interventions:
                if one.day == day:
                    self._intervene(day, one)
            self._one_day(day)
        joined = {
            kind: {name: np.concatenate(parts) for name, parts in columns.items()}
            for kind, columns in self.kept.items()
        }
        return Happened(
            joined["sessions"], joined["calls"], joined["unmet"], self.goal_set, self.goal_completed,
            self.gone_day, self.fading_from, self.hazard_at_start,
        )  # fmt: skip

    def _keep(self, kind: str, **columns: np.ndarray) -> None:
        for name, values in columns.items():
            self.kept[kind][name].append(values)

    def _one_day(self, day: int) -> None:
        customer, subject, hour = self._who_comes(day)
        tutor = match(
            self.rng, roster=self._roster(day), subjects=subject, hours=hour, regular=self.regular[customer]
        )
        nobody = tutor < 0
        self._keep(
            "unmet",
            day=np.full(nobody.sum(), day),
            hour=hour[nobody],
            customer=customer[nobody],
            subject=subject[nobody],
        )
        seen = ~nobody
        bad = self._how_it_goes(day, customer[seen], tutor[seen], subject[seen], hour[seen])
        self._who_calls(day, customer[seen], *bad)
        self._goals(day)
        self._who_leaves(day)

    def _roster(self, day: int) -> Roster:
        t = self.tutors
        accept = np.where(t.decline_day <= day, 0.3, 0.95)
        open_today = t.open_hours[:, self.days.weekday[day]]
        return Roster(self.table, self.table_count, t.teaches, open_today, t.working(day), accept, t.pull)

    def _active(self, day: int) -> np.ndarray:
        return (self.customers.signup_day < day) & (self.gone_day > day)

    def _who_comes(self, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Customers drawn by how keen they are, each at most once a day, as many as the day's demand."""
        rng, people = self.rng, self.customers
        active = np.flatnonzero(self._active(day))
        weight = people.weight[active] * np.where(self.fading_from[active] <= day, FADING_WEIGHT, 1.0)
        weight = weight * np.where(self.met[active] == 0, FIRST_SESSION_WEIGHT, 1.0)
        wants = np.where(
            rng.random(len(active)) < 0.88, people.subject[active], people.second_subject[active]
        )
        order = np.lexsort((rng.exponential(1.0, len(active)) / weight, wants))
        active, wants = active[order], wants[order]
        subjects = self.demand.counts.shape[1]
        start = np.searchsorted(wants, np.arange(subjects))
        rank = np.arange(len(wants)) - start[wants]
        wanted = self.demand.counts[day].sum(axis=1)
        chosen = rank < wanted[wants]
        customer, subject = active[chosen], wants[chosen]
        pool_subject, pool_hour = np.nonzero(self.demand.counts[day])
        times = self.demand.counts[day][pool_subject, pool_hour]
        pool_subject, pool_hour = np.repeat(pool_subject, times), np.repeat(pool_hour, times)
        shuffled = np.lexsort((rng.random(len(pool_subject)), pool_subject))
        pool_hour = pool_hour[shuffled]
        pool_start = np.concatenate([[0], np.cumsum(wanted)])[:-1]
        hour = pool_hour[pool_start[subject] + rank[chosen]]
        mixed = rng.permutation(len(customer))
        return customer[mixed], subject[mixed], hour[mixed]

    def _no_show_chance(
        self,
        tutor: np.ndarray,
        first: np.ndarray,
        hour: np.ndarray,
        moved: np.ndarray,
        lead: np.ndarray,
        day: int,
    ) -> np.ndarray:
        f = {name: self.plan.factor(value) for name, value in NO_SHOW_CONTEXT.items()}
        chance = self.tutors.no_show[tutor] * np.where(first, f["first_session"], 1.0)
        chance = (
            chance * np.where(hour >= 20, f["late_evening"], 1.0) * np.where(moved, f["was_rescheduled"], 1.0)
        )
        chance = chance * f["per_log_lead"] ** (np.log(lead) - 4.0)
        return np.minimum(0.5, chance * np.where(self.tutors.decline_day[tutor] <= day, 2.5, 1.0))

    def _rating_shift(
        self, day: int, tutor: np.ndarray, subject: np.ndarray, hour: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        shift = self.plan.patterns["rating_late_evening"] * (hour >= 20)
        shift = shift + self.plan.patterns["rating_first_chemistry"] * ((subject == 2) & first)
        pilot = self.plan.experiments["tutor_tips_pilot"]
        if pilot.first_day <= day <= pilot.last_day:
            shift = shift + pilot.effect * (pilot.variation[tutor] == 1)
        return shift

    def _how_it_goes(
        self, day: int, customer: np.ndarray, tutor: np.ndarray, subject: np.ndarray, hour: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int]:
        rng, n, t = self.rng, len(customer), self.tutors
        first = self.done[customer] == 0
        declining = t.decline_day[tutor] <= day
        lead = np.clip(rng.lognormal(np.log(60), 0.8, n), 3, 312)
        moved = rng.random(n) < np.minimum(0.5, t.reschedule[tutor] * np.where(declining, 2.0, 1.0))
        social = self.customers.channel[customer] == CHANNELS.index("paid_social")
        cancelled = rng.random(n) < 0.03 * np.where(social, self.plan.patterns["cancel_paid_social"], 1.0)
        no_show = rng.random(n) < self._no_show_chance(tutor, first, hour, moved, lead, day)
        student_away = rng.random(n) < 0.02
        latent = 0.52 * (t.quality[tutor] - 0.9 * declining) + 0.35 * self.customers.leniency[customer]
        latent = latent + rng.normal(0, 0.75, n) + first * rng.normal(0, 1, n) * t.first_session_sd[tutor]
        latent = latent + self._rating_shift(day, tutor, subject, hour, first)
        rating = 1 + np.searchsorted(RATING_CUTS, latent)
        held = ~cancelled & ~no_show & ~student_away
        base = sum(len(part) for part in self.kept["sessions"]["day"])
        self._keep(
            "sessions", day=np.full(n, day), hour=hour, customer=customer, tutor=tutor, subject=subject,
            lead=lead, moved=moved, cancelled=cancelled, no_show=no_show & ~cancelled,
            student_away=student_away & ~cancelled & ~no_show, first=first, latent=latent, rating=rating,
            regular=self.regular[customer] == tutor,
        )  # fmt: skip
        bad = (held & (rating <= 2)) | (no_show & ~cancelled)
        self._remember(customer, tutor, first, held, bad, no_show & ~cancelled)
        return bad, no_show, base

    def _remember(
        self, customer: np.ndarray, tutor: np.ndarray, first: np.ndarray, held: np.ndarray, bad: np.ndarray,
        no_show: np.ndarray,
    ) -> None:  # fmt: skip
        self.met[customer] += 1
        self.done[customer[held]] += 1
        self.bad_first[customer[first & bad]] = 1.0
        before = self.regular[customer]
        switch = self.rng.random(len(customer)) < np.where(no_show, 0.55, np.where(bad, 0.35, 0.0))
        drifts = self.rng.random(len(customer)) < 0.12
        adopts = held & ~bad & ((before < 0) | ((before != tutor) & drifts))
        self.regular[customer[switch]] = -1
        self.regular[customer[adopts]] = tutor[adopts]
        self.changes *= np.exp(-1 / 20)
        self.changes[customer[(switch & (before >= 0)) | (adopts & (before >= 0))]] += 1

    def _who_calls(
        self, day: int, customer: np.ndarray, bad: np.ndarray, no_show: np.ndarray, base: int
    ) -> None:
        rng = self.rng
        caller_effect = 0.6 + 0.4 * np.minimum(self.customers.caller[customer], 3.0)
        upset = np.flatnonzero(bad & (rng.random(len(customer)) < CALL_AFTER_BAD_SESSION * caller_effect))
        active = np.flatnonzero(self._active(day))
        others = active[rng.random(len(active)) < BASE_CALL_RATE * self.customers.caller[active]]
        extra = self.late_calls.get(day, 0)
        sudden = rng.permutation(active)[:extra]
        who = np.concatenate([customer[upset], others, sudden])
        reason = np.concatenate([
            np.where(no_show[upset], 0, 1),
            rng.choice([2, 3, 4, 5], len(others), p=[0.3, 0.25, 0.2, 0.25]),
            np.full(len(sudden), 4),
        ])  # fmt: skip
        cause = np.concatenate([base + upset, np.full(len(others) + len(sudden), -1)])
        self._keep("calls", day=np.full(len(who), day), customer=who, reason=reason, cause=cause)
        self.calls_recent *= np.exp(-1 / 14)
        np.add.at(self.calls_recent, who, 1.0)

    def _goals(self, day: int) -> None:
        reached = np.flatnonzero(self.goal_open & (self.done >= self.goal_target))
        if not len(reached):
            return
        number = self.goal_no[reached]
        self.goal_completed[reached, number] = day
        again = (self.rng.random(len(reached)) < 0.55) & (number < MAX_GOALS - 1)
        self.goal_open[reached] = again
        fresh = reached[again]
        self.goal_no[fresh] += 1
        self.goal_set[fresh, self.goal_no[fresh]] = day + self.rng.integers(0, 10, len(fresh))
        self.goal_target[fresh] = self.done[fresh] + self._next_goal(len(fresh))

    def _next_goal(self, n: int) -> np.ndarray:
        """How many sessions a goal takes."""
        return self.rng.geometric(1 / self.goal_length, n) + 7

    def _hazard(self, day: int) -> np.ndarray:
        b = self.plan.coefficients
        score = b["bad_first_session"] * self.bad_first + b["frailty_sd"] * self.customers.frailty
        score = score + b["recent_support_calls"] * np.minimum(self.calls_recent, 4.0)
        score = score + b["tutor_changes_30d"] * np.minimum(self.changes, 4.0)
        score = score + b["goal_reached_without_a_new_one"] * (~self.goal_open)
        treatment = np.where(self.treated_until >= day, self.treatment, 1.0)
        return np.minimum(0.5, self.base_hazard * np.exp(score) * treatment)

    def _who_leaves(self, day: int) -> None:
        may = self._active(day) & (self.done > 0) & (self.fading_from == NEVER)
        leaves = np.flatnonzero(may & (self.rng.random(len(may)) < self._hazard(day)))
        self.fading_from[leaves] = day
        self.gone_day[leaves] = day + 1 + self.rng.integers(0, 14, len(leaves))

    def _intervene(self, day: int, one: Intervention) -> None:
        """Choose who is treated, and change their hazard so that 60-day churn moves as planned."""
        rng = self.rng
        hazard = self._hazard(day)
        eligible = np.flatnonzero(self._active(day) & (self.done > 0) & (self.fading_from == NEVER))
        if one.design == "targeted_by_risk" and len(eligible):
            risk = hazard[eligible].argsort(kind="stable").argsort(kind="stable") / len(eligible)
            chance = np.where(risk >= 0.7, 0.75, 0.08)
        else:
            chance = np.full(len(eligible), 0.5)
        treated = rng.random(len(eligible)) < chance
        one.treated, one.control = eligible[treated], eligible[~treated]
        if not len(one.treated):
            return
        churn = float(np.mean(1 - np.exp(-one.days * hazard[one.treated])))
        target = min(0.95, max(0.01, churn + one.effect))
        one.expected_churn_untreated = churn
        one.hazard_multiplier = float(np.log1p(-target) / np.log1p(-churn)) if one.effect else 1.0
        self.treatment[one.treated] = one.hazard_multiplier
        self.treated_until[one.treated] = day + one.days - 1
