"""What a record must look like to enter the warehouse: one contract per kind, whatever way it comes in.

Each contract takes the names of the marketplace's API beside its own. What a source does not have stays None.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from data.contracts.fields import (
    Count,
    Day,
    Identifier,
    Instant,
    LongText,
    Rating,
    ShortText,
    Weekday,
    ZoneName,
)

CLOCK_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def _named(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


def _required(*names: str) -> Any:
    return Field(validation_alias=AliasChoices(*names))


class Record(BaseModel):
    """The base of all contracts. Unknown fields are ignored; unknown values are refused."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, allow_inf_nan=False)

    key: ClassVar[str]
    personal: ClassVar[frozenset[str]] = frozenset()
    folded: ClassVar[frozenset[str]] = frozenset()  # names of the API that become part of other fields
    event_time: ClassVar[str]

    updated_at: Instant


def _taken(flat: dict[str, Any], name: str, kind: type, wanted: str) -> Any:
    # A field of the API that is folded into others: of a wrong type it would vanish without a word.
    value = flat.pop(name, None)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{name} is not {wanted}")
    return value


class SessionRecord(Record):
    """One version of one tutoring session."""

    key = "session_id"
    personal = frozenset({"student_comment", "tutor_comment", "ai_summary", "transcript_url", "video_url"})
    folded = frozenset({"student_feedback", "tutor_feedback", "subjects_covered", "was_rescheduled"})
    event_time = "scheduled_start_at"

    session_id: Identifier
    tutor_id: Identifier | None = None
    customer_id: Identifier | None = _named("customer_id", "student_id")
    subject_id: Identifier | None = None
    status: Literal["scheduled", "finished", "cancelled"]
    scheduled_start_at: Instant = _required("scheduled_start_at", "session_start_time")
    scheduled_end_at: Instant | None = _named("scheduled_end_at", "session_end_time")
    tutor_joined_at: Instant | None = _named("tutor_joined_at", "tutor_join_time")
    tutor_left_at: Instant | None = _named("tutor_left_at", "tutor_leave_time")
    customer_joined_at: Instant | None = _named("customer_joined_at", "student_join_time")
    customer_left_at: Instant | None = _named("customer_left_at", "student_leave_time")
    reports_attendance: bool = True
    reports_customer_attendance: bool = True
    join_kind: Literal["meeting", "queue"] = "meeting"
    reported_late: bool | None = None
    is_first_reported: bool | None = _named("is_first_reported", "is_first_session")
    reschedule_count: Count | None = None
    rescheduled_by: Literal["tutor", "student", "system"] | None = None
    student_rating: Rating | None = None
    tutor_rating: Rating | None = None
    booked_followup: bool | None = _named("booked_followup", "student_booked_followup")
    booked_at: Instant | None = None
    student_comment: LongText | None = None
    tutor_comment: LongText | None = None
    ai_summary: LongText | None = None
    transcript_url: LongText | None = None
    video_url: LongText | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, record: Any) -> Any:
        if not isinstance(record, dict):
            return record
        flat = dict(record)
        for side in ("student", "tutor"):
            feedback = _taken(flat, f"{side}_feedback", dict, "an object") or {}
            for name, part in ((f"{side}_rating", "rating"), (f"{side}_comment", "description")):
                if flat.get(name) is None:
                    flat[name] = feedback.get(part)
        subjects = _taken(flat, "subjects_covered", list, "a list")
        if subjects and flat.get("subject_id") is None:
            flat["subject_id"] = subjects[0]
        was_rescheduled = _taken(flat, "was_rescheduled", bool, "true or false")
        if flat.get("reschedule_count") is None and was_rescheduled is not None:
            flat["reschedule_count"] = int(was_rescheduled)
        return flat

    @model_validator(mode="after")
    def _in_order(self) -> SessionRecord:
        if self.scheduled_end_at is not None and self.scheduled_end_at < self.scheduled_start_at:
            raise ValueError("scheduled_end_at lies before scheduled_start_at")
        for joined, left, who in (
            (self.tutor_joined_at, self.tutor_left_at, "tutor"),
            (self.customer_joined_at, self.customer_left_at, "customer"),
        ):
            if joined is not None and left is not None and left < joined:
                raise ValueError(f"{who}_left_at lies before {who}_joined_at")
        return self


