"""The quarantine on the page: causes, one cause with its records, a correction tried and decided, and what came of it.

What belongs here: drawing and the forms. What does not: reading (app.dashboard.quarantine) and deciding (actions.py).
"""

from __future__ import annotations

import json
from typing import Any, cast

import polars as pl
import streamlit as st

from app.dashboard import access, actions, quarantine, stores, wording
from app.dashboard.components import address, page
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.quarantine import Cause
from data.contracts import Correction
from data.contracts.corrections import Action
from data.contracts.mending import advice
from data.contracts.rehearsal import Rehearsal
from data.lake.waiting import QuarantinedRecord
from data.operations.tables import CorrectionRow, ReplayRequest

SHOWN = 15
EXAMPLES = 3
LONGEST = 4_000
"""An example is shown up to this many characters."""
ACTIONS: dict[Action, str] = {
    "rename": "It is called otherwise",
    "replace": "Replace a value",
    "clear": "Clear it",
    "fill": "Fill it where it is empty",
    "parse_time": "Read a time written another way",
}


def draw(causes: pl.DataFrame, lens: Lens) -> None:
    """Draw what waits, grouped by cause, with what to do. Who may mend data opens a cause by its row."""
    may_open = access.may(lens.person, "mend_data")
    page.section(
        "Quarantine",
        "What was refused and waits, by cause. Nothing is lost: it can be mended and judged again."
        + (" A row opens the cause." if may_open else ""),
    )
    waiting = causes.filter(pl.col("waiting_count") > 0)
    table(
        (
            Column("Cause", first=True),
            Column("Feed", wide=True),
            Column("Waiting", right=True),
            Column("First and last seen", right=True, tight=True, wide=True),
            Column("What to do", wide=True, width="30%"),
        ),
        [_cause_row(row, lens) for row in waiting.head(SHOWN).iter_rows(named=True)],
        key="health.quarantine",
        label="Quarantine",
        nothing="Nothing waits in quarantine.",
        on_open=address.opener("cause") if may_open else None,
    )
    settled = int(causes["settled_count"].sum() or 0)
    notes = [f"The largest {SHOWN} of {waiting.height:,} causes."] if waiting.height > SHOWN else []
    if settled:
        notes.append(f"{wording.count(settled, 'record')} were refused earlier and are settled.")
    if notes:
        st.caption(" ".join(notes))


def _cause_row(row: dict[str, Any], lens: Lens) -> Row:
    cause = Cause.of(row)
    return Row(
        [
            Cell(cause.field or "no field", sub=cause.reason or "no reason recorded"),
            Cell(wording.label(cause.kind), sub=wording.label(cause.source)),
            Cell(
                wording.number(row["waiting_count"]),
                sub=f"came {wording.count(row['sighting_count'], 'time')}",
            ),
            Cell(
                wording.moment(row["first_seen_at"], lens.zone),
                sub=wording.moment(row["last_seen_at"], lens.zone),
            ),
            Cell(advice(cause.field, cause.reason).text),
        ],
        id=cause.key,
    )


def replays(lens: Lens) -> None:
    """Draw what people decided about the quarantine last, and what came of it."""
    found = quarantine.replays(lens.person)
    if not found:
        return
    page.section(
        "Decisions about the quarantine",
        "Newest first. A replay judges records again; nothing is loaded twice.",
    )
    now = stores.clock().now()
    table(
        (
            Column("What", first=True),
            Column("Asked", right=True, tight=True, wide=True),
            Column("What came of it"),
        ),
        [
            Row(
                [
                    Cell(*_said_of_request(one)),
                    Cell(wording.ago(one.requested_at, now), sub=f"by {one.requested_by}"),
                    Cell(outcome_of(one)),
                ]
            )
            for one in found
        ],
        key="health.replays",
        label="Decisions about the quarantine",
    )


def _said_of_request(one: ReplayRequest) -> tuple[str, str]:
    """Return what somebody asked for, and beside it for which source and why."""
    what = ", ".join(
        part for part in (wording.label(one.kind) if one.kind else "every kind", one.field) if part
    )
    source = wording.label(one.source) if one.source else "every source"
    verb = "Give up" if one.action == "discard" else "Judge again"
    return f"{verb}: {what}", " · ".join(part for part in (source, one.note) if part)


