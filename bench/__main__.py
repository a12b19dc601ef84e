"""The bench's command line: `python -m bench [rebuild] [pull] [fast_lane] [aggregates] [receiver] [--profile demo]`."""

from __future__ import annotations

import importlib
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.status import Status

from bench.measure import FEWEST_PAIRS, Figure, machine_line
from bench.report import keep, show
from bench.states import State, bench_root
from bench.worker import prepare
from data.clock import SystemClock

Profile = Literal["tiny", "demo", "full"]
PIECES = ("rebuild", "pull", "fast_lane", "aggregates", "receiver")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass
class Bench:
    """One run of the bench: where its states live, how large they are, and how it says what it does."""

    root: Path
    profile: str
    pairs: int
    console: Console
    _status: Status | None = None
    _piece: str = ""
    _prepared: dict[str, tuple[State, dict[str, Any]]] = field(default_factory=dict)

    def tell(self, what: str) -> None:
        """Say what is going on now."""
        if self._status is not None:
            self._status.update(f"{self._piece}: {what}")

    def print_line(self, what: str) -> None:
        """Print one line of the piece that stays."""
        self.console.print(f"          {self._piece} {what}", style="dim", highlight=False)

    def prepared(self, name: str) -> tuple[State, dict[str, Any]]:
        """Return a state with its history and its first night, built now if it does not stand, and what was done."""
        if name not in self._prepared:
            self.tell(f"state {name}, built once")
            state = State(self.root, name)
            self._prepared[name] = (state, prepare(state))
        return self._prepared[name]

    def measure(self, piece: str) -> list[Figure]:
        """Measure one piece, with its time printed at the end."""
        started = time.perf_counter()
        self._piece = piece
        with self.console.status(piece) as self._status:
            figures: list[Figure] = importlib.import_module(f"bench.{piece}").measure(self)
        self.console.print(f"{time.perf_counter() - started:6.1f} s  {piece}", highlight=False)
        return figures


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"pieces: {', '.join(PIECES)}; all by default")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="size of the world")] = "demo",
    pairs: Annotated[int, typer.Option(help="pairs of each comparison", min=FEWEST_PAIRS)] = FEWEST_PAIRS,
) -> None:
    """Measure, print the ratios, and keep them in bench/results.json of the state folder."""
    unknown = set(names or ()) - set(PIECES)
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))} is not a piece; choose of {', '.join(PIECES)}"
        )
    bench = Bench(bench_root(), profile, pairs, Console())
    machine = machine_line()
    figures: list[Figure] = []
    for piece in names or PIECES:
        figures += bench.measure(piece)
        # Kept piece by piece: what was measured stays when a later piece fails.
        keep(
            figures,
            file=bench.root / "results.json",
            profile=profile,
            machine=machine,
            measured_at=SystemClock().now(),
        )
    show(figures, machine=machine, console=bench.console)
    bench.console.print(f"kept in {bench.root / 'results.json'}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; a known failure is one line and status 1."""
    # Told to end, it ends like any other failure: the marketplaces and processes it started end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except (RuntimeError, ValueError, OSError) as error:
        Console(stderr=True).print(f"bench: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
