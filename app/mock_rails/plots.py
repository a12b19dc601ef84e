"""A few pictures of a world with one sentence each, for the page that shows what the mock data looks like.

Reads only what the marketplace would show (never the planted truth); every sentence carries its number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from app.mock_rails.state import state_at
from app.mock_rails.world.build import World, load_world

INK, ACCENT, SOFT = "#2b4c5c", "#d9822b", "#9fb8c3"
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MIN_RATED = 20


@dataclass(frozen=True)
class Figure:
    """One picture: its file, its title, what it shows in words, and whether the claim in them holds."""

    name: str
    title: str
    sentence: str
    holds: bool
    paint: Callable[[Any], None]


def _sessions(world: World) -> pl.DataFrame:
    local = pl.col("session_start_time").dt.convert_time_zone(world.card["time_zone"])
    state = state_at("sessions", world.frames["sessions"], world.anchor)
    return state.filter(pl.col("session_start_time") <= world.anchor).with_columns(
        hour=local.dt.hour(), weekday=local.dt.weekday() - 1, day=local.dt.date()
    )


def _hours(sessions: pl.DataFrame) -> Figure:
    grid = np.zeros((7, 24))
    counts = sessions.group_by("weekday", "hour").len()
    grid[counts["weekday"], counts["hour"]] = counts["len"]
    weekdays = grid[:5].sum(axis=0)
    peak = weekdays[15:21].sum() / weekdays.sum()
    weekend = (grid[5:].sum() / 2) / (grid[:5].sum() / 5)

    def paint(axes: Any) -> None:
        axes.imshow(grid, aspect="auto", cmap="YlGnBu")
        axes.set_yticks(range(7), DAY_NAMES)
        axes.set_xticks(range(0, 24, 3))
        axes.set_xlabel("local hour")

    sentence = (
        f"{peak:.0%} of weekday sessions start between 15:00 and 20:59 local time; "
        f"a weekend day has {weekend:.0%} of the sessions of a weekday."
    )
    return Figure("hours", "When sessions start", sentence, peak > 0.5 and weekend < 0.85, paint)


def _days(sessions: pl.DataFrame, world: World) -> Figure:
    daily = sessions.group_by("day").len().sort("day").filter(pl.col("day") < world.anchor.date())
    inside = pl.lit(False)
    for one in world.card["breaks"]:
        if one["factor"] < 0.8:
            inside = inside | pl.col("day").is_between(
                date.fromisoformat(one["starts_on"]), date.fromisoformat(one["ends_on"])
            )
    in_break = _mean(daily.filter(inside), "len")
    usual = _mean(daily.filter(~inside), "len")
    share = in_break / usual

    def paint(axes: Any) -> None:
        axes.plot(daily["day"].to_list(), daily["len"].to_list(), color=SOFT, linewidth=0.7)
        axes.plot(daily["day"].to_list(), daily["len"].rolling_mean(7).to_list(), color=INK, linewidth=1.6)
        for one in world.card["breaks"]:
            axes.axvspan(
                date.fromisoformat(one["starts_on"]),
                date.fromisoformat(one["ends_on"]),
                color=ACCENT,
                alpha=0.12,
            )
        axes.set_xlim(daily["day"].min(), daily["day"].max())
        axes.set_ylim(bottom=0)
        axes.set_ylabel("sessions a day")

    sentence = (
        f"{sessions.height:,} sessions in {daily.height} full days; a day in the winter or spring break has "
        f"{share:.0%} of the volume of other days."
    )
    return Figure("days", "Sessions a day, 7-day mean, school breaks shaded", sentence, share < 0.75, paint)


def _subjects(sessions: pl.DataFrame) -> Figure:
    shares = (
        sessions.select(pl.col("subjects_covered").list.first().alias("subject"))
        .group_by("subject").len().sort("len", "subject", descending=[True, False])
        .with_columns(share=pl.col("len") / sessions.height)
    )  # fmt: skip
    top, rarest = shares.head(3)["share"].sum(), float(shares["share"].to_numpy().min())

    def paint(axes: Any) -> None:
        axes.barh(shares["subject"].to_list()[::-1], shares["share"].to_list()[::-1], color=INK)
        axes.set_xlabel("share of sessions")

    sentence = (
        f"The three busiest of {shares.height} subjects take {top:.0%} of all sessions; "
        f"the rarest takes {rarest:.1%}."
    )
    return Figure("subjects", "Subjects", sentence, 0.4 < top < 0.75, paint)


def _calls(world: World) -> Figure:
    calls = state_at("inbound_calls", world.frames["inbound_calls"], world.anchor)
    per = calls.group_by("customer_id").len()["len"].sort(descending=True).to_numpy()
    customers = world.frames["customers"].filter(pl.col("signed_up_at") <= world.anchor).height
    top = per[: max(1, customers // 10)].sum() / per.sum()
    histogram = np.bincount(np.minimum(per, 12), minlength=13)
    histogram[0] = customers - len(per)

    def paint(axes: Any) -> None:
        axes.bar(range(13), histogram, color=INK)
        axes.set_xticks(range(0, 13, 2), [*map(str, range(0, 12, 2)), "12+"])
        axes.set_xlabel("calls per customer")
        axes.set_ylabel("customers")

    sentence = (
        f"{histogram[0] / customers:.0%} of customers never called; the tenth that called most made "
        f"{top:.0%} of the {per.sum():,} calls."
    )
    return Figure("calls", "Support calls are clustered", sentence, top > 0.3, paint)


def _tutors(sessions: pl.DataFrame) -> Figure:
    rating = pl.col("student_feedback_rating")
    held = pl.col("status") == "finished"
    per = (
        sessions.group_by("tutor_id").agg(
            rating.mean().alias("rating"),
            rating.count().alias("rated"),
            (pl.col("tutor_join_time").is_null() & held).sum().alias("no_shows"),
            held.sum().alias("finished"),
        )
        .filter(pl.col("rated") >= MIN_RATED).sort("rating")
        .with_columns(no_show_rate=pl.col("no_shows") / pl.col("finished"))
    )  # fmt: skip
    tenth = max(1, per.height // 10)
    low, high = per.head(tenth), per.tail(tenth)
    missed = [_mean(part, "no_shows") / max(1.0, _mean(part, "finished")) for part in (low, high)]

    def paint(axes: Any) -> None:
        axes.scatter(
            per["rating"].to_list(), (per["no_show_rate"] * 100).to_list(), s=18, color=INK, alpha=0.7
        )
        axes.set_xlabel("mean rating by students")
        axes.set_ylabel("missed by the tutor, %")

    sentence = (
        f"The lowest-rated tenth of {per.height} tutors averages {_mean(low, 'rating'):.2f} and misses "
        f"{missed[0]:.1%} of its sessions; the highest-rated tenth averages {_mean(high, 'rating'):.2f} "
        f"and misses {missed[1]:.1%}."
    )
    return Figure("tutors", "Good and struggling tutors", sentence, missed[0] > missed[1], paint)


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].to_numpy().mean()) if frame.height else float("nan")


def _ratings(sessions: pl.DataFrame) -> Figure:
    finished = sessions.filter(pl.col("status") == "finished")
    rated = finished["student_feedback_rating"].drop_nulls()
    shares = np.bincount(rated.to_numpy(), minlength=6)[1:] / len(rated)
    good, bad = shares[3] + shares[4], shares[0] + shares[1]

    def paint(axes: Any) -> None:
        axes.bar(range(1, 6), shares, color=INK)
        axes.set_xlabel("rating by the student")
        axes.set_ylabel("share of ratings")

    sentence = (
        f"{len(rated) / finished.height:.0%} of finished sessions carry a rating; {good:.0%} of the "
        f"ratings are 4 or 5 and {bad:.0%} are 1 or 2."
    )
    return Figure("ratings", "Ratings", sentence, 0.55 < len(rated) / finished.height < 0.7, paint)


def _moves(world: World) -> Figure:
    moves = state_at("reschedules", world.frames["reschedules"], world.anchor)
    by_tutor = _mean(
        moves.select(is_tutor=(pl.col("rescheduled_by") == "tutor").cast(pl.Float64)), "is_tutor"
    )
    minutes = pl.col("original_start_time") - pl.col("rescheduled_at")
    notice = moves.select(minutes.dt.total_minutes() / 60).to_series().to_numpy()
    per = moves.group_by("session_id").len()["len"].to_numpy()

    def paint(axes: Any) -> None:
        axes.hist(np.minimum(notice, 96), bins=24, color=INK)
        axes.set_xlabel("hours from the move to the start that it moved, 96 and more in the last bar")
        axes.set_ylabel("moves")

    sentence = (
        f"Tutors made {by_tutor:.1%} of {moves.height:,} moves; half of all moves came less than "
        f"{np.median(notice):.0f} hours before the planned start, and {(per == 2).mean():.0%} of the moved "
        "sessions were moved twice."
    )
    return Figure("moves", "Sessions are moved by their tutors", sentence, by_tutor > 0.97, paint)


def figures(world: World) -> list[Figure]:
    """All pictures of a world as of its anchor; nothing is drawn yet."""
    sessions = _sessions(world)
    return [
        _hours(sessions),
        _days(sessions, world),
        _subjects(sessions),
        _calls(world),
        _tutors(sessions),
        _ratings(sessions),
        _moves(world),
    ]


def _page(world: World, pictures: list[Figure], folder: str) -> str:
    card = world.card
    lines = [
        "# The mock world in pictures",
        "",
        f"Profile `{card['profile']}`, seed {card['seed']}, family {card['family']}, "
        f"seen on {card['anchor']} ({card['time_zone']}). "
        "Everything here is made up. Drawn by `python -m app.mock_rails plots`.",
        "",
    ]
    for one in pictures:
        lines += [f"## {one.title}", "", f"![{one.title}]({folder}/{one.name}.png)", "", one.sentence, ""]
    return "\n".join(lines)


def draw(world_folder: Path, *, out: Path, page: Path) -> Path:
    """Draw a world into PNG files and write the page about it; returns the page.

    Raises ValueError naming the picture whose claim does not hold in this world, after everything is written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    world = load_world(world_folder)
    pictures = figures(world)
    out.mkdir(parents=True, exist_ok=True)
    for one in pictures:
        figure, axes = pyplot.subplots(figsize=(6.4, 3.0), dpi=100)
        one.paint(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.tight_layout()
        figure.savefig(out / f"{one.name}.png", metadata={"Software": None})
        pyplot.close(figure)
    page.write_text(_page(world, pictures, out.name))
    broken = [one.name for one in pictures if not one.holds]
    if broken:
        raise ValueError(f"These pictures do not show what they should: {', '.join(broken)}")
    return page
