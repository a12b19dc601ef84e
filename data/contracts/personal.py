"""Whom a record is about, and which of its parts are personal. Pure: a document in, an answer or a copy out.

What belongs here: reading and blanking documents as sources send them, refused ones too. What does not: where they
lie, and who asked for it (data.lake.personal, data.operations.erasures).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from pydantic import BaseModel

from data.contracts.records import CONTRACTS, Kind

PersonKind = Literal["customer", "tutor"]
PERSON_KINDS: tuple[PersonKind, ...] = get_args(PersonKind)

NAMED_BY: dict[Kind, dict[str, PersonKind]] = {
    "sessions": {"customer_id": "customer", "tutor_id": "tutor"},
    "customers": {"customer_id": "customer"},
    "tutors": {"tutor_id": "tutor"},
}
"""Of each kind with personal fields: the columns that say whose they are."""

_IDS: dict[PersonKind, frozenset[str]] = {
    "customer": frozenset({"customer_id", "student_id"}),
    "tutor": frozenset({"tutor_id"}),
}
_ACTOR = "actor_id"
IDENTIFYING = frozenset({"full_name", "name", "email", "phone"})
"""Names of fields that say who somebody is, beside those that hold what was said."""
_WRAPPERS = frozenset(
    {
        "type", "timestamp", "data", "events", "session",
        "student_feedback", "tutor_feedback", "rating", "subjects_covered", "was_rescheduled",
    }
)  # fmt: skip
"""Names that hold a record or a part of one. description, the words of a feedback, is personal and not among them."""


@dataclass(frozen=True)
class Person:
    """A customer or a tutor, by the identifier of the marketplace."""

    kind: PersonKind
    person_id: str

    def __str__(self) -> str:
        """Return the person in words: customer cus_00042."""
        return f"{self.kind} {self.person_id}"


def is_about(document: Any, people: Collection[Person]) -> bool:
    """Tell whether any part of a document names one of these people by their id."""
    wanted: dict[PersonKind, set[str]] = {kind: set() for kind in PERSON_KINDS}
    for person in people:
        wanted[person.kind].add(person.person_id)
    return any(_names_one(part, wanted) for part in _objects(document))


def _names_one(part: dict[str, Any], wanted: dict[PersonKind, set[str]]) -> bool:
    for kind, ids in wanted.items():
        named = [part.get(name) for name in _IDS[kind]]
        if part.get("actor_type", kind) == kind:
            named.append(part.get(_ACTOR))
        if any(_identifier(value) in ids for value in named):
            return True
    return False


def _identifier(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip()


def without_personal(document: Any) -> Any:
    """Return a document with nothing in it but what the contracts know and do not call personal.

    What no contract knows is left out too: a source may send names under any name.
    """
    if isinstance(document, dict):
        return {
            name: without_personal(value) for name, value in document.items() if name in impersonal_names()
        }
    if isinstance(document, list):
        return [without_personal(value) for value in document]
    return document


def text_without_personal(text: str) -> str:
    """Return a JSON text without its personal parts; a text that is no JSON is left out wholly, as it may hold any."""
    try:
        document = json.loads(text)
        return json.dumps(without_personal(document) if isinstance(document, dict | list) else None)
    except (ValueError, RecursionError):
        return json.dumps(None)


def blanked(body: bytes, people: Collection[Person]) -> bytes:
    """Return the body of a message without its personal parts if it is about one of these people, else as it is.

    Of a body that cannot be read but holds their identifier, nothing is left. Blanked twice is blanked once.
    """
    text = body.decode("utf-8", "replace")
    if not any(
        one in text for person in people for one in (person.person_id, json.dumps(person.person_id)[1:-1])
    ):
        return body
    try:
        is_theirs = is_about(json.loads(text), people)
    except (ValueError, RecursionError):
        is_theirs = True
    return text_without_personal(text).encode() if is_theirs else body


def personal_texts(document: Any) -> Iterator[tuple[str, str]]:
    """Give the personal texts in a document, wherever in it they are, each with the name that it came under."""
    for part in _objects(document):
        for name in sorted(part.keys() & personal_names()):
            if isinstance(part[name], str):
                yield name, part[name]


@cache
def personal_names() -> frozenset[str]:
    """Return every name under which a personal field may come, in the API's words or in ours."""
    names = {"description"}
    for contract in CONTRACTS.values():
        for field in contract.personal:
            names |= _spellings(contract, field)
    return frozenset(names)


@cache
def impersonal_names() -> frozenset[str]:
    """Return every other name that a contract understands, and those that hold a record."""
    names = set(_WRAPPERS)
    for contract in CONTRACTS.values():
        names |= _understood(contract)
    return frozenset(names - personal_names())


def _understood(model: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    for name, info in model.model_fields.items():
        names |= _spellings(model, name)
        for part in _parts(info.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names |= _understood(part)
    return names


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _spellings(model: type[BaseModel], field: str) -> set[str]:
    choices = getattr(model.model_fields[field].validation_alias, "choices", ())
    return {field, *map(str, choices)}


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    # A stack of our own: a refused document may be nested deeper than Python is.
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
