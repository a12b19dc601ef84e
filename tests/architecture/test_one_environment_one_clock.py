"""Only one file reads the environment, and only one asks the machine what time it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.settings import PROJECT_ROOT

ROOMS = ("app", "assets", "bench", "data", "models_ml", "notifications", "orchestration")
STRANGER = PROJECT_ROOT / "app" / "mock_rails"
STATE = PROJECT_ROOT / "data" / "state"
READS_OF_THE_ENVIRONMENT = {
    "os.environ",
    "os.getenv",
    "os.environb",
    "os.getenvb",
    "dotenv",
    "environs",
    "decouple",
}
QUESTIONS_OF_TIME = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "pendulum.now",
}


def sources() -> Iterator[Path]:
    for room in ROOMS:
        for file in sorted((PROJECT_ROOT / room).rglob("*.py")):
            if not file.is_relative_to(STRANGER) and not file.is_relative_to(STATE):
                yield file


def names_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every dotted name of a module with its line, imports and their aliases resolved."""
    meaning: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                meaning[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                meaning[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            dotted = ast.unparse(node)
            first, _, rest = dotted.partition(".")
            if first in meaning:
                yield node.lineno, ".".join(filter(None, (meaning[first], rest)))


class WithoutHandingOn(ast.NodeTransformer):
    """Drops what hands the environment on to a child process whole, or adds to it: no value is read there."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.BitOr) and ast.unparse(node.left) == "os.environ":
            node.left = ast.Constant(None)
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if isinstance(node.op, ast.BitOr) and ast.unparse(node.target) == "os.environ":
            return self.visit(node.value)
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if ast.unparse(node.targets[0]).startswith("os.environ["):
            return self.visit(node.value)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "os.environ.update":
            node.func = ast.Constant(None)
        return self.generic_visit(node)


def offences(text: str, forbidden: set[str]) -> list[int]:
    lines = {
        line
        for line, name in names_used(WithoutHandingOn().visit(ast.parse(text)))
        if any(name == word or name.startswith(f"{word}.") for word in forbidden)
    }
    return sorted(lines)


def found(forbidden: set[str], *, allowed: str) -> list[str]:
    return [
        f"{file.relative_to(PROJECT_ROOT)}:{line}"
        for file in sources()
        if file != PROJECT_ROOT / allowed
        for line in offences(file.read_text(), forbidden)
    ]


def test_only_the_settings_read_the_environment() -> None:
    assert found(READS_OF_THE_ENVIRONMENT, allowed="data/settings.py") == []


def test_only_the_clock_asks_what_time_it_is() -> None:
    assert found(QUESTIONS_OF_TIME, allowed="data/clock.py") == []


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.environ['A']",
        "import os as o\no.getenv('A')",
        "from os import environ",
        "from os import getenv as g\ng('A')",
        "import os\nvalues = dict(os.environ)",
        "import os\nos.environ |= {'B': os.environ['A']}",
        "import os\nos.environ['B'] = os.environ['A']",
        "import os\nrun(env={'B': '1'} | os.environ.get('A'))",
    ],
)
def test_each_way_to_read_the_environment_is_found(text: str) -> None:
    assert offences(text, READS_OF_THE_ENVIRONMENT)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nrun(env=os.environ | {'A': '1'})",
        "import os\nos.environ |= {'A': '1'}",
        "import os\nos.environ['A'] = '1'",
        "import os\nos.environ.update(A='1')",
    ],
)
def test_handing_the_environment_on_to_a_child_is_no_read(text: str) -> None:
    assert offences(text, READS_OF_THE_ENVIRONMENT) == []


@pytest.mark.parametrize(
    "text",
    [
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "from datetime import datetime as d\nd.utcnow()",
        "from datetime import date\nfield(default_factory=date.today)",
        "import datetime as dt\ndt.date.today()",
        "import time\ntime.time()",
        "from time import time\ntime()",
    ],
)
def test_each_way_to_ask_for_the_time_is_found(text: str) -> None:
    assert offences(text, QUESTIONS_OF_TIME)


@pytest.mark.parametrize(
    "text",
    ["clock.now()", "import time\ntime.monotonic()", "from datetime import datetime\ndatetime(2026, 1, 1)"],
)
def test_an_injected_clock_and_a_stopwatch_are_fine(text: str) -> None:
    assert offences(text, QUESTIONS_OF_TIME) == []
