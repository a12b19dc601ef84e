"""The secrets with which senders sign their webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from data.clock import SystemClock
from data.settings import get_settings
from orchestration.commands.terminal import ACTOR, house, out

app = typer.Typer(
    help="The secrets with which senders sign. Alone: print those that are active, newest first."
)

SHOWN_DIGITS = 4


@app.callback(invoke_without_command=True)
def secret(context: typer.Context) -> None:
    """Print the active webhook secrets, newest first, when no subcommand is given."""
    from data.secrets import webhook_secrets

    if context.invoked_subcommand is None:
        for value in webhook_secrets(get_settings()):
            out.print(value, soft_wrap=True, highlight=False)


@app.command("list")
def secret_list(
    show: Annotated[bool, typer.Option("--show", help="print the secrets themselves")] = False,
) -> None:
    """List the active secrets, newest first: fingerprint, until when, and the last digits of each."""
    from data.secrets import active_secrets

    for number, each in enumerate(active_secrets(get_settings())):
        until = f"until {each.expires_at:%Y-%m-%d %H:%M} UTC" if each.expires_at else "until it is rotated"
        value = each.value if show else f"whsec_…{each.value[-SHOWN_DIGITS:]}"
        newest = "newest, sign with this one" if number == 0 else "still taken"
        out.print(f"{each.fingerprint}  {value}  {until}  ({newest})", soft_wrap=True, highlight=False)


@app.command("rotate")
def secret_rotate(
    overlap_hours: Annotated[
        float, typer.Option(min=0.0, help="how long messages signed with the secrets before are still taken")
    ] = 24.0,
) -> None:
    """Put a new secret in front and print it. A running receiver takes it at once; give it to the sender now."""
    from data.operations import audit
    from data.secrets import rotate

    now = SystemClock().now()
    with house().operations.session() as session:
        fresh = rotate(get_settings(), now=now, overlap=timedelta(hours=overlap_hours))
        details = {"fingerprint": fresh.fingerprint, "overlap_hours": overlap_hours}
        audit.append(
            session,
            actor=ACTOR,
            action="secret.rotated",
            object_name="webhook_secret",
            details=details,
            now=now,
        )
    out.print(fresh.value, soft_wrap=True, highlight=False)


@app.command("retire")
def secret_retire() -> None:
    """End every secret but the newest, now. Messages signed with the others are refused from here on."""
    from data.operations import audit
    from data.secrets import retire

    now = SystemClock().now()
    with house().operations.session() as session:
        ended = retire(get_settings(), now=now)
        details = {"fingerprints": [each.fingerprint for each in ended]}
        if ended:
            audit.append(
                session,
                actor=ACTOR,
                action="secret.retired",
                object_name="webhook_secret",
                details=details,
                now=now,
            )
    out.print(f"{len(ended)} ended" if ended else "the newest secret is the only one", highlight=False)
