"""Records that were refused: look at them, mend them, judge them again, or give them up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.terminal import ACTOR, house, out

if TYPE_CHECKING:
    from data.contracts import Correction
    from data.contracts.rehearsal import Rehearsal

app = typer.Typer(no_args_is_help=True, help="Records that were refused.")

Source = Annotated[str | None, typer.Option(help="feed, such as rails.pull")]
KindOption = Annotated[str | None, typer.Option("--kind", help="kind of record, such as sessions")]
Field = Annotated[str | None, typer.Option(help="field that was wrong, as the list names it")]
Reason = Annotated[str | None, typer.Option(help="reason, as the list words it")]
Note = Annotated[str, typer.Option(help="why; kept with the decision")]
LONGEST = 2_000
"""A record is shown up to this many characters."""


@app.command("list")
def quarantine_list(
    settled: Annotated[
        bool, typer.Option("--settled", help="causes of which nothing waits any more, too")
    ] = False,
    limit: int = 50,
) -> None:
    """List what waits, grouped by cause, and what to do about each."""
    from orchestration.asking import print_rows
    from orchestration.quarantine import listed_causes

    print_rows(listed_causes(house(), with_settled=settled).head(limit), format="table", console=out)


@app.command("show")
def quarantine_show(
    source: Source = None,
    kind: KindOption = None,
    field: Field = None,
    reason: Reason = None,
    limit: int = 3,
    personal: Annotated[
        bool, typer.Option("--personal", help="with values and personal text; leaves a row in the audit log")
    ] = False,
) -> None:
    """Show a few refused records, oldest first."""
    from data.lake.waiting import Scope
    from orchestration.quarantine import examples

    found = examples(house(), Scope(source, kind, field, reason), limit=limit, personal=personal)
    for one in found:
        out.rule(f"{one.source} {one.kind} {one.record_id or 'without an id'}", align="left", style="dim")
        out.print(f"{one.field}: {one.reason}", highlight=False, markup=False, soft_wrap=True)
        if one.value is not None:
            out.print(f"value: {one.value}", highlight=False, markup=False, soft_wrap=True)
        text = (
            json.dumps(one.record, indent=2, default=str)
            if one.is_whole
            else "(not kept whole: it was too long)"
        )
        out.print(text[:LONGEST], highlight=False, markup=False, soft_wrap=True)
    hidden = "" if personal or not found else "; values and personal text are left out, see --personal"
    out.print(f"{len(found)} records{hidden}", highlight=False)


@app.command("fix")
def quarantine_fix(
    source: Annotated[list[str], typer.Option(help="feed that the correction is for; may be repeated")],
    kind: Annotated[str, typer.Option(help="kind of record, such as sessions")],
    field: Annotated[
        str, typer.Option(help="name in the record as the source sends it; a.b reaches one level in")
    ],
    note: Note,
    rename_to: Annotated[str | None, typer.Option(help="the field is really this one")] = None,
    replace: Annotated[str | None, typer.Option(metavar="OLD", help="where it is this, with --with")] = None,
    with_: Annotated[str | None, typer.Option("--with", metavar="NEW", help="it becomes this")] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="it becomes empty; with --only where it is that")
    ] = False,
    only: Annotated[
        str | None, typer.Option(metavar="VALUE", help="the value that --clear takes away")
    ] = None,
    fill: Annotated[
        str | None, typer.Option(metavar="VALUE", help="where it is empty, it becomes this")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="times are written so, as in %m/%d/%Y %H:%M")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="the zone of the clock that wrote them")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="rehearse, decide nothing")] = False,
) -> None:
    """Correct a habit of a source: for records to come and, after a replay, for those that wait.

    Values are JSON; text that is no JSON stands for itself. What it would do is always shown first.
    """
    from orchestration.quarantine import put_in_force, rehearsed

    correction = correction_of(field, rename_to, (replace, with_), (clear, only), fill, (time_format, zone))
    ours = house()
    rehearsal, not_whole = rehearsed(ours, sources=source, kind=kind, correction=correction)
    _tell_rehearsal(rehearsal, not_whole)
    if dry_run:
        out.print("nothing was decided; leave out --dry-run to put it in force")
        return
    rows = put_in_force(ours, sources=source, kind=kind, correction=correction, note=note)
    for row in rows:
        out.print(f"correction {row.correction_id} is in force for {row.source} {row.kind}", highlight=False)
    out.print("judge what waits again with `chalkline quarantine replay`")


def correction_of(
    field: str,
    rename_to: str | None,
    replaced: tuple[str | None, str | None],
    cleared: tuple[bool, str | None],
    fill: str | None,
    time: tuple[str | None, str | None],
) -> Correction:
    """Return the one correction that the options describe. Raises ValueError when it is none or several."""
    from data.contracts import Correction

    said = {
        "--rename-to": rename_to is not None,
        "--replace": replaced != (None, None),
        "--clear": cleared != (False, None),
        "--fill": fill is not None,
        "--time-format": time != (None, None),
    }
    chosen = [name for name, is_said in said.items() if is_said]
    if len(chosen) != 1:
        raise ValueError(
            f"say one of {', '.join(said)}" + (f"; you said {' and '.join(chosen)}" if chosen else "")
        )
    if chosen == ["--clear"] and not cleared[0]:
        raise ValueError("--only belongs to --clear")
    if rename_to is not None:
        return Correction("rename", field, new_value=rename_to)
    if fill is not None:
        return Correction("fill", field, new_value=fill)
    if cleared[0]:
        return Correction("clear", field, old_value=cleared[1])
    if time != (None, None):
        return Correction("parse_time", field, *time)
    return Correction("replace", field, *replaced)


def _tell_rehearsal(rehearsal: Rehearsal, not_whole: int) -> None:
    out.print(f"would load {rehearsal.passing:,} of {rehearsal.tried:,} waiting records", highlight=False)
    for cause in rehearsal.still_refused:
        out.print(f"  {cause.count:,} still for {cause.field}: {cause.reason}", highlight=False, markup=False)
    if not_whole:
        out.print(f"  {not_whole:,} were too long to be kept whole and cannot be tried", highlight=False)


@app.command("corrections")
def quarantine_corrections() -> None:
    """List the corrections in force, in the order in which they are applied."""
    import polars as pl

    from data.operations.corrections import corrections_in_force
    from orchestration.asking import print_rows

    with house().operations.session() as session:
        rows = [
            {
                "id": row.correction_id,
                "source": row.source,
                "kind": row.kind,
                "action": row.action,
                "field": row.field,
                "old_value": row.old_value,
                "new_value": row.new_value,
                "note": row.note,
                "created_by": row.created_by,
                "created_at": row.created_at,
            }
            for row in corrections_in_force(session)
        ]
    print_rows(pl.DataFrame(rows, infer_schema_length=None), format="table", console=out)


@app.command("retire")
def quarantine_retire(correction_id: int) -> None:
    """End a correction. What it mended stays."""
    from data.operations.corrections import retire_correction

    ours = house()
    with ours.operations.session() as session:
        row = retire_correction(session, correction_id, actor=ACTOR, now=ours.clock.now())
        told = f"correction {row.correction_id} of {row.source} {row.kind} is retired"
    out.print(told, highlight=False)


@app.command("replay")
def quarantine_replay(
    source: Source = None, kind: KindOption = None, field: Field = None, reason: Reason = None
) -> None:
    """Judge what waits again, by today's contracts and corrections. What passes is taken in; the rest waits on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from data.lake.waiting import Scope
    from orchestration.quarantine import replay_now

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("replay", total=None)
        account = replay_now(
            house(),
            Scope(source, kind, field, reason),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    out.print(
        f"tried {account['tried']:,}: {account['loaded']:,} loaded, {account['duplicate']:,} known already",
        highlight=False,
    )
    for cause in account["still_refused"]:
        line = f"  {cause['count']:,} still for {cause['field']}: {cause['reason']}"
        out.print(line, highlight=False, markup=False)
    if account["not_whole"]:
        out.print(f"  {account['not_whole']:,} were too long to be kept whole", highlight=False)
    if account["loaded"]:
        out.print("the next fast lane builds them; or `chalkline run fast`")


@app.command("discard")
def quarantine_discard(
    source: Annotated[str, typer.Option(help="feed, such as rails.pull")],
    kind: Annotated[str, typer.Option(help="kind of record, such as sessions")],
    note: Note,
    field: Field = None,
    reason: Reason = None,
) -> None:
    """Give up what waits, for good. Its text is kept; the same record does not wait again."""
    from data.lake.waiting import Scope
    from orchestration.quarantine import discard_now

    count = discard_now(house(), Scope(source, kind, field, reason), note=note)
    out.print(f"{count:,} records are given up", highlight=False)
