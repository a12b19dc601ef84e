"""Piece `fast_lane`: the lane of every few minutes on a long history against a short one. It must not grow."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bench.measure import Figure, in_turns
from bench.states import RECENT, Progress, State, clock_of, free_port, marketplaces
from bench.worker import Worker

if TYPE_CHECKING:
    from bench.__main__ import Bench

NEWS = timedelta(minutes=5)
"""How far the clock moves between two runs: what the marketplace did meanwhile is the news of the next one."""
COMPARED: dict[str, tuple[tuple[str, str], ...]] = {
    "tiny": (("tiny", f"tiny{RECENT}"),),
    "demo": (("demo", f"demo{RECENT}"), ("full", "demo")),
    "full": (("full", "demo"), ("full", f"full{RECENT}")),
}
"""A long history and a short one, for each profile. The same world with a short history has the same people and the
same news, so its ratio speaks of history alone; full against demo also has eleven times the people and the news."""


def measure(bench: Bench) -> list[Figure]:
    """Compare the fast lane on a long history with the fast lane on a short one, with news before every run."""
    return [_compare(bench, long, short) for long, short in COMPARED[bench.profile]]


def _compare(bench: Bench, long: str, short: str) -> Figure:
    states = [bench.prepared(name)[0] for name in (long, short)]
    ports = {state.world_state: free_port() for state in states}
    answers: dict[str, list[dict[str, Any]]] = {long: [], short: []}
    at = max(clock_of(state).now() for state in states)
    with ExitStack() as stack:
        workers = {
            state.name: stack.enter_context(Worker(state, port=ports[state.world_state])) for state in states
        }

        def round_of(name: str) -> float:
            found = workers[name].ask(do="fast", at=at.isoformat())
            answers[name].append(found)
            return float(found["seconds"])

        def with_news(name: str) -> float:
            nonlocal at
            if name == long:
                at += NEWS
            # A marketplace tells one instant, so it is started anew for each: that is not counted.
            with marketplaces(ports, at=at):
                return round_of(name)

        bench.tell("one run of each to warm up")
        for name in (long, short):
            with_news(name)
            answers[name].clear()
        ours, theirs = in_turns(
            lambda: with_news(long),
            lambda: with_news(short),
            pairs=bench.pairs,
            tell=bench.tell,
            print_line=bench.print_line,
        )
    return Figure(
        piece="fast_lane",
        name=f"fast lane, five minutes of news: {long} over {short}",
        product=_sizes(states[0]),
        yardstick=_sizes(states[1]),
        product_seconds=ours,
        yardstick_seconds=theirs,
        notes=[
            *(f"{name}: {where_it_goes(found)}" for name, found in answers.items()),
            widest_growth(answers[long], answers[short]),
        ],
    )


def _sizes(state: State) -> str:
    history = Progress(state.folder).read()["history"]
    return f"{state.name}: {history.replace(';', ',')}"


def _median(answers: Sequence[dict[str, Any]], part: str, name: str) -> float:
    return statistics.median(answer[part].get(name, 0.0) for answer in answers)


def where_it_goes(answers: Sequence[dict[str, Any]]) -> str:
    """Return the medians of the parts of a lane, the longest first, and the news that came in."""
    parts = {f"dbt {name}": _median(answers, "dbt", name) for name in answers[0]["dbt"]}
    parts |= {name: _median(answers, "steps", name) for name in answers[0]["steps"]}
    parts["between steps"] = statistics.median(answer["between steps"] for answer in answers)
    longest = sorted(parts.items(), key=lambda part: -part[1])
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in longest if seconds >= 0.05)
    read = statistics.median(sum(v for k, v in a["news"].items() if k.endswith(" read")) for a in answers)
    new = statistics.median(sum(v for k, v in a["news"].items() if k.endswith(" loaded")) for a in answers)
    return f"{shown}; {read:,.0f} records read, {new:,.0f} of them new"


def widest_growth(long: Sequence[dict[str, Any]], short: Sequence[dict[str, Any]]) -> str:
    """Return the dbt nodes and steps whose cost differs most between the two histories."""
    rows = []
    for part in ("models", "steps"):
        for name in long[0][part]:
            ours, theirs = _median(long, part, name), _median(short, part, name)
            rows.append(
                (
                    ours - theirs,
                    f"{name.removeprefix('model.chalkline.')} {ours:.2f} s against {theirs:.2f} s",
                )
            )
    return "differ most: " + "; ".join(text for _, text in sorted(rows, reverse=True)[:8])
