"""Feeds that are pulled: how they stand, and letting one go on that is held."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.commands.terminal import ACTOR, house, out

app = typer.Typer(no_args_is_help=True, help="Feeds that are pulled from the marketplace.")


@app.command("list")
def feeds_list() -> None:
    """List the feeds: how the last try ended, how far each was read, and why it waits if it does."""
    import polars as pl

    from orchestration.asking import print_rows
    from orchestration.feeds import feed_states

    rows = [
        {
            "feed": state.kind,
            "last_try": "never tried" if state.last is None else state.last.outcome,
            "tried_at": state.last.finished_at if state.last else None,
            "read_well_at": state.last_good_at,
            "read_until": state.cursor_at,
            "held_since": state.held_since,
            "waits_because": state.waits_because,
        }
        for state in feed_states(house())
    ]
    print_rows(pl.DataFrame(rows, infer_schema_length=None), format="table", console=out)


@app.command("release")
def feeds_release(
    kind: str, note: Annotated[str, typer.Option(help="what was mended; kept in the audit log")]
) -> None:
    """Let a feed be tried again that the source had refused for good."""
    from data.operations.corrections import release_feed

    ours = house()
    with ours.operations.session() as session:
        release_feed(session, kind, note=note, actor=ACTOR, now=ours.clock.now())
    out.print(f"{kind} is released; the next run tries it")
