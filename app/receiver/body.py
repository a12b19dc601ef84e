"""Reading a request's body, and not a byte more than is taken."""

from __future__ import annotations

from fastapi import Request

from app.problems import Problem


async def limited_body(request: Request, *, most_bytes: int) -> bytes:
    """Return the body as it came: nothing is unpacked. Raises Problem (413) as soon as it is too large."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise Problem(413, "Too large", f"a message has at most {most_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def address_of(request: Request) -> str:
    """Return where a request comes from, for counting and for the log."""
    return request.client.host if request.client else "unknown"
