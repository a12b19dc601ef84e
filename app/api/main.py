"""The endpoints of the read API. A request does three things: let in, find the published version, ask one mart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.metrics import EngagementMetrics, GroupedBy, metrics_of
from app.api.shelf import Edition, Shelf
from app.api.timeline import Timeline, timeline_of
from app.keys import KeyDesk
from app.problems import answer_problems
from data.contracts.fields import Day, Identifier, Instant

DESCRIPTION = (
    "What Chalkline has published: sessions, flags and moves of tutors, and what is done in the apps. Every answer "
    "comes from one published version, which it names; ask again with its ETag and get 304 until there is a newer "
    "one. Times are UTC, dates are business dates. No personal data: identifiers only."
)
MOST_ENTRIES = 500
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/problem+json": {}}}
    for status, what in {
        400: "a cursor that is none of ours",
        401: "no key in force",
        403: "a key without the scope read",
        404: "no such tutor",
        422: "a parameter that cannot be understood",
        429: "too many requests; see Retry-After",
        503: "nothing published yet, or too slow; see Retry-After",
    }.items()
}

From = Annotated[Instant | None, Query(alias="from", description="ISO 8601 with a zone; included")]
Until = Annotated[Instant | None, Query(alias="until", description="ISO 8601 with a zone; not included")]
FromDay = Annotated[Day | None, Query(alias="from", description="business date; included")]
UntilDay = Annotated[Day | None, Query(alias="until", description="business date; not included")]
TutorId = Annotated[Identifier, Path()]
Cursor = Annotated[str | None, Query(max_length=1_000, description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=MOST_ENTRIES)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]


@dataclass(frozen=True)
class Api:
    """What the endpoints work with."""

    shelf: Shelf
    keys: KeyDesk


def create_app(api: Api) -> FastAPI:
    """Build the application. It is described at /openapi.json; a page of it would load scripts from elsewhere."""
    app = FastAPI(
        title="Chalkline read API",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.api = api
    answer_problems(app, hint="what can be asked is listed at /openapi.json")
    app.get("/up")(up)
    app.get("/api/engagement/tutors/{tutor_id}/timeline", response_model=Timeline, responses=PROBLEMS)(
        timeline
    )
    app.get("/api/engagement/metrics", response_model=EngagementMetrics, responses=PROBLEMS)(metrics)
    return app


def up() -> dict[str, str]:
    """Tell that the door is open."""
    return {"status": "ok"}


def _edition(request: Request, _: Bearer) -> Edition:
    api: Api = request.app.state.api
    address = request.client.host if request.client else "unknown"
    api.keys.admit(request.headers.get("authorization"), "read", address=address)
    return api.shelf.current()


CurrentEdition = Annotated[Edition, Depends(_edition)]


def timeline(
    request: Request,
    response: Response,
    edition: CurrentEdition,
    tutor_id: TutorId,
    from_at: From = None,
    until_at: Until = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Any:
    """Sessions, flags, moves of sessions and what the tutor did in the apps, newest first, in pages."""
    if (known := _not_modified(request, response, edition)) is not None:
        return known
    return timeline_of(edition, tutor_id, from_at=from_at, until_at=until_at, cursor=cursor, limit=limit)


def metrics(
    request: Request,
    response: Response,
    edition: CurrentEdition,
    grouped_by: Annotated[GroupedBy, Query(alias="by")] = "event_type",
    from_date: FromDay = None,
    until_date: UntilDay = None,
) -> Any:
    """Events and different actors per business date: of the day as a whole, by kind of actor, or by event type."""
    if (known := _not_modified(request, response, edition)) is not None:
        return known
    return metrics_of(edition, grouped_by=grouped_by, from_date=from_date, until_date=until_date)


def _not_modified(request: Request, response: Response, edition: Edition) -> Response | None:
    # One version answers one address in one way for ever, so its number is all that a tag needs.
    headers = {"ETag": edition.tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    response.headers.update(headers)
    asked = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    return Response(status_code=304, headers=headers) if edition.tag in asked else None
