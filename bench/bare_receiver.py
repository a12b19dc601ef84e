"""The yardstick of piece `receiver`: an ASGI app that reads the body, writes it to one file, syncs it, and says yes.

    python -m bench.bare_receiver FOLDER PORT

No signature, no id, no folder sync, no judgement: less than this cannot promise that anything was kept.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import Any

import uvicorn
from starlette.concurrency import run_in_threadpool

from app.receiver.__main__ import SERVER


class BareReceiver:
    """Keeps every body it is sent in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Keep the body of one request, then answer."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["method"] == "POST":
            await run_in_threadpool(self._keep, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        status = 202 if scope["method"] == "POST" else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    def _keep(self, body: bytes) -> None:
        with (self._folder / uuid.uuid4().hex).open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Serve until stopped, with the settings of the product's server."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    uvicorn.run(BareReceiver(folder), host="127.0.0.1", port=port, lifespan="off", **SERVER)


if __name__ == "__main__":
    main()
