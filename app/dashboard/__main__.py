"""Serves the dashboard: python -m app.dashboard."""

from __future__ import annotations

import uvicorn

from app.dashboard.server import build_app
from data.settings import get_settings


def main() -> None:
    """Serve until stopped, on the address and port of the settings."""
    settings = get_settings()
    uvicorn.run(
        build_app(settings),
        host=settings.bind,
        port=settings.dashboard_port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
