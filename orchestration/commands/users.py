"""People who may sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from data.clock import SystemClock
from orchestration.commands.terminal import ACTOR, house, out

if TYPE_CHECKING:
    from data.operations.tables import Role

app = typer.Typer(no_args_is_help=True, help="People who may sign in.")


@app.command("add")
def users_add(email: str, role: Annotated[str, typer.Option()], name: str = "") -> None:
    """Add a person and print the one-time link with which they choose a password."""
    from data.operations import users

    ours = house()
    with ours.operations.session() as session:
        _, token = users.create_user(
            session,
            email=email,
            name=name,
            role=cast("Role", role),
            actor=ACTOR,
            now=SystemClock().now(),
        )
    out.print(f"{ours.settings.public_url}/setup?token={token}", soft_wrap=True, highlight=False)


@app.command("link")
def users_link(email: str) -> None:
    """Print a fresh one-time link for a person who lost theirs."""
    from data.operations import users

    ours = house()
    with ours.operations.session() as session:
        user = users.user_by_email(session, email)
        if user is None:
            raise ValueError(f"there is no user {email}; add them with `chalkline users add`")
        token = users.issue_setup_token(session, user.user_id, actor=ACTOR, now=SystemClock().now())
    out.print(f"{ours.settings.public_url}/setup?token={token}", soft_wrap=True, highlight=False)
