"""How results are shown and kept. The newest of each figure and profile stays in results.json."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from bench.measure import Figure


def show(figures: Sequence[Figure], *, machine: str, console: Console) -> None:
    """Print one block per figure: its ratio, what was compared, and where the time went."""
    console.print("Ratios within one run; below 1 the product is faster.", highlight=False)
    for figure in figures:
        low, high = min(figure.pair_ratios), max(figure.pair_ratios)
        console.print(
            f"\n[bold]{figure.ratio:6.2f}  {figure.piece}[/]: {escape(figure.name)}",
            highlight=False,
            soft_wrap=True,
        )
        for line in (
            f"{statistics.median(figure.product_seconds):.3f} s  {figure.product}",
            f"{statistics.median(figure.yardstick_seconds):.3f} s  {figure.yardstick}",
            f"{len(figure.pair_ratios)} pairs, {low:.2f} to {high:.2f}",
            *figure.notes,
        ):
            console.print(f"        {escape(line)}", highlight=False, soft_wrap=True)
    console.print(f"\n{machine}", highlight=False, soft_wrap=True, style="dim")


def keep(figures: Sequence[Figure], *, file: Path, profile: str, machine: str, measured_at: datetime) -> None:
    """Put the figures into results.json, in place of older ones of the same profile."""
    known: list[dict[str, Any]] = json.loads(file.read_text())["figures"] if file.exists() else []
    fresh = [_row(figure, profile=profile, machine=machine, measured_at=measured_at) for figure in figures]
    replaced = {_key(row) for row in fresh}
    rows = sorted([row for row in known if _key(row) not in replaced] + fresh, key=_key)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"figures": rows}, indent=2, ensure_ascii=False) + "\n")
    draft.replace(file)


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["profile"], row["piece"], row["name"]


def _row(figure: Figure, *, profile: str, machine: str, measured_at: datetime) -> dict[str, Any]:
    return {
        "profile": profile,
        "piece": figure.piece,
        "name": figure.name,
        "ratio": figure.ratio,
        "pair_ratios": figure.pair_ratios,
        "product": figure.product,
        "yardstick": figure.yardstick,
        "product_seconds": list(figure.product_seconds),
        "yardstick_seconds": list(figure.yardstick_seconds),
        "notes": list(figure.notes),
        "machine": machine,
        "measured_at": measured_at.isoformat(timespec="seconds"),
    }
