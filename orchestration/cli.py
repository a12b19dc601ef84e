"""The command line. Each command is a thin door: it parses, calls, prints, and names the next step on failure."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated, Literal

import typer
from rich.markup import escape

from orchestration.commands import feeds, imports, keys, people, quarantine, recompute, secret, users
from orchestration.commands.terminal import ACTOR, err, house, out, prepared

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
world_app = typer.Typer(no_args_is_help=True, help="The simulated marketplace.")
app.command("import")(imports.import_)
app.command()(recompute.recompute)
app.command()(people.erase)
app.command("export-person")(people.export_person)
app.add_typer(world_app, name="world")
app.add_typer(users.app, name="users")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(feeds.app, name="feeds")
app.add_typer(keys.app, name="keys")
app.add_typer(secret.app, name="secret")

Format = Literal["table", "csv", "json"]


def main() -> None:
    """Run the command line; print known failures as one line, without a traceback."""
    import duckdb
    import sqlalchemy as sa

    from assets.ingest.rails import SourceError
    from data.lake.connection import LakeError
    from data.operations.publications import PublicationNotFound

    try:
        app()
    except (
        SourceError,
        LakeError,
        PublicationNotFound,
        RuntimeError,
        ValueError,
        FileNotFoundError,
        duckdb.Error,
        sa.exc.SQLAlchemyError,
    ) as error:
        text = escape(str(error).strip())
        err.print(f"[red]{type(error).__name__}[/]: {text}", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def up(
    only: Annotated[
        list[str] | None, typer.Argument(help="these processes; all of them if none is named")
    ] = None,
) -> None:
    """Serve everything in the foreground: dashboard, Dagster, receiver, and the mock API of a simulated world."""
    from orchestration.serve import serve

    settings, _ = prepared()
    raise typer.Exit(serve(settings, only or ()))


@app.command()
def day(
    source: Annotated[str, typer.Option(help="world, incidents or flights")] = "world",
    profile: Annotated[str, typer.Option(help="world profile: tiny, demo or full")] = "demo",
    seed: int = 7,
) -> None:
    """Run a whole day of operations through every lane, then stop. Exits non-zero if anything failed."""
    from orchestration.day import run_day

    run_day(source=source, profile=profile, seed=seed, console=out)


@app.command()
def run(
    lane: str, as_of: Annotated[str | None, typer.Option(help="business date, YYYY-MM-DD")] = None
) -> None:
    """Run one lane in this process."""
    from orchestration.lanes import LaneRunner

    day = date.fromisoformat(as_of) if as_of else None
    result = LaneRunner(house()).run(lane, first=day, last=day)  # type: ignore[arg-type]
    out.print(f"lane {result.lane}: {result.materialized} assets built, run {result.run_id[:8]}")
    for check in result.failed_checks:
        out.print(f"[yellow]check failed[/] {check}")


@app.command()
def backfill(first: str, last: str, full_refresh: bool = False) -> None:
    """Build every mart for a range of business dates in one run, then publish."""
    from orchestration.lanes import LaneRunner

    result = LaneRunner(house()).run(
        "nightly",
        first=date.fromisoformat(first),
        last=date.fromisoformat(last),
        full_refresh=full_refresh,
    )
    out.print(f"{first} to {last}: {result.materialized} assets built in run {result.run_id[:8]}")


@app.command()
def sql(
    query: str,
    version: Annotated[
        int | None, typer.Option(help="a published version; the current one by default")
    ] = None,
    format: Annotated[Format, typer.Option(help="how to print")] = "table",
) -> None:
    """Ask the published marts. Read-only; personal data cannot be reached from here."""
    from orchestration.asking import ask, print_rows

    settings, _ = prepared()
    print_rows(ask(settings, query, version=version), format=format, console=out)


@app.command()
def publish() -> None:
    """Release a hold, so that lanes publish again, and publish the newest build."""
    from data.operations import publications

    ours = house()
    with ours.operations.session() as session:
        hold = publications.release_hold(session, actor=ACTOR, now=ours.clock.now())
    with ours.alone(), ours.lake() as lake:
        snapshot = lake.snapshot_id()
        with ours.operations.session() as session:
            outcome = publications.publish(
                session,
                snapshot_id=snapshot,
                lane="by hand",
                as_of_date=ours.today(),
                checks={"by": "command line"},
                now=ours.clock.now(),
            )
            text = (
                outcome.text
                if isinstance(outcome, publications.Held)
                else f"version {outcome.publication_id}"
            )
    out.print(("the hold is released; " if hold else "") + f"readers now see {text}")


@app.command()
def rollback(version: int) -> None:
    """Put an older version back in front of readers and hold it there until `chalkline publish`."""
    from data.operations import publications

    ours = house()
    with ours.operations.session() as session:
        row = publications.rollback(session, version, actor=ACTOR, now=ours.clock.now())
        text = (
            f"version {row.publication_id} shows again what version {version} showed (as of {row.as_of_date})"
        )
    out.print(f"{text}; lanes do not publish over it until `chalkline publish`")


@app.command()
def versions(limit: int = 20) -> None:
    """List the published versions, newest first."""
    from orchestration.asking import print_rows, published_versions

    print_rows(published_versions(house(), limit=limit), format="table", console=out)


@app.command()
def doctor() -> None:
    """Check this deployment: stores, lake, published version, landing, last lanes. Exits 1 if something is wrong."""
    from orchestration.doctor import examine

    findings = examine(house())
    for finding in findings:
        mark = "[green]ok[/]   " if finding.is_well else "[red]wrong[/]"
        out.print(f"{mark} {finding.what}: {escape(finding.detail)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if all(finding.is_well for finding in findings) else 1)


@world_app.command("build")
def world_build(profile: str = "demo", seed: int = 7) -> None:
    """Build the simulated marketplace into the state folder."""
    from orchestration.world import build_world

    settings, clock = prepared()
    build_world(settings, clock, profile=profile, seed=seed)
    out.print(f"world {profile} (seed {seed}) stands in {settings.world_path}")


if __name__ == "__main__":
    main()
