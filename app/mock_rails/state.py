"""What a record looks like at an instant. Nothing stored changes: a state is a function of the clock.

The columns are those of the export; `json_shapes` turns them into the bodies of the API.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache

import polars as pl

GOALS = (1, 2, 3)
FILES = "https://files.example.com"
# Per kind: its id, and every moment at which a record changes; the first one is its birth.
IDS = {
    "sessions": "session_id",
    "customers": "customer_id",
    "tutors": "tutor_id",
    "inbound_calls": "call_id",
    "reschedules": "reschedule_id",
    "engagement_events": "event_id",
}
MOMENTS: dict[str, tuple[str, ...]] = {
    "sessions": (
        "booked_at", "first_moved_at", "rescheduled_at", "cancelled_at", "finished_at",
        "student_feedback_at", "tutor_feedback_at", "followup_at", "summary_at", "touched_at",
    ),
    "customers": (
        "signed_up_at", "deactivated_at", "profile_edited_at",
        *(f"goal_{n}_{what}_at" for n in GOALS for what in ("set", "completed")),
    ),
    "tutors": ("hired_at", "leave_told_at", "deactivated_at", "profile_edited_at"),
    "inbound_calls": ("logged_at", "classified_at"),
    "reschedules": ("rescheduled_at",),
    "engagement_events": ("recorded_at",),
}  # fmt: skip


# The instant is a column, so that the expressions are built once and not for every page.
NOW = "asked_at"


def _seen(moment: str) -> pl.Expr:
    """Whether a moment has come; a null moment never comes."""
    return (pl.col(moment) <= pl.col(NOW)).fill_null(False)


def _when(moment: str, value: str | pl.Expr) -> pl.Expr:
    column = pl.col(value) if isinstance(value, str) else value
    return pl.when(_seen(moment)).then(column)


def _updated_at(kind: str) -> pl.Expr:
    return pl.max_horizontal([_when(m, m) for m in MOMENTS[kind]]).alias("updated_at")


def _file(folder: str, ending: str) -> pl.Expr:
    return pl.lit(f"{FILES}/{folder}/") + pl.col("session_id") + pl.lit(ending)


def _session_columns() -> list[pl.Expr]:
    def moved(edge: str) -> pl.Expr:
        waits = pl.col("rescheduled_at") > pl.col(NOW)
        interim = pl.when(waits & _seen("first_moved_at")).then(pl.col(f"interim_{edge}"))
        return interim.when(waits).then(pl.col(f"original_{edge}")).otherwise(pl.col(edge))

    ended = pl.when(_seen("cancelled_at")).then(pl.lit("cancelled"))
    status = ended.when(_seen("finished_at")).then(pl.lit("finished")).otherwise(pl.lit("scheduled"))
    presence = [
        _when("finished_at", f"{who}_{what}_at").alias(f"{who}_{what}_time")
        for who in ("tutor", "student")
        for what in ("join", "leave")
    ]
    feedback = [
        column
        for who in ("tutor", "student")
        for column in (
            _when(f"{who}_feedback_at", f"{who}_rating").alias(f"{who}_feedback_rating"),
            _when(f"{who}_feedback_at", f"{who}_comment").alias(f"{who}_feedback_description"),
        )
    ]
    return [
        pl.col("session_id"),
        pl.col("tutor_id"),
        pl.col("student_id"),
        pl.col("subjects_covered"),
        status.alias("status"),
        moved("start_at").alias("session_start_time"),
        moved("end_at").alias("session_end_time"),
        *presence,
        pl.col("is_first_session"),
        (_seen("rescheduled_at") | _seen("first_moved_at")).alias("was_rescheduled"),
        _when("rescheduled_at", "reschedule_count")
        .fill_null(_seen("first_moved_at").cast(pl.Int64))
        .alias("reschedule_count"),
        _when("rescheduled_at", "rescheduled_by")
        .fill_null(_when("first_moved_at", "first_moved_by"))
        .alias("rescheduled_by"),
        *feedback,
        _seen("followup_at").alias("student_booked_followup"),
        pl.col("booked_at"),
        _updated_at("sessions"),
        pl.when(_seen("finished_at") & pl.col("is_recorded"))
        .then(_file("recordings", ".mp4"))
        .alias("video_url"),
        _when("summary_at", _file("transcripts", ".json")).alias("transcript_url"),
        _when("summary_at", "ai_summary").alias("ai_summary"),
    ]


def _customer_columns() -> list[pl.Expr]:
    goals = [
        _when(
            f"goal_{n}_set_at",
            pl.struct(
                (pl.col("customer_id").str.replace("cus", "goal") + f"_{n}").alias("goal_id"),
                pl.col(f"goal_{n}_subject").alias("subject"),
                pl.col(f"goal_{n}_set_at").alias("set_at"),
                _when(f"goal_{n}_completed_at", f"goal_{n}_completed_at").alias("completed_at"),
            ),
        )
        for n in GOALS
    ]
    return [
        *map(
            pl.col,
            ("customer_id", "name", "email", "phone", "signed_up_at", "acquisition_channel", "time_zone"),
        ),
        (~_seen("deactivated_at")).alias("active"),
        pl.concat_list(goals).list.drop_nulls().alias("goals"),
        _updated_at("customers"),
    ]


def _tutor_columns() -> list[pl.Expr]:
    leave = _when(
        "leave_told_at", pl.struct(starts_on=pl.col("leave_starts_on"), ends_on=pl.col("leave_ends_on"))
    )
    return [
        *map(pl.col, ("tutor_id", "name", "email", "hired_at", "time_zone")),
        (~_seen("deactivated_at")).alias("active"),
        pl.col("subjects"),
        pl.col("availability"),
        pl.concat_list([leave]).list.drop_nulls().alias("leave"),
        _updated_at("tutors"),
    ]


def _call_columns() -> list[pl.Expr]:
    return [
        *map(pl.col, ("call_id", "customer_id")),
        pl.col("called_at").alias("call_date"),
        _when("classified_at", "reason_code").alias("reason_code"),
        _updated_at("inbound_calls"),
    ]


def _reschedule_columns() -> list[pl.Expr]:
    plain = ("reschedule_id", "session_id", "tutor_id", "student_id", "rescheduled_by", "reason")
    return [
        *map(pl.col, plain),
        pl.col("original_start_at").alias("original_start_time"),
        pl.col("new_start_at").alias("new_start_time"),
        pl.col("rescheduled_at"),
        _updated_at("reschedules"),
    ]


def _event_columns() -> list[pl.Expr]:
    plain = ("event_id", "actor_type", "actor_id", "event_type", "occurred_at", "session_id")
    return [*map(pl.col, plain), _updated_at("engagement_events")]


_COLUMNS: dict[str, Callable[[], list[pl.Expr]]] = {
    "sessions": _session_columns,
    "customers": _customer_columns,
    "tutors": _tutor_columns,
    "inbound_calls": _call_columns,
    "reschedules": _reschedule_columns,
    "engagement_events": _event_columns,
}


@cache
def _expressions(kind: str) -> list[pl.Expr]:
    return _COLUMNS[kind]()


def state_at(kind: str, rows: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """The records as they stand at an instant, in the order given; records not yet born are left out."""
    asked = rows.with_columns(pl.lit(at, dtype=pl.Datetime("us", "UTC")).alias(NOW))
    return asked.filter(_seen(MOMENTS[kind][0])).select(_expressions(kind))
