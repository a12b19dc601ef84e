"""From a state to the bodies of the API: ISO times with milliseconds, nested feedback and goals."""

import json
from typing import Any

import polars as pl

ISO = "%Y-%m-%dT%H:%M:%S%.3fZ"
Record = dict[str, Any]


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Timestamps and dates as text, inside lists too."""
    out = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Datetime):
            out.append(pl.col(name).dt.strftime(ISO))
        elif name == "goals":
            times = [pl.element().struct.field(f).dt.strftime(ISO) for f in ("set_at", "completed_at")]
            out.append(
                pl.col(name).list.eval(pl.struct(pl.element().struct.field("goal_id", "subject"), *times))
            )
        elif name == "leave":
            dates = [pl.element().struct.field(f).cast(pl.String) for f in ("starts_on", "ends_on")]
            out.append(pl.col(name).list.eval(pl.struct(dates)))
    return frame.with_columns(out)


def _nest_feedback(frame: pl.DataFrame) -> pl.DataFrame:
    """Rating and description of each side as one object, null where there is no feedback."""
    nested = []
    for who in ("tutor", "student"):
        rating, description = f"{who}_feedback_rating", f"{who}_feedback_description"
        both = pl.struct(pl.col(rating).alias("rating"), pl.col(description).alias("description"))
        nested.append(pl.when(pl.col(rating).is_not_null()).then(both).alias(f"{who}_feedback"))
    return frame.with_columns(nested).drop(
        f"{who}_feedback_{what}" for who in ("tutor", "student") for what in ("rating", "description")
    )


def to_json(kind: str, state: pl.DataFrame) -> str:
    """The rows as the text of one JSON list, in order."""
    texts = _texts(state)
    return (_nest_feedback(texts) if kind == "sessions" else texts).write_json()


def to_records(kind: str, state: pl.DataFrame) -> list[Record]:
    """One JSON-ready record per row, in order."""
    records: list[Record] = json.loads(to_json(kind, state))
    return records


def nested_as_json(state: pl.DataFrame) -> pl.DataFrame:
    """The same state with lists as JSON text, as an export without nested types has them."""
    lists = [name for name, dtype in state.schema.items() if isinstance(dtype, pl.List)]
    texts = _texts(state.select(lists))
    encoded = []
    for name in lists:
        wrapped = texts.select(pl.struct(pl.col(name)).struct.json_encode())[name]
        start = len(f'{{"{name}":')  # the list is the only member of the object it is wrapped in
        encoded.append(wrapped.str.slice(start).str.head(-1).alias(name))
    return state.with_columns(encoded)
