"""Keys with which apps report events and read answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from data.clock import SystemClock
from orchestration.commands.terminal import ACTOR, err, house, out

if TYPE_CHECKING:
    from data.operations.tables import ApiKey

app = typer.Typer(no_args_is_help=True, help="Keys with which apps report events and read answers.")


@app.command("add")
def keys_add(
    name: str,
    scope: Annotated[list[str], typer.Option(help="track (report events) or read; give it twice for both")],
    days: Annotated[int | None, typer.Option(min=1, help="ends after so many days; never by default")] = None,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    from data.operations import api_keys

    with house().operations.session() as session:
        row, token = api_keys.issue(
            session,
            name=name,
            scopes=scope,
            actor=ACTOR,
            now=SystemClock().now(),
            lifetime=timedelta(days=days) if days else None,
        )
    err.print(f"key {row.key_id} for {', '.join(row.scopes)}; this is the only time that it is shown:")
    out.print(token, soft_wrap=True, highlight=False)


@app.command("list")
def keys_list() -> None:
    """List every key that was ever made, newest first, and whether it is in force."""
    from data.operations import api_keys

    now = SystemClock().now()
    with house().operations.session() as session:
        rows = api_keys.all_keys(session)
    table = Table("id", "name", "scopes", "made by", "made", "ends", "state")
    for row in rows:
        table.add_row(
            str(row.key_id),
            row.name,
            ", ".join(row.scopes),
            row.created_by,
            _day(row.created_at),
            _day(row.expires_at) if row.expires_at else "never",
            _state(row, now),
        )
    out.print(table)


@app.command("revoke")
def keys_revoke(key_id: int) -> None:
    """End a key, at once."""
    from data.operations import api_keys

    with house().operations.session() as session:
        row = api_keys.revoke(session, key_id, actor=ACTOR, now=SystemClock().now())
    out.print(f"key {row.key_id} ({row.name}) is revoked", markup=False, highlight=False)


def _state(row: ApiKey, now: datetime) -> str:
    from data.operations import api_keys

    if row.revoked_at is not None:
        return f"revoked {_day(row.revoked_at)}"
    return "in force" if api_keys.is_in_force(row, now) else "ended"


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"
