"""The rules of the house that no linter knows: floors, names, sizes, SQL without values, no pickles, no addresses."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracked_files import ROOMS, python_files, text_of, tracked, tree_of

from data.settings import PROJECT_ROOT

MOST_LINES = 450
LONGER: dict[str, str] = {
    "requirements.lock": "written by a tool",
    "tests/orchestration/definitions_snapshot.json": "written by a script",
}
"""Files that may be longer, each with its reason."""

FORBIDDEN_STEMS = {"utils", "helpers", "common", "misc", "manager", "v2"}
RUNS_SQL = {"execute", "executemany", "sql", "query", "read", "text", "read_sql", "read_database"}
BUILT_SQL: dict[str, str] = {
    "assets/act/names.py": "the table's name is one of two words of the function itself; ids are parameters",
    "assets/ingest/evaluation.py": "the expressions of a mapping file are SQL; values of the file are never text",
    "assets/ingest/events.py": "key columns of a lookup are called as its file calls them, quoted",
    "assets/ingest/fields.py": "the expressions of a mapping file are SQL; values of the file are never text",
    "assets/ingest/oddities.py": "fields are called as the contract calls them, quoted",
    "assets/ingest/reading.py": "columns are called as the file calls them, quoted",
    "data/operations/migrations/versions/0001_create_operations.py": "a trigger is made for each named table",
    "data/postgres_texts.py": "tables and columns are called as the database calls them, quoted; texts are parameters",
}
"""Files outside the gates that put a name, never a value, into the text of a query, each with its reason."""

UNSAFE_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Written in pieces: this file is searched too.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:ro{2}t|ho[m]e|Us[e]rs|wo[r]k|tmp/bo{2}t)/")
REGISTRIES = re.compile(
    r"py[p]i\.org|python[h]osted\.org|test\.py[p]i|reg[i]stry\.npmjs|conda\.[a]naconda|--(?:extra-)?ind[e]x-url|"
    r"cond[a]-forge\.org|artif[a]ctory"
)
MAKE = re.compile(r"(?:^|`|\s)make ([a-z]+)\b", re.MULTILINE)
COMMAND = re.compile(r"(?:^|`)chalkline ([a-z-]+)(?: ([a-z]+))?\b", re.MULTILINE)
DOCS = tuple(
    name
    for name in tracked()
    if name.suffix == ".md" and name.parts[0] in ("README.md", "CONTRIBUTING.md", "docs")
)


def calls(name: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call))


def is_built(node: ast.expr) -> bool:
    """Whether a text has something put into it."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod) or is_built(node.left) or is_built(node.right)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def built_queries(name: Path) -> list[int]:
    return sorted(
        node.lineno
        for node in calls(name)
        if isinstance(node.func, ast.Attribute | ast.Name)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) in RUNS_SQL
        and node.args
        and is_built(node.args[0])
    )


def test_imports_point_down_and_rooms_on_one_floor_do_not_know_each_other() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(name) for name in tracked() if name.stem in FORBIDDEN_STEMS] == []
    assert not (PROJECT_ROOT / "app" / "dashboard" / "app.py").exists()


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    long = {
        str(name): lines
        for name in tracked()
        if name.suffix in (".py", ".sql", ".yml", ".js", ".css", ".md", ".json", ".lock", ".toml")
        and (lines := text_of(name).count("\n")) > MOST_LINES
        and str(name) not in LONGER
    }
    assert long == {}


@pytest.mark.parametrize("allowed", [LONGER, BUILT_SQL])
def test_exceptions_are_of_files_that_exist_and_need_them(allowed: dict[str, str]) -> None:
    for name in allowed:
        if name.startswith("tests/"):
            continue
        assert (PROJECT_ROOT / name).exists(), f"{name} is gone; take its exception away"
        if allowed is BUILT_SQL:
            assert built_queries(Path(name)), f"{name} builds no query any more; take its exception away"


def test_no_value_is_put_into_the_text_of_a_query() -> None:
    """Outside the gates of the lake; tests and benches make tables of their own and may name them."""
    found = {
        str(name): lines
        for name in python_files(*ROOMS)
        if name.parts[:2] not in (("data", "lake"), ("app", "mock_rails"), ("data", "postgres.py"))
        and name.parts[0] != "bench"
        and str(name) not in BUILT_SQL
        and (lines := built_queries(name))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "c.execute(f'select {x}')",
        "lake.read('select ' + f'{x}')",
        "c.sql('select {}'.format(x))",
        "sa.text('select %s' % x)",
    ],
)
def test_each_way_to_build_a_query_is_found(text: str) -> None:
    call = ast.parse(text).body[0]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert is_built(call.value.args[0])


def test_nothing_that_runs_when_it_is_read_is_imported() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in python_files()
        for node in ast.walk(tree_of(name))
        if (isinstance(node, ast.Import) and {a.name.split(".")[0] for a in node.names} & UNSAFE_IMPORTS)
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_IMPORTS)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "what"), [(MACHINE_PATHS, "a path of one machine"), (REGISTRIES, "a registry")]
)
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str], what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in tracked()
        for number, line in enumerate(text_of(name).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == [], what


def test_every_module_says_what_it_is() -> None:
    """Test files may leave it to their sentences."""
    silent = [
        str(name)
        for name in python_files()
        if not name.name.startswith("test_")
        if text_of(name).strip() and ast.get_docstring(tree_of(name)) is None
    ]
    assert silent == []


def test_test_files_are_named_differently_since_they_share_one_namespace() -> None:
    names = [name.name for name in python_files("tests") if name.name.startswith("test_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_what_the_docs_tell_people_to_make_can_be_made() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(Path("Makefile")), flags=re.MULTILINE))
    assert {"demo", "day", "up", "test", "check", "bench", "torture"} <= targets
    told = {(str(name), target) for name in DOCS for target in MAKE.findall(code_of(name))}
    assert sorted(pair for pair in told if pair[1] not in targets) == []


def test_what_the_docs_tell_people_to_run_is_a_command() -> None:
    from orchestration.cli import app

    commands = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    groups = {
        str(group.name): {
            one.name or getattr(one.callback, "__name__", "").removeprefix(f"{group.name}_")
            for one in group.typer_instance.registered_commands  # type: ignore[union-attr]
        }
        for group in app.registered_groups
    }
    told = {(str(name), *pair) for name in DOCS for pair in COMMAND.findall(code_of(name))}
    unknown = [
        one
        for one in told
        if one[1] not in commands and (one[1] not in groups or (one[2] and one[2] not in groups[one[1]]))
    ]
    assert sorted(unknown) == []


def code_of(name: Path) -> str:
    """The parts of a document that are commands: fenced blocks and words in backticks, one per line."""
    text = text_of(name)
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    words = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *words])
