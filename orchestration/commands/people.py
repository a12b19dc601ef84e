"""Requests of one person about their own data: erasing it, and handing it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from data.contracts.personal import Person, PersonKind
from orchestration.commands.terminal import ACTOR, err, house, out

if TYPE_CHECKING:
    from orchestration.erasing import ErasureReport

Kind = Annotated[str, typer.Argument(help="customer or tutor")]
Identifier = Annotated[str, typer.Argument(help="as the marketplace and the pages show it")]

ELSEWHERE = (
    "not in our hands: the marketplace itself, mail that left, files that were downloaded, and backups until they "
    "expire; Postgres' log keeps what it wrote until it is recycled (docs/personal-data.md)"
)


def erase(
    kind: Kind,
    person_id: Identifier,
    note: Annotated[str, typer.Option(help="why: who asked, and when")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count what would go, change nothing")] = False,
) -> None:
    """Erase what is personal of one person, and prove it. Exits 1 if anything is left. Safe to run again."""
    from orchestration.erasing import erase_person, rehearse

    person, ours = _person(kind, person_id), house()
    if dry_run:
        _print(rehearse(ours, person), is_rehearsal=True)
        return
    if not note.strip():
        raise ValueError("an erasure needs a --note: who asked for it, and when")
    report = erase_person(ours, person, note=note, actor=ACTOR, say=lambda line: out.print(f"  {line}"))
    _print(report, is_rehearsal=False)
    if not report.is_whole:
        err.print(f"[red]not finished[/]: something personal of {person} is left; run the same command again")
        raise typer.Exit(1)
    out.print(f"{person} is erased; {ELSEWHERE}", soft_wrap=True, highlight=False)


def export_person(
    kind: Kind,
    person_id: Identifier,
    to: Annotated[Path, typer.Option("--out", help="an empty folder, or one that is not there yet")],
) -> None:
    """Write everything that is held about one person into a folder, with a page that says what is what."""
    from orchestration.exporting import export

    files = export(house(), _person(kind, person_id), to, actor=ACTOR)
    out.print(f"{len(files)} files in {to}; begin with README.md", soft_wrap=True, highlight=False)


def _person(kind: str, person_id: str) -> Person:
    for known in get_args(PersonKind):
        if kind == known:
            return Person(known, person_id)
    raise ValueError(f"{kind!r} is nobody whose data is kept; say customer or tutor")


def _print(report: ErasureReport, *, is_rehearsal: bool) -> None:
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("place")
    table.add_column("holds now" if is_rehearsal else "before", justify="right")
    if not is_rehearsal:
        table.add_column("left", justify="right")
    for place, count in report.before.items():
        table.add_row(place, str(count), *(() if is_rehearsal else (str(report.after[place]),)))
    out.print(table)
    left_out = f"; left out: {report.shared} that others share, {report.short} too short to search for"
    out.print(f"searched for {report.searched} spellings{left_out}", soft_wrap=True, highlight=False)
