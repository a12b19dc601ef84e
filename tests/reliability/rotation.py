"""The eight cases of a rotation of the webhook secret, over the secrets file of a receiver that goes on serving."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from data.secrets import retire, rotate, webhook_secrets
from data.settings import Settings
from tests.reliability.scratch import Hands

OVERLAP = timedelta(hours=24)
STREAM = 200
"""So many messages are sent while a secret rotates, and the sender changes over in the middle of the rest."""

Send = Callable[..., bool]
"""Sends a fresh message signed with these secrets, in this order, and tells whether it was taken."""


def rotation_cases(settings: Settings, clock: Hands, send: Send, *, foreign: str) -> dict[str, bool]:
    """Return for each case whether what should be taken was taken, and what should be refused was refused."""
    began = clock.now()
    old = webhook_secrets(settings, now=began)[0]
    right = {"old only": send(old)}
    new = rotate(settings, now=began, overlap=OVERLAP).value
    right["both"] = send(new, old)
    right["new only"] = send(new) and send(old)
    right["order swapped"] = send(old, new)
    clock.instant = began + OVERLAP - timedelta(seconds=1)
    last_moment = send(old)
    clock.instant = began + OVERLAP
    right["expired old"] = last_moment and send(new) and not send(old)
    newer = rotate(settings, now=clock.now(), overlap=OVERLAP).value
    before = send(new)
    retire(settings, now=clock.now())
    right["retired old"] = before and send(newer) and not send(new) and not send(old)
    right["rotation while serving"] = _none_is_refused(settings, clock, send)
    right["unknown key"] = not send(foreign) and not send(foreign, foreign)
    clock.instant = began
    return right


def _none_is_refused(settings: Settings, clock: Hands, send: Send) -> bool:
    # The sender learns of the new secret only after the receiver has it, as the runbook says.
    signs_with = webhook_secrets(settings, now=clock.now())[0]
    taken = []
    for number in range(STREAM):
        if number == STREAM // 2:
            fresh = rotate(settings, now=clock.now(), overlap=OVERLAP).value
        if number == STREAM * 3 // 4:
            signs_with = fresh
        taken.append(send(signs_with))
    return all(taken)
