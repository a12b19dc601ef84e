"""Serves the receiver: python -m app.receiver."""

from __future__ import annotations

from typing import Any

import uvicorn

from app.keys import KeyDesk
from app.receiver.corrections import RecentCorrections
from app.receiver.judge import InstantJudge, JudgeLine
from app.receiver.main import Receiver, create_app
from data.clock import SystemClock, clock_from
from data.landing import TRACK_SOURCE, WEBHOOK_SOURCE, Landing
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.secrets import SecretRing
from data.settings import get_settings

SERVER: dict[str, Any] = {"log_level": "warning", "server_header": False}
"""How the server runs, here and where it is measured against a bare one."""


def main() -> None:
    """Serve until stopped. The machine's clock judges signatures and keys, the deployment's tells business dates."""
    settings = get_settings()
    operations = open_operations(open_postgres(settings))
    of_sessions = RecentCorrections(operations, source=WEBHOOK_SOURCE, kind="sessions")
    line = JudgeLine(InstantJudge(settings, operations, clock_from(settings), of_sessions).judge)
    receiver = Receiver(
        landing=Landing(settings.landing_path),
        clock=SystemClock(),
        secrets=SecretRing(settings).active,
        judge=line.put,
        keys=KeyDesk.of(operations, SystemClock(), requests_per_minute=settings.key_requests_per_minute),
        track_corrections=RecentCorrections(operations, source=TRACK_SOURCE, kind="engagement_events"),
    )
    uvicorn.run(create_app(receiver), host=settings.bind, port=settings.receiver_port, **SERVER)
    line.close()


if __name__ == "__main__":
    main()
