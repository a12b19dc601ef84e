"""JSON as sources write it, read so that nothing is taken for granted. Pure."""

from __future__ import annotations

from typing import Any


def names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these members; give it to json.loads as object_pairs_hook.

    A name that is said twice, with different values, becomes the list of what was said: which one is meant nobody
    knows, and where one value belongs the contract refuses a list and names the field. Said twice alike it is once.
    """
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    said: dict[str, list[Any]] = {}
    for name, value in pairs:
        values = said.setdefault(name, [])
        if value not in values:
            values.append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in said.items()}
