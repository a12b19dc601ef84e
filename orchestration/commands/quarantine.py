"""Records that were refused."""

from __future__ import annotations

import typer

from orchestration.commands.terminal import house, out

app = typer.Typer(no_args_is_help=True, help="Records that were refused.")


@app.command("list")
def quarantine_list(limit: int = 50) -> None:
    """List refused records, grouped by cause."""
    from orchestration.asking import print_rows, quarantine

    print_rows(quarantine(house(), limit=limit), format="table", console=out)
