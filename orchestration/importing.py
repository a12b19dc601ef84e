"""Imports for the command line and for a day: files found, progress shown, reports kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from assets.ingest.files import import_file
from assets.ingest.mapping import MAPPINGS, load_mapping
from assets.ingest.real_files import RealSet, import_tasks
from assets.ingest.report import ImportReport
from data.clock import Clock
from data.lake.writer import open_writer
from data.settings import Settings

if TYPE_CHECKING:
    from assets.resources import House

HISTORY = ("tutors", "customers", "sessions", "inbound_calls", "engagement_events")
"""Kinds of the marketplace's own export, one file each."""


def import_with_progress(
    settings: Settings, clock: Clock, file: Path, mapping: Path, *, console: Console
) -> ImportReport:
    """Import one file with a progress bar. The report is also kept in the state folder, as text."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with open_writer(settings) as lake, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(file.name, total=None)
        report = import_file(
            lake,
            file,
            load_mapping(mapping),
            clock=clock,
            business_time_zone=settings.business_time_zone,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _keep(settings, report, mapping)
    return report


def import_stream(house: House, real_set: RealSet, *, console: Console) -> str:
    """Import a real data set by the mappings that ship. Returns one line per file."""
    lines = []
    for task in import_tasks(real_set, house.settings):
        report = import_with_progress(house.settings, house.clock, task.file, task.mapping, console=console)
        lines.append(_line(report))
    return "; ".join(lines)


def import_history(house: House, folder: Path, *, console: Console) -> str:
    """Import the marketplace's own export, one file per kind."""
    lines = []
    for kind in HISTORY:
        report = import_with_progress(
            house.settings,
            house.clock,
            folder / f"{kind}.parquet",
            MAPPINGS / f"marketplace_{kind}.yml",
            console=console,
        )
        lines.append(_line(report))
    return "; ".join(lines)


def _line(report: ImportReport) -> str:
    refused = f", {report.quarantined_count:,} quarantined" if report.quarantined_count else ""
    known = f", {report.duplicate_count:,} known already" if report.duplicate_count else ""
    return f"{report.loaded_count:,} {report.kind}{known}{refused}"


def _keep(settings: Settings, report: ImportReport, mapping: Path) -> None:
    folder = settings.state / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{mapping.stem}.txt").write_text(report.render() + "\n")
