"""Builds a world and writes it; loads it again. The only module here that touches files."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from app.mock_rails.world.days import Days, build_days
from app.mock_rails.world.demand import build_demand
from app.mock_rails.world.dialogues import build_dialogues
from app.mock_rails.world.moves import build_reschedules, with_first_moves
from app.mock_rails.world.people import build_customers, build_tutors
from app.mock_rails.world.plan import build_plan
from app.mock_rails.world.recipe import FUTURE_DAYS, TIME_ZONE, Recipe
from app.mock_rails.world.registers import build_customers_frame, build_tutors_frame
from app.mock_rails.world.simulate import Simulation
from app.mock_rails.world.timeline import build_sessions
from app.mock_rails.world.traffic import build_calls, build_campaigns, build_events, build_exposures
from app.mock_rails.world.truth import build_truth

KINDS = ("sessions", "customers", "tutors", "inbound_calls", "reschedules", "engagement_events")
FORMAT = 2


@dataclass(frozen=True)
class World:
    """A world as loaded from its folder: one frame per kind, each sorted by id."""

    frames: dict[str, pl.DataFrame]
    card: dict[str, Any]
    folder: Path

    @property
    def anchor(self) -> datetime:
        """The instant the world was built for."""
        return datetime.fromisoformat(self.card["anchor"])

    @property
    def ends_at(self) -> datetime:
        """When the last booked day is over."""
        return datetime.fromisoformat(self.card["ends_at"])


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), sort_keys=False)


def _card(recipe: Recipe, days: Days, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "profile": recipe.profile.name,
        "seed": recipe.seed,
        "family": recipe.family,
        "null_twin": recipe.null_twin,
        "anchor": recipe.until.astimezone(UTC).isoformat(),
        "ends_at": (recipe.until + timedelta(days=FUTURE_DAYS)).astimezone(UTC).isoformat(),
        "first_date": str(days.dates[0]),
        "history_days": days.history,
        "time_zone": TIME_ZONE,
        "subjects": list(recipe.subjects),
        "breaks": days.breaks,
        "holidays": days.holidays,
        "rows": rows,
    }


def build_world(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write the world of a recipe into a folder and return its card.

    Files: one Parquet per kind, campaign_assignments.parquet, experiment_exposures.parquet, world.json,
    truth.json, dialogues.jsonl. The same recipe writes the same bytes; existing files are replaced.
    """
    days = build_days(recipe)
    plan = build_plan(recipe, days)
    demand = build_demand(recipe, days, plan)
    tutors = build_tutors(recipe, days, demand, plan)
    people = build_customers(recipe, days, demand)
    happened = Simulation(recipe, days, demand, plan, tutors, people).run()
    sessions, order = build_sessions(recipe, days, plan, tutors, people, happened)
    frames = {
        "sessions": sessions,
        "customers": build_customers_frame(recipe, days, people, happened),
        "tutors": build_tutors_frame(recipe, days, tutors),
        "inbound_calls": build_calls(recipe, days, happened, sessions, order),
        "reschedules": build_reschedules(recipe, sessions),
        "engagement_events": build_events(recipe, days, happened, sessions),
        "campaign_assignments": build_campaigns(recipe, days, plan),
        "experiment_exposures": build_exposures(plan, days, happened, sessions, order),
    }
    card = _card(recipe, days, {name: frame.height for name, frame in frames.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=1)
    truth = build_truth(recipe, days, demand, plan, tutors, people, happened)
    (folder / "truth.json").write_text(_json(truth))
    lines = "".join(_json(one) + "\n" for one in build_dialogues(recipe))
    (folder / "dialogues.jsonl").write_text(lines)
    (folder / "world.json").write_text(json.dumps(card, indent=2) + "\n")  # last: its presence means complete
    return card


def load_world(folder: Path, *, kinds: tuple[str, ...] = KINDS) -> World:
    """Read a built world; raises FileNotFoundError naming the folder when it was never completed."""
    card_file = folder / "world.json"
    if not card_file.is_file():
        raise FileNotFoundError(f"No world in {folder}: world.json is missing. Build one first.")
    card = json.loads(card_file.read_text())
    if card.get("format") != FORMAT:
        raise ValueError(
            f"The world in {folder} has format {card.get('format')}, this is {FORMAT}. Build it again."
        )
    frames = {kind: pl.read_parquet(folder / f"{kind}.parquet") for kind in kinds}
    if "sessions" in frames:
        # What a session looked like between two moves is known by its moves alone.
        moves = pl.read_parquet(folder / "reschedules.parquet")
        frames["sessions"] = with_first_moves(frames["sessions"], moves)
    return World(frames, card, folder)