class Goal(BaseModel):
    """A learning goal of a customer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    goal_id: Identifier
    subject_id: Identifier | None = Field(
        default=None, validation_alias=AliasChoices("subject_id", "subject")
    )
    set_at: Instant | None = None
    completed_at: Instant | None = None


class CustomerRecord(Record):
    """One version of one customer account."""

    key = "customer_id"
    personal = frozenset({"full_name", "email", "phone"})
    event_time = "signed_up_at"

    customer_id: Identifier
    signed_up_at: Instant | None = None
    acquisition_channel: ShortText | None = None
    time_zone: ZoneName | None = None
    is_active: bool = Field(default=True, validation_alias=AliasChoices("is_active", "active"))
    goals: list[Goal] = Field(default_factory=list, max_length=200)
    full_name: ShortText | None = _named("full_name", "name")
    email: ShortText | None = None
    phone: ShortText | None = None


def _clock_text(value: Any) -> Any:
    if isinstance(value, str) and CLOCK_TIME.fullmatch(value):
        return value
    raise ValueError("is not a time of day like 09:30")


class AvailabilitySlot(BaseModel):
    """A weekly slot in which a tutor can be booked, in the tutor's own time zone. Weekday 0 is Monday."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    weekday: Weekday
    start_time: Annotated[str, BeforeValidator(_clock_text)] = _required("start_time", "start")
    end_time: Annotated[str, BeforeValidator(_clock_text)] = _required("end_time", "end")


class Leave(BaseModel):
    """Days on which a tutor is away, both ends included."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    starts_on: Day
    ends_on: Day

    @model_validator(mode="after")
    def _in_order(self) -> Leave:
        if self.ends_on < self.starts_on:
            raise ValueError("ends_on lies before starts_on")
        return self


class TutorRecord(Record):
    """One version of one tutor, with subjects, weekly availability and leave."""

    key = "tutor_id"
    personal = frozenset({"full_name", "email"})
    event_time = "hired_at"

    tutor_id: Identifier
    hired_at: Instant | None = None
    time_zone: ZoneName | None = None
    is_active: bool = Field(default=True, validation_alias=AliasChoices("is_active", "active"))
    subjects: list[Identifier] = Field(default_factory=list, max_length=100)
    availability: list[AvailabilitySlot] = Field(default_factory=list, max_length=200)
    leaves: list[Leave] = Field(
        default_factory=list, max_length=500, validation_alias=AliasChoices("leaves", "leave")
    )
    full_name: ShortText | None = _named("full_name", "name")
    email: ShortText | None = None


class CallRecord(Record):
    """One call of a customer to support."""

    key = "call_id"
    event_time = "called_at"

    call_id: Identifier
    customer_id: Identifier | None = None
    called_at: Instant = _required("called_at", "call_date")
    reason_code: ShortText | None = None


class RescheduleRecord(Record):
    """One move of a session to another time. A session moved twice has two."""

    key = "reschedule_id"
    event_time = "rescheduled_at"

    reschedule_id: Identifier
    session_id: Identifier
    tutor_id: Identifier | None = None
    customer_id: Identifier | None = _named("customer_id", "student_id")
    rescheduled_by: Literal["tutor", "student", "system"] | None = None
    reason_code: ShortText | None = _named("reason_code", "reason")
    original_start_at: Instant = _required("original_start_at", "original_start_time")
    new_start_at: Instant | None = _named("new_start_at", "new_start_time")
    rescheduled_at: Instant


class EngagementRecord(Record):
    """One thing that a tutor or customer did in the apps."""

    key = "event_id"
    event_time = "occurred_at"

    event_id: Identifier
    actor_type: Literal["tutor", "customer"]
    actor_id: Identifier
    event_type: ShortText
    occurred_at: Instant
    session_id: Identifier | None = None


Kind = Literal["sessions", "customers", "tutors", "inbound_calls", "reschedules", "engagement_events"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CONTRACTS: dict[Kind, type[Record]] = {
    "sessions": SessionRecord,
    "customers": CustomerRecord,
    "tutors": TutorRecord,
    "inbound_calls": CallRecord,
    "reschedules": RescheduleRecord,
    "engagement_events": EngagementRecord,
}
"""Every kind of record that can enter, and the contract that it must keep."""
