"""Imports for the command line and for a day: files found, progress shown, reports kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from assets.ingest.files import Progress, Refused, import_file, rehearse_file, unwritten
from assets.ingest.mapping import MAPPINGS, load_mapping
from assets.ingest.real_files import RealSet, import_tasks
from assets.ingest.report import ImportReport
from assets.ingest.unpacking import Limits
from data.settings import Settings

if TYPE_CHECKING:
    from assets.resources import House

HISTORY = ("tutors", "customers", "sessions", "inbound_calls", "reschedules", "engagement_events")
"""Kinds of the marketplace's own export, one file each."""


def import_with_progress(
    house: House,
    file: Path,
    mapping: Path,
    *,
    console: Console,
    refused: Refused = unwritten,
    from_start: bool = False,
) -> ImportReport:
    """Import one file with a progress bar. The report is also kept in the state folder, without refused values."""
    how = load_mapping(mapping)
    with house.lake() as lake, _progress(file, console) as progress:
        report = import_file(
            lake,
            file,
            how,
            clock=house.clock,
            business_time_zone=house.settings.business_time_zone,
            limits=Limits.of(house.settings),
            corrections=house.corrections,
            progress=progress,
            refused=refused,
            from_start=from_start,
        )
    _keep(house.settings, report, mapping)
    return report


def rehearse_with_progress(
    house: House,
    file: Path,
    mapping: Path,
    *,
    console: Console,
    refused: Refused = unwritten,
    show: int = 0,
) -> ImportReport:
    """Read, map and judge one file with a progress bar, and store nothing."""
    how = load_mapping(mapping)
    with _progress(file, console) as progress:
        return rehearse_file(
            file,
            how,
            limits=Limits.of(house.settings),
            corrections=house.corrections,
            progress=progress,
            refused=refused,
            show=show,
        )


@contextmanager
def _progress(file: Path, console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(file.name, total=None)
        told = False

        def progress(done: int, total: int) -> None:
            nonlocal told
            if done and not told:
                bar.console.print(f"goes on at {done:,} of {total:,}", highlight=False)
            told = True
            bar.update(task, completed=done, total=total)

        yield progress


def import_stream(house: House, real_set: RealSet, *, console: Console) -> str:
    """Import a real data set by the mappings that ship. Returns one line per file."""
    lines = []
    for task in import_tasks(real_set, house.settings):
        report = import_with_progress(house, task.file, task.mapping, console=console)
        lines.append(_line(report))
    return "; ".join(lines)


def import_history(house: House, folder: Path, *, console: Console) -> str:
    """Import the marketplace's own export, one file per kind."""
    lines = []
    for kind in HISTORY:
        file, mapping = folder / f"{kind}.parquet", MAPPINGS / f"marketplace_{kind}.yml"
        lines.append(_line(import_with_progress(house, file, mapping, console=console)))
    return "; ".join(lines)


def _line(report: ImportReport) -> str:
    refused = f", {report.quarantined_count:,} quarantined" if report.quarantined_count else ""
    known = f", {report.duplicate_count:,} known already" if report.duplicate_count else ""
    return f"{report.loaded_count:,} {report.kind}{known}{refused}"


def _keep(settings: Settings, report: ImportReport, mapping: Path) -> None:
    folder = settings.state / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{mapping.stem}.txt").write_text(report.render(with_values=False) + "\n")