def outcome_of(one: ReplayRequest) -> str:
    """Return in words what came of a decision."""
    said = one.outcome
    if said is None:
        return "waits for its turn"
    if one.action == "discard":
        return f"{wording.count(said.get('discarded'), 'record')} given up"
    parts = [f"{wording.number(said.get('loaded'))} of {wording.number(said.get('tried'))} loaded"]
    if said.get("duplicate"):
        parts.append(f"{wording.number(said['duplicate'])} known already")
    refused = said.get("still_refused") or []
    if refused:
        count = sum(int(cause["count"]) for cause in refused)
        parts.append(f"{count:,} still refused, most for {refused[0]['field']}")
    if said.get("not_whole"):
        parts.append(f"{wording.number(said['not_whole'])} too long to be judged again")
    return ", ".join(parts)


def detail(lens: Lens, causes: pl.DataFrame, key: str) -> None:
    """Draw one cause: its records, and what can be decided about it."""
    address.back("All of data health", "cause")
    outcome = st.session_state.pop("cause.outcome", None)
    if outcome is not None:
        (st.success if isinstance(outcome, actions.Done) else st.warning)(outcome.text)
    row = quarantine.find(causes, key)
    if row is None:
        page.empty("No such cause.", "It is not in this version: what it held back may be settled.")
        return
    cause = Cause.of(row)
    st.subheader(
        page.plain(f"{cause.field or 'no field'}: {cause.reason or 'no reason recorded'}"), anchor=False
    )
    page.facts(
        [
            ("feed", f"{wording.label(cause.kind)}, {wording.label(cause.source)}"),
            ("waiting", wording.number(row["waiting_count"])),
            ("came", wording.count(row["sighting_count"], "time")),
            ("on", wording.count(row["affected_day_count"], "day")),
            ("first", wording.moment(row["first_seen_at"], lens.zone)),
            ("last", wording.moment(row["last_seen_at"], lens.zone)),
        ]
    )
    records = quarantine.records_of(lens, cause)
    if not records:
        page.empty(
            "Nothing waits for this cause any more.", "Newer decisions have settled what it held back."
        )
        replays(lens)
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        _examples(records)
    with right:
        _mend(lens, cause, records, _sources_of(causes, cause))
        _in_force(lens, cause)
        _judge_again(lens, cause)
        _give_up(lens, cause)
    replays(lens)


def _examples(records: list[QuarantinedRecord]) -> None:
    page.section("Examples", "As they came, oldest first. That you looked is in the audit log.")
    for one in records[:EXAMPLES]:
        with st.container(border=True):
            page.facts([("record", one.record_id or "without an id"), ("value", (one.value or "")[:120])])
            if not one.is_whole:
                st.caption("It was too long to be kept whole, so it cannot be judged again.")
                continue
            with st.expander("The whole record"):
                st.code(
                    json.dumps(one.record, indent=2, default=str)[:LONGEST], language="json", wrap_lines=True
                )


def _mend(lens: Lens, cause: Cause, records: list[QuarantinedRecord], sources: list[str]) -> None:
    page.section("Mend it", advice(cause.field, cause.reason).text)
    correction, problem = _described(cause, records)
    rehearsal = quarantine.rehearsal(lens.person, cause, records, correction)
    _tell(rehearsal, problem, len(records))
    chosen = st.multiselect("For these feeds", sources, default=[cause.source], format_func=wording.label)
    note = st.text_input("Why", placeholder="One line is enough.", key="cause.note")
    again = st.checkbox("Judge what waits again", value=True)
    if st.button("Put it in force", type="primary", disabled=correction is None):
        assert correction is not None
        _finish(
            actions.correct(
                lens.person,
                sources=chosen,
                kind=cause.kind,
                correction=correction,
                note=note,
                judge_again=again,
            )
        )


def _described(cause: Cause, records: list[QuarantinedRecord]) -> tuple[Correction | None, str | None]:
    """Return the correction that the inputs describe, or why there is none yet."""
    suggested = advice(cause.field, cause.reason).action
    kinds = list(ACTIONS)
    action = st.selectbox(
        "What is wrong",
        kinds,
        index=kinds.index(suggested) if suggested else 0,
        format_func=lambda one: ACTIONS[cast(Action, one)],
    )
    names = _names_in(records)
    first = _suggested_name(cause, names, action)
    field = st.selectbox(
        "Field, as the source calls it",
        names,
        index=names.index(first) if first in names else 0,
        accept_new_options=True,
    )
    old, new = _values(action, cause, records)
    if not field:
        return None, "Choose the field."
    try:
        return Correction(action, str(field), old or None, new or None), None
    except ValueError as error:
        return None, f"{str(error)[:1].upper()}{str(error)[1:]}."


