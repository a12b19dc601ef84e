"""Tells the engineers that something of ours does not work. Needs no run and no lake: only the operations store."""

from __future__ import annotations

from assets.act.mails import desks_of, footer_of, send_due
from assets.resources import House
from data.operations import outbox, users
from data.operations.outbox import OutboxMessage
from notifications.content import SystemFailure
from notifications.message import key_for
from notifications.render import render_system_failure


def report_failure(house: House, *, key: str, what: str, cause: str, where: str) -> int:
    """Mail each engineer of one failure, once per key, and send at once. Returns how many mails are new.

    Without an engineer among the users the operations desk is told: a failure must reach somebody.
    """
    settings, now = house.settings, house.clock.now()
    url = f"http://{settings.bind}:{settings.dagster_port}"
    content = SystemFailure(what=what, cause=cause, next_step=f"Open {where}.", since=now, url=url)
    with house.operations.session() as session:
        rendered = render_system_failure(content, footer_of(session, settings))
        people = [user.email for user in users.list_users(session, role="engineer")]
        new = sum(
            outbox.enqueue(
                session,
                OutboxMessage(
                    idempotency_key=key_for("failure", key, address),
                    kind="system",
                    recipient=address,
                    subject=rendered.subject,
                    html=rendered.html,
                    text=rendered.text,
                    is_urgent=True,
                ),
                now=now,
            )
            for address in people or [desks_of(settings).engineering.address]
        )
    if new:
        send_due(house)
    return new
