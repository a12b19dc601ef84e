"""Judges one session within seconds of its webhook, by the same SQL and the same rulebook as the warehouse (S19).

A flag opens an alert episode under the key that the fast lane finds later; the fast lane then adds nothing. Records
are mended before by the corrections that ingestion applies to them, for the same reason.
History is not at hand here, so whether a session is a first one is what the source says; the warehouse derives it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import duckdb
import polars as pl
import structlog

from data.clock import Clock, business_date
from data.contracts import Correction
from data.contracts import judge as judge_records
from data.contracts.messages import Message
from data.operations.observe import Candidate, observe
from data.operations.store import Operations
from data.rulebook import alert_rules, seed, session_flags_sql
from data.settings import Settings

log = structlog.get_logger("chalkline.receiver")

GATHER_SECONDS = 0.5
"""So long the first message waits for company. A flag is due within five seconds."""
MOST_AT_ONCE = 200
"""So many waiting messages are judged together: more would keep the first of them waiting."""

INSTANTS = (
    "scheduled_start_at",
    "scheduled_end_at",
    "tutor_joined_at",
    "tutor_left_at",
    "customer_joined_at",
    "customer_left_at",
)


class SessionFlagger:
    """Flags session rows by the warehouse's own SQL, in memory. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._connection = duckdb.connect(":memory:", config={"threads": "1"})
        self._connection.register("session_flag_rules", seed(settings, "session_flag_rules"))
        self._sql = session_flags_sql(settings, records="records", rules="session_flag_rules")

    def flags(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one row per session and broken rule: session_id, rule_code, severity, measure, value, threshold.

        rows keep the session contract.
        """
        if not rows:
            return []
        types: dict[str, Any] = dict.fromkeys(INSTANTS, pl.Datetime("us"))
        types |= {"student_rating": pl.Float64, "reported_late": pl.Boolean, "is_first_reported": pl.Boolean}
        records = pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None).with_columns(
            pl.col("is_first_reported").alias("is_first")
        )
        with self._lock:
            self._connection.register("records", records)
            try:
                return self._connection.execute(self._sql).pl().to_dicts()
            finally:
                self._connection.unregister("records")


class InstantJudge:
    """Opens an episode for each rule that the session of a webhook breaks."""

    def __init__(
        self,
        settings: Settings,
        operations: Operations,
        clock: Clock,
        corrections: Callable[[], Sequence[Correction]] = tuple,
    ) -> None:
        self._flagger = SessionFlagger(settings)
        self._rules = alert_rules(settings)
        self._operations = operations
        self._clock = clock
        self._corrections = corrections
        self._time_zone = settings.business_time_zone

    def judge(self, *messages: Message) -> None:
        """Judge messages. Does nothing for a record that its contract refuses: ingestion explains that one.

        Of several versions of one session the worst finding of each rule counts, as if they had come one by one.
        """
        sessions = [part.record for message in messages for part in message.parts if part.kind == "sessions"]
        rows = judge_records("sessions", sessions, corrections=self._corrections()).rows
        flags = self._flagger.flags(rows)
        if not flags:
            return
        now = self._clock.now()
        by_id = {row["session_id"]: row for row in rows}
        with self._operations.session() as session:
            report = observe(
                session,
                [candidate_of(flag, by_id[flag["session_id"]]) for flag in flags],
                self._rules,
                as_of_date=business_date(now, self._time_zone),
                publication_id=None,
                now=now,
                compose=lambda _: (),
                is_partial=True,
            )
        flagged = sorted({flag["session_id"] for flag in flags})
        log.info("sessions_flagged", session_ids=flagged, opened=report.count("opened"))


class JudgeLine:
    """Judges messages in a thread of its own, those that come within a moment together.

    One query costs as much for a hundred messages as for one, and while it runs, acknowledgements wait for the
    interpreter: a burst must not pay for each of its messages. What still waits when the process dies is judged by
    the fast lane.
    """

    def __init__(self, judge: Callable[..., None], *, gather_seconds: float = GATHER_SECONDS) -> None:
        self._judge = judge
        self._gather_seconds = gather_seconds
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Put a message in line. Returns at once."""
        self._waiting.put(message)

    def close(self) -> None:
        """Judge what waits, then end."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._closing.wait(self._gather_seconds)
            batch = [first]
            while len(batch) < MOST_AT_ONCE and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            self._judge_batch(batch)

    def _judge_batch(self, batch: list[Message]) -> None:
        try:
            self._judge(*batch)
        except Exception as error:
            log.exception("instant_judgement_failed", messages=len(batch), error=type(error).__name__)
            if len(batch) > 1:  # one that cannot be judged does not take the others with it
                for message in batch:
                    self._judge_batch([message])


def candidate_of(flag: dict[str, Any], row: dict[str, Any]) -> Candidate:
    """Return the alert candidate of a flagged session, as marts.fct_alert_candidates names it."""
    ended_at = row["scheduled_end_at"] or row["tutor_left_at"] or row["scheduled_start_at"]
    return Candidate(
        alert_key=f"{flag['rule_code']}:session:{flag['session_id']}",
        rule_code=flag["rule_code"],
        entity_type="session",
        entity_id=flag["session_id"],
        severity=flag["severity"],
        evidence={
            "measure": flag["measure"],
            "value": flag["value"],
            "threshold": flag["threshold"],
            "scheduled_start_at": row["scheduled_start_at"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "subject_id": row["subject_id"],
        },
        tutor_id=row["tutor_id"],
        customer_id=row["customer_id"],
        session_id=flag["session_id"],
        occurred_at=ended_at.replace(tzinfo=UTC),
    )
