"""What a mapping file may say, and the judge of it: how a stranger's table becomes contract records.

What belongs here: the shape of data/mappings/*.yml and every error that can be found without the data.
What does not: reading the data (reading.py) and evaluating the expressions (evaluation.py).
"""

from __future__ import annotations

import difflib
import types
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from data.contracts import CONTRACTS, Kind
from data.settings import PROJECT_ROOT

MAPPINGS = PROJECT_ROOT / "data" / "mappings"
"""The mapping files that ship with the product."""

FieldClass = Literal["instant", "text", "number", "flag", "list"]
ATTENDANCE = {"reports_attendance": "tutor_joined_at", "reports_customer_attendance": "customer_joined_at"}
"""Flags that make a missing join time a no-show, and the join time that each one is about."""
MUST_BE_SAID = ("reports_attendance", "reports_customer_attendance", "join_kind")


class MappingError(ValueError):
    """A mapping cannot be used; the message names the file, the field and the fix. Nothing was stored."""


class ReadOptions(BaseModel):
    """How the file is read. Every column of a CSV is text: identifiers keep their leading zeros."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["csv", "parquet"] | None = None
    delimiter: Annotated[StrictStr, StringConstraints(min_length=1, max_length=1)] = ","
    encoding: StrictStr = "utf-8"
    null_values: tuple[StrictStr, ...] = ("",)
    skip_first: Annotated[StrictInt, Field(ge=0, le=1_000)] = 0
    skip_last: Annotated[StrictInt, Field(ge=0, le=1_000)] = 0
    optional_columns: tuple[StrictStr, ...] = ()

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value!r} is no encoding; common ones are utf-8, cp1252 and latin-1") from None
        return value


Expression = Annotated[StrictStr, StringConstraints(strip_whitespace=True, min_length=1)]
"""A DuckDB expression over the columns of the file."""


class Lookup(BaseModel):
    """Another file beside the main one: each row of the main one finds at most one row in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Annotated[StrictStr, StringConstraints(pattern=r"^[^/\\]+$", max_length=200)]
    key: Annotated[dict[str, Expression], Field(min_length=1)]
    read: ReadOptions = ReadOptions()


LookupName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")]


