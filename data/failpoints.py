"""Places where a test can stop the program: at a commit, before it, between two that belong together.

What belongs here: the stopping. What does not: which places there are; each is named where it is, in the code.
Does nothing unless CHALKLINE_FAILPOINT names a place, how many times it is passed, and what happens then:
`intake.after_commit:2:kill`. kill is SIGKILL, raise an error, enospc a full disk.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from typing import Literal, cast, get_args

from data.settings import get_settings

Action = Literal["kill", "raise", "enospc"]

_passed: Counter[str] = Counter()


class FailpointReached(RuntimeError):
    """The error that a failpoint raises when it is told to."""


def failpoint(name: str) -> None:
    """Stop here if the settings say so. name is a literal, so that a test can list all places."""
    wanted = get_settings().failpoint
    if wanted is None:
        return
    place, count, action = _read(wanted)
    if place != name:
        return
    _passed[wanted] += 1
    if _passed[wanted] == count:
        _stop(name, action)


def _read(text: str) -> tuple[str, int, Action]:
    place, _, rest = text.partition(":")
    count, _, action = rest.partition(":")
    if not count.isdigit() or int(count) < 1 or action not in get_args(Action):
        raise ValueError(
            f"CHALKLINE_FAILPOINT={text!r} cannot be read; write name:n:action with n from 1 and one of "
            f"{', '.join(get_args(Action))}"
        )
    return place, int(count), cast("Action", action)


def _stop(name: str, action: Action) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "enospc":
        raise OSError(errno.ENOSPC, f"no space left on device (failpoint {name})")
    raise FailpointReached(f"stopped at failpoint {name}")
