"""Keeps what a reliability command measured in docs/reliability.md, so that no figure there was typed by a hand.

Each command owns one section, named by a marker; a rerun replaces its own section and leaves the others alone.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.clock import SystemClock
from data.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "reliability.md"
HEADING = (
    "# Reliability, as measured\n\n"
    "Each section is written by the command that it names (with `--keep`), never by hand.\n"
)


@dataclass(frozen=True)
class Verdict:
    """What a command measured: how many of how many held, and what else is worth a line.

    command is how to run it again, seed included; lines are sentences or table rows in Markdown.
    """

    name: str
    title: str
    command: str
    held: int
    tried: int
    lines: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all held. A command that measured nothing has shown nothing."""
        return self.tried > 0 and self.held == self.tried


def add_keep_option(parser: argparse.ArgumentParser) -> None:
    """Give a command the option that keeps its figures."""
    parser.add_argument("--keep", action="store_true", help="write the figures into docs/reliability.md")


def conclude(verdict: Verdict, *, keep: bool, page: Path = PAGE) -> int:
    """Print a verdict, keep it if asked to, and return the exit status: 0 only if all held."""
    print(f"survived {verdict.held} of {verdict.tried}")
    if keep:
        write_section(verdict, page)
    return 0 if verdict.is_whole else 1


def write_section(verdict: Verdict, page: Path) -> None:
    """Replace the section of a verdict, or add it at the end."""
    text = page.read_text() if page.exists() else HEADING
    body = "\n".join(
        [
            f"<!-- begin {verdict.name} -->",
            f"## {verdict.title}",
            "",
            f"**{verdict.held:,} of {verdict.tried:,}** · `{verdict.command}` · "
            f"{SystemClock().now():%Y-%m-%d}, commit {_commit()}",
            "",
            *verdict.lines,
            f"<!-- end {verdict.name} -->",
        ]
    )
    present = re.compile(rf"<!-- begin {verdict.name} -->.*?<!-- end {verdict.name} -->", re.DOTALL)
    replaced, count = present.subn(lambda _: body, text)
    page.write_text(replaced if count else f"{text.rstrip()}\n\n{body}\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
