"""What the marketplace tells by webhook, and when: which moment of which record makes which message."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from app.mock_rails.clock import micros
from app.mock_rails.json_shapes import to_records
from app.mock_rails.state import state_at

Record = dict[str, Any]
PATIENCE = timedelta(minutes=10)
"""A tutor who has not joined so long after the planned start is reported as absent."""
TOLD_OF_ABSENCE = (
    "session_id", "tutor_id", "student_id", "subjects_covered", "session_start_time", "session_end_time",
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One webhook; its id names the cause, so a repeated delivery carries the same id."""

    message_id: str
    occurred_at: datetime
    body: str


@dataclass(frozen=True)
class Announcement:
    """A moment in the life of a record, and the type of the message that tells of it."""

    event_type: str
    kind: str
    moment: str

    @property
    def cause(self) -> str:
        """What happened, in one word: part of the message's id."""
        return self.moment.removesuffix("_at")


# A finished session is announced once; what is recorded about it later is an update.
ANNOUNCEMENTS = (
    Announcement("session.completed", "sessions", "finished_at"),
    Announcement("session.updated", "sessions", "student_feedback_at"),
    Announcement("session.updated", "sessions", "tutor_feedback_at"),
    Announcement("session.updated", "sessions", "followup_at"),
    Announcement("session.updated", "sessions", "summary_at"),
    Announcement("session.updated", "sessions", "touched_at"),
    Announcement("session.rescheduled", "reschedules", "rescheduled_at"),
    Announcement("tutor.no_show", "sessions", "absence_noticed_at"),
    Announcement("engagement.event", "engagement_events", "recorded_at"),
)


def iso(instant: datetime) -> str:
    """An instant as the API writes it: UTC, milliseconds."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def message_of(event_type: str, data: Record, occurred_at: datetime, *, cause: str | None = None) -> Message:
    """The message about one event. Its id is made of the cause (the type unless told), the record and the moment."""
    document = {"type": event_type, "timestamp": iso(occurred_at), "data": data}
    about = next(data[name] for name in ("reschedule_id", "event_id", "session_id") if data.get(name))
    name = (cause or event_type).replace(".", "_")
    message_id = f"msg_{name}_{about}_{micros(occurred_at) // 1000}"
    return Message(message_id, occurred_at, json.dumps(document, separators=(",", ":")))


def absence_of(session: Record, *, student_join_time: str | None) -> Record:
    """What is told of a tutor who has not joined: the session as planned, and whether the student waits."""
    told = {name: session[name] for name in TOLD_OF_ABSENCE}
    return told | {"tutor_join_time": None, "student_join_time": student_join_time}


class Announcements:
    """Everything that is ever announced in a world, in time."""

    def __init__(self, frames: Mapping[str, pl.DataFrame]) -> None:
        noticed = pl.when(pl.col("finished_at").is_not_null() & pl.col("tutor_join_at").is_null())
        self.frames = dict(frames) | {
            "sessions": frames["sessions"].with_columns(
                absence_noticed_at=noticed.then(pl.col("start_at") + PATIENCE)
            )
        }
        times, rows, causes = [], [], []
        for number, one in enumerate(ANNOUNCEMENTS):
            column = self.frames[one.kind][one.moment].cast(pl.Int64)
            rows.append(np.flatnonzero(column.is_not_null().to_numpy()))
            times.append(column.drop_nulls().to_numpy())
            causes.append(np.full(len(rows[-1]), number, dtype=np.int8))
        time = np.concatenate(times)
        order = np.argsort(time, kind="stable")
        self._times = time[order]
        self._rows, self._causes = np.concatenate(rows)[order], np.concatenate(causes)[order]

    def due(self, after: datetime, until: datetime) -> list[Message]:
        """The messages of the moments in (after, until], oldest first; each record as of its moment."""
        first = int(np.searchsorted(self._times, micros(after), side="right"))
        last = int(np.searchsorted(self._times, micros(until), side="right"))
        return [self._message(i) for i in range(first, last)]

    def _message(self, i: int) -> Message:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(self._times[i]))
        one, row = ANNOUNCEMENTS[self._causes[i]], int(self._rows[i])
        data = self._state(one.kind, row, moment)
        if one.event_type == "session.rescheduled":
            sessions = self.frames["sessions"]["session_id"]
            data["session"] = self._state("sessions", int(sessions.search_sorted(data["session_id"])), moment)
        if one.event_type == "tutor.no_show":
            joined = self.frames["sessions"]["student_join_at"][row]
            waits = joined is not None and joined <= moment
            data = absence_of(data, student_join_time=iso(joined) if waits else None)
        return message_of(one.event_type, data, moment, cause=one.cause)

    def _state(self, kind: str, row: int, moment: datetime) -> Record:
        return to_records(kind, state_at(kind, self.frames[kind][row : row + 1], moment))[0]
