"""Scores as they were known then."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from orchestration.commands.terminal import house, out


def recompute(
    as_of: Annotated[str, typer.Option(help="business date of the scores, YYYY-MM-DD")],
    known_at: Annotated[str, typer.Option(help="what had come in by then: ISO 8601 with a zone")],
    score: Annotated[list[str] | None, typer.Option(help="score codes; all of them if none is named")] = None,
    sql: Annotated[
        str | None, typer.Option(help="a question to what was recomputed, as for chalkline sql")
    ] = None,
) -> None:
    """Recompute the scores of a day as they were known at an instant, and list those that are others now."""
    from functools import partial

    from assets.recompute import as_known, compare, scores_of
    from orchestration.asking import ask, print_rows

    ours = house()
    day, instant = date.fromisoformat(as_of), datetime.fromisoformat(known_at)
    now = scores_of(partial(ask, ours.settings), day, score or ())
    with as_known(ours.settings, as_of=day, known_at=instant, now=ours.clock.now()) as known:
        if sql is not None:
            print_rows(known.query(sql), format="table", console=out)
        comparison = compare(scores_of(known.query, day, score or ()), now)
    for row in comparison.counts.iter_rows(named=True):
        out.print(f"{row['score_code']}: {row['equal']} of {row['scores']} as published now", highlight=False)
    if comparison.differences.height:
        print_rows(comparison.differences, format="table", console=out)
