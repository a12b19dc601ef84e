"""Serves the receiver: python -m app.receiver."""

import uvicorn

from app.receiver.judge import InstantJudge
from app.receiver.main import Receiver, create_app
from data.clock import SystemClock, clock_from
from data.landing import Landing
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.secrets import webhook_secrets
from data.settings import get_settings


def main() -> None:
    """Serve until stopped. Signatures are judged by the machine's clock, business dates by the deployment's."""
    settings = get_settings()
    judge = InstantJudge(settings, open_operations(open_postgres(settings)), clock_from(settings))
    receiver = Receiver(
        landing=Landing(settings.landing_path),
        clock=SystemClock(),
        secrets=webhook_secrets(settings),
        judge=judge.judge,
    )
    uvicorn.run(
        create_app(receiver),
        host=settings.bind,
        port=settings.receiver_port,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
