"""The column types of a kind's rows, read off its contract: what Python says once, the lake need not be told again."""

from __future__ import annotations

import types
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import polars as pl
from pydantic import BaseModel

from data.contracts import CONTRACTS, Kind

_PLAIN: dict[Any, pl.DataType] = {
    str: pl.String(),
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    datetime: pl.Datetime("us"),
    date: pl.Date(),
}


@cache
def row_schema(kind: Kind) -> dict[str, pl.DataType]:
    """Return the polars type of each field of a kind, and of its version_hash."""
    return _fields_of(CONTRACTS[kind]) | {"version_hash": pl.String()}


def _fields_of(model: type[BaseModel]) -> dict[str, pl.DataType]:
    return {name: _type_of(info.annotation) for name, info in model.model_fields.items()}


def _type_of(annotation: Any) -> pl.DataType:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type_of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _type_of(next(part for part in get_args(annotation) if part is not type(None)))
    if origin is Literal:
        return pl.String()
    if origin is list:
        return pl.List(_type_of(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pl.Struct(_fields_of(annotation))
    return _PLAIN[annotation]
