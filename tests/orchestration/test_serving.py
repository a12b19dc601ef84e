"""What is served, and by which commands."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data.settings import PROJECT_ROOT, Settings
from orchestration import serve


@pytest.fixture
def settings(state_settings: Settings) -> Settings:
    return state_settings.model_copy(update={"dagster_port": 3111, "dagster_code_port": 4777})


def test_webserver_and_daemon_share_one_code_server(settings: Settings) -> None:
    served = serve.processes(settings)
    assert "-p 4777" in served["code"]
    assert "-p 3111" in served["dagster"]
    workspace = (PROJECT_ROOT / "workspace.yaml").read_text()
    assert "CHALKLINE_DAGSTER_CODE_PORT" in workspace
    assert all("-w workspace.yaml" in served[name] for name in ("dagster", "daemon"))


def test_every_line_of_the_procfile_starts_something_that_exists(settings: Settings) -> None:
    lines = (PROJECT_ROOT / "Procfile").read_text().splitlines()
    named = {line.split(":")[0]: line.split()[-1] for line in lines}
    assert all(name == process for name, process in named.items())
    assert named.keys() == serve.processes(settings).keys() - {"marketplace"}


def test_a_process_that_does_not_exist_is_named(settings: Settings) -> None:
    with pytest.raises(ValueError, match="nothing here is called dashbord; choose of dashboard"):
        serve.serve(settings, ["dashbord"])


LOUD = """
import sys
from data.settings import Settings
from orchestration import serve
talks = f"{sys.executable} -uc \\"import time; print('xxx ' * 50_000); time.sleep(600)\\""
serve.processes = lambda settings: {"loud": talks, "louder": talks}
sys.exit(serve.serve(Settings(), ["loud", "louder"]))
"""


def test_serving_ends_when_it_is_told_to_while_something_is_still_being_said(state_folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOUD],
        cwd=PROJECT_ROOT,
        env=os.environ | {"CHALKLINE_STATE": str(state_folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "xxx" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    # communicate reads what is still being said: a terminal would, too.
    process.communicate(timeout=120)
    assert process.returncode is not None
