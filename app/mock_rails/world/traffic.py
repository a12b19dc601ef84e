"""What surrounds the sessions: calls, engagement events, campaign assignments, exposures."""

import numpy as np
import polars as pl

from app.mock_rails.world.days import DAY_US, HOUR_US, MINUTE_US, Days
from app.mock_rails.world.plan import Plan
from app.mock_rails.world.recipe import Recipe
from app.mock_rails.world.simulate import REASONS, Happened
from app.mock_rails.world.timeline import NULL_US, fake_id, moment

SECOND_US = 1_000_000
# event type, who, anchored at, chance per session, earliest and latest minutes from the anchor
EVENT_KINDS = (
    ("login", "tutor", "start_at", 0.60, -15, -1),
    ("login", "customer", "start_at", 0.40, -12, -1),
    ("message_sent", "tutor", "start_at", 0.14, -600, -20),
    ("message_sent", "customer", "start_at", 0.12, -600, -20),
    ("profile_viewed", "customer", "booked_at", 0.10, -25, -6),
    ("search", "customer", "booked_at", 0.15, -40, -7),
    ("resource_opened", "customer", "end_at", 0.15, 5, 900),
)


def _us(frame: pl.DataFrame, column: str) -> np.ndarray:
    return frame[column].cast(pl.Int64).fill_null(NULL_US).to_numpy()


def build_calls(
    recipe: Recipe, days: Days, happened: Happened, sessions: pl.DataFrame, order: np.ndarray
) -> pl.DataFrame:
    """Inbound calls, sorted by call_id; a few are classified only a day or two later."""
    rng, calls = recipe.stream("call times"), happened.calls
    n = len(calls["day"])
    ended = np.empty(len(order), dtype=np.int64)
    ended[order] = _us(sessions, "end_at")
    anyhow = days.utc_us(calls["day"], rng.integers(9 * 60, 20 * 60, n) * MINUTE_US)
    after = ended[calls["cause"]] + rng.uniform(0.3, 30, n) * HOUR_US
    called = np.where(calls["cause"] >= 0, after.astype(np.int64), anyhow)
    slow = rng.random(n) < 0.05
    wait = np.where(slow, rng.integers(20 * 60, 50 * 60, n) * MINUTE_US, rng.integers(1, 6, n) * MINUTE_US)
    rank = np.argsort(called, kind="stable")
    frame = pl.DataFrame(
        {
            "customer_id": fake_id("cus_", calls["customer"] + 1, 5),
            "called_at": moment(called),
            "logged_at": moment(called + 45 * SECOND_US),
            "classified_at": moment(called + wait),
            "reason_code": pl.Series(REASONS).gather(calls["reason"]),
        }
    )[rank]
    return frame.insert_column(0, fake_id("call_", np.arange(1, n + 1), 6).alias("call_id"))


def build_events(recipe: Recipe, days: Days, happened: Happened, sessions: pl.DataFrame) -> pl.DataFrame:
    """Engagement events, sorted by event_id: around sessions, and searches that found no tutor."""
    rng = recipe.stream("events")
    kept = sessions.filter(pl.col("cancelled_at").is_null())
    parts = []
    for kind, who, anchor, chance, low, high in EVENT_KINDS:
        some = np.flatnonzero(rng.random(kept.height) < chance)
        base = kept[some].select(
            "session_id", actor_id="tutor_id" if who == "tutor" else "student_id", at=anchor
        )
        shift = pl.Series(rng.integers(low * 60, high * 60, len(some)) * 1_000_000).cast(pl.Duration("us"))
        session = pl.lit(None, pl.String) if kind in ("search", "login") else pl.col("session_id")
        parts.append(
            base.select(
                pl.lit(who).alias("actor_type"),
                "actor_id",
                pl.lit(kind).alias("event_type"),
                (pl.col("at") + shift).alias("occurred_at"),
                session.alias("session_id"),
            )
        )
    unmet = happened.unmet
    searched = (
        days.utc_us(unmet["day"], unmet["hour"] * HOUR_US) - rng.integers(4, 200, len(unmet["day"])) * HOUR_US
    )
    parts.append(
        pl.DataFrame(
            {
                "actor_type": ["customer"] * len(searched),
                "actor_id": fake_id("cus_", unmet["customer"] + 1, 5),
                "event_type": ["search"] * len(searched),
                "occurred_at": moment(searched),
                "session_id": pl.Series([None] * len(searched), dtype=pl.String),
            }
        )
    )
    events = pl.concat(parts).sort("occurred_at", maintain_order=True)
    ids = fake_id("evt_", np.arange(1, events.height + 1), 7)
    delay = pl.Series(rng.integers(1, 30, events.height) * 1_000_000).cast(pl.Duration("us"))
    return events.insert_column(0, ids.alias("event_id")).with_columns(
        recorded_at=pl.col("occurred_at") + delay
    )


def build_campaigns(recipe: Recipe, days: Days, plan: Plan) -> pl.DataFrame:
    """Who was given which intervention, and who was held out. What it truly does is in the truth only."""
    rng = recipe.stream("campaigns")
    parts = []
    for one in plan.interventions:
        who = np.concatenate([one.treated, one.control])
        at = days.utc_us(np.full(len(who), one.day), rng.integers(8 * 60, 10 * 60, len(who)) * MINUTE_US)
        parts.append(
            pl.DataFrame(
                {
                    "campaign": [one.name] * len(who),
                    "customer_id": fake_id("cus_", who + 1, 5),
                    "arm": ["treated"] * len(one.treated) + ["control"] * len(one.control),
                    "design": [one.design] * len(who),
                    "assigned_at": moment(at),
                }
            )
        )
    return pl.concat(parts).sort("campaign", "customer_id")


def build_exposures(
    plan: Plan, days: Days, happened: Happened, sessions: pl.DataFrame, order: np.ndarray
) -> pl.DataFrame:
    """First exposure of every unit to every experiment: its first session inside the window."""
    booked = np.empty(len(order), dtype=np.int64)
    booked[order] = _us(sessions, "start_at")
    s, parts = happened.sessions, []
    for one in plan.experiments.values():
        unit = s["customer"] if one.unit == "customer" else s["tutor"]
        inside = (s["day"] >= one.first_day) & (s["day"] <= one.last_day) & (one.variation[unit] >= 0)
        seen = (
            pl.DataFrame({"unit": unit[inside], "at": booked[inside]})
            .group_by("unit")
            .agg(pl.col("at").min())
            .sort("unit")
        )
        who = seen["unit"].to_numpy()
        width = 5 if one.unit == "customer" else (4 if len(one.variation) > 999 else 3)
        parts.append(
            pl.DataFrame(
                {
                    "experiment_key": [one.key] * len(who),
                    "unit_type": [one.unit] * len(who),
                    "unit_id": fake_id("cus_" if one.unit == "customer" else "tut_", who + 1, width),
                    "variation": one.variation[who],
                    "exposed_at": moment(seen["at"].to_numpy() - DAY_US // 288),
                }
            )
        )
    return pl.concat(parts)
