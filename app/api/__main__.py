"""Serves the read API: python -m app.api."""

from __future__ import annotations

import uvicorn

from app.api.main import Api, create_app
from app.api.shelf import Shelf
from app.keys import KeyDesk
from data.clock import SystemClock
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.settings import get_settings


def main() -> None:
    """Serve until stopped. Keys end by the machine's clock."""
    settings = get_settings()
    operations = open_operations(open_postgres(settings))
    api = Api(
        shelf=Shelf(settings, operations),
        keys=KeyDesk.of(operations, SystemClock(), requests_per_minute=settings.key_requests_per_minute),
    )
    uvicorn.run(
        create_app(api),
        host=settings.bind,
        port=settings.api_port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