class Mapping(BaseModel):
    """How one kind of record is made from the rows of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[StrictStr, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    kind: Kind
    describes: Annotated[StrictStr, StringConstraints(min_length=1, max_length=300)]
    read: ReadOptions = ReadOptions()
    time_zone: StrictStr | None = None
    lookups: dict[LookupName, Lookup] = Field(default_factory=dict)
    where: Expression | None = None
    repeat: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    order_by: tuple[Expression, ...] = ()
    local_times: dict[str, Expression] = Field(default_factory=dict)
    fields: dict[str, Expression]
    constants: dict[str, Any] = Field(default_factory=dict)
    defaults: dict[str, Any] = Field(default_factory=dict)
    repeated_ids: Literal["refuse", "keep"] = "refuse"
    notes: tuple[StrictStr, ...] = ()

    @property
    def source(self) -> str:
        """The name of the feed on every row that comes in through this mapping."""
        return f"import.{self.name}"

    def lookup_file(self, name: str, beside: Path) -> Path:
        """Return where the file of a lookup lies: in the folder of the main file."""
        return beside.parent / self.lookups[name].file

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"{value!r} is no time zone; write it as America/New_York or UTC") from None
        return value

    @model_validator(mode="after")
    def _keeps_the_contract(self) -> Mapping:
        problems = [
            *_unknown_fields(self),
            *_said_twice(self),
            *_missing_fields(self),
            *_bad_values(self),
            *_invented_no_shows(self),
        ]
        if self.group_by and not self.order_by:
            problems.append("order_by: missing; with group_by, say in which order the events happened")
        if self.group_by and self.repeat:
            problems.append(
                "repeat: does not go with group_by; one makes many of a row, the other one of many"
            )
        if self.local_times and self.time_zone is None:
            problems.append("time_zone: missing; local_times need the zone whose clock they show")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file. Raises MappingError with one line per problem."""
    if not path.is_file():
        shipped = ", ".join(sorted(file.name for file in MAPPINGS.glob("*.yml")))
        raise MappingError(f"mapping {path} does not exist; the ones that ship are {shipped}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingError(f"mapping {path.name} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise MappingError(f"mapping {path.name} holds no settings; start from docs/importing.md")
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        lines = [line for problem in error.errors(include_url=False) for line in _lines_of(problem)]
        raise MappingError(f"mapping {path.name} cannot be used:\n  " + "\n  ".join(lines)) from error


def field_class(kind: Kind, name: str) -> FieldClass:
    """Return what sort of value a contract field holds."""
    base = _base_type(CONTRACTS[kind].model_fields[name].annotation)
    known: dict[Any, FieldClass] = {
        datetime: "instant",
        bool: "flag",
        int: "number",
        float: "number",
        list: "list",
    }
    return known.get(base, "text")


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that is written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _base_type(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _base_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _base_type(next(part for part in get_args(annotation) if part is not type(None)))
    return origin or annotation


def _lines_of(problem: Any) -> list[str]:
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if not place:
        return message.splitlines()
    if problem["type"] == "extra_forbidden":
        return [
            f"{place}: is no setting of a mapping{_closest(place.split('.')[-1], _settings_beside(problem))}"
        ]
    if problem["type"] == "string_type" and problem["loc"][0] in ("fields", "repeat", "local_times"):
        message = "is not an expression; write it in quotes, or put a fixed value under constants"
    if problem["type"] == "missing":
        message = "is missing"
    return [f"{place}: {message}"]


def _settings_beside(problem: Any) -> list[str]:
    above = problem["loc"][:-1]
    if "read" in above:
        return list(ReadOptions.model_fields)
    return list(Lookup.model_fields if "lookups" in above else Mapping.model_fields)


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _unknown_fields(mapping: Mapping) -> list[str]:
    fields = CONTRACTS[mapping.kind].model_fields
    official = {alias: name for name, info in fields.items() for alias in _aliases(info)}
    problems = []
    for section in ("fields", "constants", "defaults"):
        for name in getattr(mapping, section):
            if name in fields:
                continue
            official_name = official.get(name)
            hint = (
                f"; the contract calls it {official_name}" if official_name else _closest(name, list(fields))
            )
            problems.append(f"{section}.{name}: is no field of {mapping.kind}{hint}")
    return problems


def _aliases(info: FieldInfo) -> list[str]:
    choices = info.validation_alias
    return [str(choice) for choice in choices.choices] if isinstance(choices, AliasChoices) else []


def _said_twice(mapping: Mapping) -> list[str]:
    twice = sorted(mapping.constants.keys() & (mapping.fields.keys() | mapping.defaults.keys()))
    return [f"constants.{name}: is also given under fields or defaults; keep one" for name in twice]


def _missing_fields(mapping: Mapping) -> list[str]:
    said = mapping.fields.keys() | mapping.constants.keys() | mapping.defaults.keys()
    required = [name for name, info in CONTRACTS[mapping.kind].model_fields.items() if info.is_required()]
    problems = [f"fields.{name}: is missing; every record of {mapping.kind} needs it" for name in required]
    problems = [line for name, line in zip(required, problems, strict=True) if name not in said]
    if mapping.kind == "sessions":
        problems += [
            f"constants.{name}: is missing; say what a missing join time means in this source "
            "(docs/mappings.md, Attendance)"
            for name in MUST_BE_SAID
            if name not in said
        ]
    return problems


def _bad_values(mapping: Mapping) -> list[str]:
    fields = CONTRACTS[mapping.kind].model_fields
    problems = []
    for section in ("constants", "defaults"):
        for name, value in getattr(mapping, section).items():
            if name not in fields:
                continue
            info = fields[name]
            annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
            try:
                TypeAdapter(annotation).validate_python(value)
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
                problems.append(f"{section}.{name}: {value!r} breaks the contract: {reason}")
    return problems


def _invented_no_shows(mapping: Mapping) -> list[str]:
    """A source without join times that claims to report attendance makes every session a no-show."""
    if mapping.kind != "sessions":
        return []
    fixed = {**mapping.defaults, **mapping.constants}
    return [
        f"constants.{flag}: is true, but nothing gives {joined}, so every session would be a no-show; "
        f"set {flag}: false or map {joined}"
        for flag, joined in ATTENDANCE.items()
        if fixed.get(flag) is True and joined not in mapping.fields
    ]
