"""Answers that say no, in one shape for every door that speaks JSON: application/problem+json (RFC 9457).

What belongs here: the shape, and that nothing else ever gets out: no trace, no path, no value that came in.
What does not: when to refuse, which is each door's own affair.
"""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

log = structlog.get_logger("chalkline.doors")


class Problem(Exception):
    """A refusal on its way out. more are further members of the answer."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers
        self.more = more

    def answer(self) -> JSONResponse:
        """Return it as a response."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return JSONResponse(
            body | self.more,
            status_code=self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


def answer_problems(app: FastAPI, *, hint: str) -> None:
    """Make a door answer every refusal and every failure as a problem. hint says where its real doors are."""

    @app.exception_handler(Problem)
    async def refused(_: Request, problem: Problem) -> Response:
        return problem.answer()

    @app.exception_handler(HTTPException)
    async def no_such_door(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        return Problem(error.status_code, str(error.detail), hint, headers=headers).answer()

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> Response:
        wrong = [
            {
                "where": ".".join(str(part) for part in one["loc"]),
                "reason": one["msg"].removeprefix("Value error, "),
            }
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['reason']}" for one in wrong)
        return Problem(422, "Not understood", detail[:500], errors=wrong[:20]).answer()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # Logged whole by the server; the caller learns only that trying again is worth it.
        log.error("request_failed", path=request.url.path, error=type(error).__name__)
        return Problem(500, "Failed", "the cause is in the log of the door; try again later").answer()
