"""Taking in history from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.terminal import house, out

if TYPE_CHECKING:
    from assets.ingest.files import Refused


def import_(
    file: Path,
    mapping: Annotated[Path, typer.Option(help="YAML file that says how the file's columns become a record")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="read and judge everything, store nothing")
    ] = False,
    show: Annotated[
        int, typer.Option(min=0, help="with --dry-run: print so many records as they would come in")
    ] = 0,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="do not go on where a stopped import ended")
    ] = False,
    refusals: Annotated[
        Path | None, typer.Option(help="CSV to write: one row for each refused record, with its line")
    ] = None,
    mail_to: Annotated[
        list[str] | None, typer.Option(help="mail the report to this address; may be repeated")
    ] = None,
) -> None:
    """Take in history from a file. A second import of the same file adds nothing; a stopped one goes on."""
    from assets.act.import_reports import mail_report
    from orchestration.importing import import_with_progress, rehearse_with_progress

    addresses = mail_to or []
    if dry_run and from_start:
        raise ValueError("--from-start does not go with --dry-run: a rehearsal always reads everything")
    _refuse_contradictions(file, mapping, refusals, addresses, dry_run=dry_run, show=show)
    ours = house()
    with _written(refusals) as refused:
        if dry_run:
            report = rehearse_with_progress(ours, file, mapping, console=out, refused=refused, show=show)
        else:
            report = import_with_progress(
                ours, file, mapping, console=out, refused=refused, from_start=from_start
            )
    # The report holds values of the file: what looks like markup in it is none.
    out.print(report.render(), highlight=False, markup=False, soft_wrap=True)
    if refusals is not None:
        out.print(f"\n{report.quarantined_count:,} refused records are in {refusals}", highlight=False)
    if addresses:
        new = mail_report(ours, report, addresses)
        known = len(addresses) - new
        told = f", {known} had it already" if known else ""
        out.print(f"\nreport mailed to {new} of {len(addresses)} addresses{told}", highlight=False)
    if dry_run and report.is_refused_wholly:
        raise typer.Exit(1)


def _refuse_contradictions(
    file: Path, mapping: Path, refusals: Path | None, addresses: list[str], *, dry_run: bool, show: int
) -> None:
    """Refuse what cannot be meant, before anything is read."""
    from notifications.message import refuse_bad_address

    if show and not dry_run:
        raise ValueError("--show goes with --dry-run: an import does not print records")
    if dry_run and addresses:
        raise ValueError(
            "--mail-to does not go with --dry-run: nothing came in that somebody could be told of"
        )
    if refusals is not None and refusals.absolute() in (file.absolute(), mapping.absolute()):
        raise ValueError(f"--refusals {refusals} would overwrite what is imported; name another file")
    for address in addresses:
        refuse_bad_address(address)


@contextmanager
def _written(path: Path | None) -> Iterator[Refused]:
    from assets.ingest.files import unwritten
    from assets.ingest.refusals import RefusalFile

    if path is None:
        yield unwritten
    else:
        with RefusalFile(path) as file:
            yield file.write