def _values(action: Action, cause: Cause, records: list[QuarantinedRecord]) -> tuple[str, str]:
    """Ask for what an action needs: the value or pattern it mends, and what becomes of it."""
    example = records[0].value or ""
    if action == "rename":
        return "", st.text_input("It is really", value=cause.field)
    if action == "fill":
        return "", st.text_input("With", help="JSON; other text stands for itself")
    if action == "clear":
        return st.text_input(
            "Only where it is (empty: always)", value=example, help="JSON; other text stands for itself"
        ), ""
    if action == "parse_time":
        pattern = st.text_input("Written as", placeholder="%m/%d/%Y %H:%M", help=f"Example: {example}"[:200])
        return pattern, st.text_input("By a clock in", value=stores.settings().business_time_zone)
    old = st.text_input("Where it is", value=example, help="JSON; other text stands for itself")
    return old, st.text_input("It becomes")


def _names_in(records: list[QuarantinedRecord]) -> list[str]:
    names: dict[str, None] = {}
    for one in records[:50]:
        if isinstance(one.record, dict):
            for name, value in one.record.items():
                names[str(name)] = None
                if isinstance(value, dict):
                    names.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
    return sorted(names)


def _suggested_name(cause: Cause, names: list[str], action: Action) -> str | None:
    # student_rating of a record may be student_feedback.rating of the source.
    if cause.field in names or action == "rename":
        return cause.field
    last = cause.field.rsplit(".", 1)[-1].rsplit("_", 1)[-1]
    return next((name for name in names if name.endswith(f".{last}")), None)


def _tell(rehearsal: Rehearsal, problem: str | None, read: int) -> None:
    if problem is not None:
        st.caption(problem)
    more = " of the oldest" if read >= quarantine.MOST_READ else ""
    tiles(
        [
            Tile(
                "Rehearsal",
                wording.number(rehearsal.passing),
                f"of {rehearsal.tried:,}{more}",
                tone="green"
                if rehearsal.passing == rehearsal.tried
                else "amber"
                if rehearsal.passing
                else "grey",
                note="would load" if problem is None else "would load as things stand",
            )
        ],
        key="cause.rehearsal",
        size="three",
    )
    for still in rehearsal.still_refused[:3]:
        st.caption(f"{still.count:,} still for {page.plain(still.field)}: {page.plain(still.reason)}")


def _in_force(lens: Lens, cause: Cause) -> None:
    rows = quarantine.corrections(lens.person, cause)
    if not rows:
        return
    with st.expander(f"In force for this feed ({len(rows)})"):
        for row in rows:
            st.markdown(f"**{page.plain(said_of_correction(row))}**  \n:gray[{page.plain(row.note)}]")
            if st.button("End it", key=f"cause.retire.{row.correction_id}"):
                _finish(actions.retire_correction(lens.person, row.correction_id))


def said_of_correction(row: CorrectionRow) -> str:
    """Return a correction in words."""
    said = {
        "rename": f"{row.field} is {row.new_value}",
        "replace": f"{row.field}: {row.old_value} becomes {row.new_value}",
        "clear": f"{row.field} is cleared" + (f" where it is {row.old_value}" if row.old_value else ""),
        "fill": f"{row.field} becomes {row.new_value} where it is empty",
        "parse_time": f"{row.field} is a time like {row.old_value} in {row.new_value}",
    }
    return said[row.action]


def _judge_again(lens: Lens, cause: Cause) -> None:
    with st.expander("Judge again as things stand"):
        st.write(
            "After a new version or a mend at the source. What passes is loaded, the rest goes on waiting."
        )
        if st.button("Judge again", key="cause.replay"):
            _finish(actions.ask_replay(lens.person, cause.scope))


def _give_up(lens: Lens, cause: Cause) -> None:
    with st.expander("Give these records up"), st.form("cause.give_up", border=False):
        st.write("They leave the list for good, also when they come again. Their text is kept.")
        note = st.text_input("Why are they not worth having")
        if st.form_submit_button("Give up"):
            _finish(actions.give_up(lens.person, cause.scope, note=note))


def _sources_of(causes: pl.DataFrame, cause: Cause) -> list[str]:
    known = causes.filter(pl.col("kind") == cause.kind)["source"].unique().to_list()
    return sorted({cause.source, *known, "rails.pull", "rails.webhook"})


def _finish(outcome: actions.Outcome) -> None:
    st.session_state["cause.outcome"] = outcome
    st.rerun()
