"""Which files are ours: what git knows, and what is new and not ignored."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from data.settings import PROJECT_ROOT

ROOMS = ("app", "assets", "bench", "data", "models_ml", "notifications", "orchestration")


@lru_cache(maxsize=1)
def tracked() -> tuple[Path, ...]:
    """Return every file of the repository, relative to its root. Without git: every file outside hidden folders."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        names = [Path(name) for name in done.stdout.split("\0") if name]
    else:
        names = [file.relative_to(PROJECT_ROOT) for file in PROJECT_ROOT.rglob("*") if file.is_file()]
        names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        names = [name for name in names if not str(name).startswith("data/state")]
    return tuple(sorted(name for name in set(names) if (PROJECT_ROOT / name).is_file()))


def python_files(*folders: str) -> Iterator[Path]:
    """Return our Python files in some top folders, or in all of them."""
    return (name for name in tracked() if name.suffix == ".py" and (not folders or name.parts[0] in folders))


@cache
def text_of(name: Path) -> str:
    """Return a file's text; what is no text (an image) gives none."""
    try:
        return (PROJECT_ROOT / name).read_text()
    except UnicodeDecodeError:
        return ""


def tree_of(name: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(text_of(name))
