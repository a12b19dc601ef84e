"""Data health: how good the data is, what is late, what was refused, and which version readers see."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from app.dashboard import access, actions, health, history, queries, stores, wording
from app.dashboard.components import address, page, quality, quarantine
from app.dashboard.components.board import Cell, Column, Row, Tile, table, tiles
from app.dashboard.components.page import Lens
from app.dashboard.palette import Tone
from app.dashboard.rulebook import Rulebook

SHOWN = 15


def data_health() -> None:
    """Draw the page, or one cause of refusals where the address names it."""
    lens = page.begin(
        "Data health",
        "How good is the data, what is late, what was refused, and which version do readers see?",
        "see_data_health",
    )
    causes = health.quarantine(lens)
    cause = address.value_of("cause")
    if cause and access.may(lens.person, "mend_data"):
        quarantine.detail(lens, causes, cause)
        return
    freshness = health.source_freshness(lens)
    batches_by_day = health.ingestion_quality(lens)
    versions = history.versions(lens.person)
    headline(freshness, batches_by_day, causes, versions)
    quality.draw(health.source_quality(lens), Rulebook(queries.rulebook(lens)))
    left, right = st.columns([3, 2], gap="large")
    with left:
        feeds(freshness, lens)
    with right:
        quality.volume(health.feed_volume(lens))
    quality.drift(health.contract_drift(lens), lens)
    quarantine.draw(causes, lens)
    quarantine.replays(lens)
    batches(batches_by_day)
    left, right = st.columns([3, 2], gap="large")
    with left:
        sources(lens)
    with right:
        lanes(versions)
    published(lens, versions)


def headline(
    freshness: pl.DataFrame,
    batches_by_day: pl.DataFrame,
    causes: pl.DataFrame,
    versions: list[history.Version],
) -> None:
    """Answer first: feeds in trouble, lost records, refusals, failed checks."""
    late = [
        row["kind"] for row in freshness.iter_rows(named=True) if _state_of_feed(row)[1] in ("amber", "red")
    ]
    lost = batches_by_day.filter(~pl.col("is_conserved")).height
    waiting = int(causes["waiting_count"].sum() or 0)
    newest = versions[0] if versions else None
    failed = newest.failed_checks if newest else ()
    checks_run = newest.checks_run if newest else None
    tiles(
        [
            Tile(
                "Feeds in trouble",
                wording.number(len(late)),
                f"of {freshness.height}",
                tone="amber" if late else "green",
                note=wording.listed([wording.label(kind) for kind in late[:2]]) or "all read in time",
            ),
            Tile(
                "Days that do not add up",
                wording.number(lost),
                tone="red" if lost else "green",
                note="read = loaded + duplicate + quarantined",
            ),
            Tile(
                "In quarantine",
                wording.number(waiting),
                "records wait",
                tone="amber" if waiting else "green",
                note=_quarantine_note(causes),
            ),
            Tile(
                "Checks of this version",
                wording.number(len(failed) if checks_run is not None else None),
                "not passed",
                tone="red" if failed else "green" if checks_run else "",
                note=wording.listed(failed[:2]) or f"of {wording.number(checks_run)}",
            ),
        ],
        key="health.tiles",
    )


def feeds(freshness: pl.DataFrame, lens: Lens) -> None:
    """Draw how old the newest news of each feed is, and how it stands."""
    page.section("Feeds", "Ages at the moment this version was made.")
    table(
        (
            Column("Feed", first=True),
            Column("Read", right=True, tight=True, wide=True),
            Column("New rows", right=True, tight=True, wide=True),
            Column("Newest change", right=True, tight=True),
            Column("", tight=True),
        ),
        [_feed_row(row, lens) for row in freshness.iter_rows(named=True)],
        key="health.feeds",
        label="Feeds",
        nothing="Nothing has been read yet.",
    )
    for row in freshness.filter(pl.col("is_failing") | pl.col("is_held")).iter_rows(named=True):
        st.caption(
            f"{wording.label(row['kind'])}: {page.plain(row['last_reason'] or 'no reason recorded')}"
            + (f"; tried again {wording.moment(row['next_try_at'], lens.zone)}" if row["next_try_at"] else "")
        )


def _feed_row(row: dict[str, Any], lens: Lens) -> Row:
    state, tone = _state_of_feed(row)
    return Row(
        [
            Cell(wording.label(row["kind"]), sub=wording.label(row["source"])),
            Cell(_age(row["hours_since_read"])),
            Cell(_age(row["hours_since_loaded"])),
            Cell(_age(row["hours_since_change"]), sub=wording.moment(row["last_changed_at"], lens.zone)),
            Cell(state, chip=True, tone=tone),
        ]
    )


def _state_of_feed(row: dict[str, Any]) -> tuple[str, Tone]:
    """Return how a feed stands in a word, the worst first."""
    states: tuple[tuple[str, str, Tone], ...] = (
        ("is_held", "Held", "red"),
        ("is_failing", "Failing", "red"),
        ("is_silent", "Silent", "amber"),
        ("is_late", "Late", "amber"),
        ("is_clock_off", "Clock is off", "amber"),
        ("is_unusually_quiet", "Quieter than usual", "grey"),
    )
    return next(((word, tone) for column, word, tone in states if row[column]), ("In time", "green"))


def _quarantine_note(causes: pl.DataFrame) -> str:
    waiting = causes.filter(pl.col("waiting_count") > 0)
    if waiting.is_empty():
        return "nothing is held back"
    return f"for {wording.count(waiting.height, 'cause')}, most for {waiting['field'][0] or 'no field'}"


def lanes(versions: list[history.Version]) -> None:
    """Draw what each lane published last."""
    page.section("Lanes", "What each lane published last.")
    now = stores.clock().now()
    newest: dict[str, history.Version] = {}
    for one in versions:
        if one.rolled_back_to is None:
            newest.setdefault(one.lane, one)
    table(
        (Column("Lane", first=True), Column("Last", right=True, tight=True), Column("Checks", tight=True)),
        [
            Row(
                [
                    Cell(wording.label(lane), sub=f"version {one.version}"),
                    Cell(wording.ago(one.published_at, now)),
                    _checks_cell(one),
                ]
            )
            for lane, one in sorted(newest.items())
        ],
        key="health.lanes",
        label="Lanes",
        nothing="No lane has published yet.",
    )


def batches(batches_by_day: pl.DataFrame) -> None:
    """Draw what was read and what became of it."""
    page.section("Records by day", "Read = loaded + duplicate + quarantined, for every batch.")
    rows = batches_by_day.head(SHOWN)
    table(
        (
            Column("Day", first=True, tight=True),
            Column("Feed"),
            Column("Read", right=True),
            Column("Loaded", right=True, wide=True),
            Column("Duplicate", right=True, wide=True),
            Column("Quarantined", right=True, wide=True),
            Column("", tight=True),
        ),
        [
            Row(
                [
                    Cell(
                        wording.day(row["as_of_date"]),
                        sub=wording.count(row["batch_count"], "batch", "batches"),
                    ),
                    Cell(wording.label(row["kind"]), sub=wording.label(row["source"])),
                    Cell(wording.number(row["read_count"])),
                    Cell(wording.number(row["loaded_count"])),
                    Cell(wording.number(row["duplicate_count"])),
                    Cell(
                        wording.number(row["quarantined_count"]),
                        tone="amber" if row["quarantined_count"] else "",
                    ),
                    Cell(
                        "Adds up" if row["is_conserved"] else "Does not add up",
                        chip=True,
                        tone="green" if row["is_conserved"] else "red",
                    ),
                ]
            )
            for row in rows.iter_rows(named=True)
        ],
        key="health.batches",
        label="Records by day",
        nothing="No batch so far.",
    )
    if batches_by_day.height > SHOWN:
        st.caption(f"The newest {SHOWN} of {batches_by_day.height:,}.")


def sources(lens: Lens) -> None:
    """Draw what each source reports, since a missing value means nothing where nobody reports it."""
    page.section("What each source reports", "Where it says no, a missing value says nothing.")
    found = queries.sources(lens)
    kinds = [name for name in found.columns if name.startswith("reports_")]
    table(
        (
            Column("Source", first=True),
            *[
                Column(
                    wording.label(kind.removeprefix("reports_")), tight=True, wide=kind not in _SHOWN_SMALL
                )
                for kind in kinds
            ],
        ),
        [
            Row(
                [
                    Cell(wording.label(row["source"])),
                    *[Cell("yes" if row[kind] else "no", tone="" if row[kind] else "grey") for kind in kinds],
                ]
            )
            for row in found.iter_rows(named=True)
        ],
        key="health.sources",
        label="Sources",
        nothing="No source is known yet.",
    )


_SHOWN_SMALL = ("reports_ratings", "reports_attendance", "reports_availability")


def published(lens: Lens, versions: list[history.Version]) -> None:
    """Draw the published versions, and the way back to an older one."""
    page.section(
        "Published versions",
        "Readers see the first line. Versions only move forward: going back publishes the old one anew.",
    )
    outcome = st.session_state.pop("health.outcome", None)
    if outcome is not None:
        (st.success if isinstance(outcome, actions.Done) else st.warning)(outcome.text)
    hold = lens.published.hold
    if hold is not None:
        st.warning(
            f"Lanes are held since {wording.moment(hold.placed_at, lens.zone)}: {page.plain(hold.reason)}"
        )
        if access.may(lens.person, "roll_back") and st.button("Release the hold", key="health.release"):
            _finish(actions.release_hold(lens.person))
    table(
        (
            Column("Version", first=True, tight=True),
            Column("Data of", tight=True),
            Column("Lane"),
            Column("Published", right=True, tight=True),
            Column("Checks", tight=True, wide=True),
            Column("Note", wide=True),
        ),
        [
            Row(
                [
                    Cell(str(one.version), sub=f"snapshot {one.snapshot_id}"),
                    Cell(wording.day(one.as_of_date, year=True)),
                    Cell(wording.label(one.lane)),
                    Cell(wording.moment(one.published_at, lens.zone)),
                    _checks_cell(one),
                    Cell(
                        f"back to version {one.rolled_back_to}: {one.note or ''}"
                        if one.rolled_back_to
                        else one.note or ""
                    ),
                ],
                chosen=one.version == lens.published.version,
            )
            for one in versions[:SHOWN]
        ],
        key="health.versions",
        label="Published versions",
    )
    if access.may(lens.person, "roll_back"):
        roll_back(lens, versions)


def roll_back(lens: Lens, versions: list[history.Version]) -> None:
    """Draw the form that goes back to an older version; it wants a reason and the version typed again."""
    older = [one.version for one in versions if one.snapshot_id != lens.published.snapshot_id]
    if not older:
        return
    with st.expander("Go back to an older version"), st.form("rollback", border=False):
        st.write("Readers then see the older version, and lanes publish nothing until the hold is released.")
        version = st.selectbox("Version", older)
        reason = st.text_input("Why")
        typed = st.text_input("Type the version number to confirm")
        if st.form_submit_button("Go back"):
            if typed.strip() != str(version):
                _finish(actions.NotDone("The number typed is not the version chosen. Nothing was changed."))
            _finish(actions.roll_back(lens.person, int(version), reason=reason))


def _checks_cell(one: history.Version) -> Cell:
    if one.checks_run is None:
        return Cell(wording.NOTHING, sub="published by hand")
    failed = len(one.failed_checks)
    return Cell(
        f"{failed} not passed" if failed else f"{one.checks_run} passed",
        chip=True,
        tone="red" if failed else "green",
    )


def _age(hours: float | None) -> str:
    return wording.span(hours * 3600) if wording.is_known(hours) and hours is not None else "never"


def _finish(outcome: actions.Outcome) -> None:
    st.session_state["health.outcome"] = outcome
    st.rerun()


data_health()
