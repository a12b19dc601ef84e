"""The rules of the dbt project, read from its manifest and its files. Nothing is built here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dbt_project.lake import PROJECT

LAYERS = {
    # Staging is the only place that reads raw tables.
    "staging": {"source"},
    "intermediate": {"staging", "intermediate", "rulebook"},
    "core": {"staging", "intermediate", "core", "rulebook"},
    "features": {"intermediate", "core", "rulebook"},
    "marts": {"core", "marts", "rulebook"},
    "rulebook": set(),
}
MARTS_MAY_STAGE = ("stg_ml__", "stg_quality__", "stg_operations__")
"""What models, feeds and people wrote is no entity of the marketplace: it has no core table to pass through."""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    target = tmp_path_factory.mktemp("target")
    environment = os.environ | {
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target / "logs"),
        "CHALKLINE_EXTENSION_PATH": str(target),
        "CHALKLINE_LAKE_ADDRESS": "unused",
        "CHALKLINE_LAKE_PATH": str(target),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    subprocess.run(
        [
            sys.executable,
            "-m",
            "dbt.cli.main",
            "parse",
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
        ],
        env=environment,
        check=True,
        capture_output=True,
    )
    return dict(json.loads((target / "manifest.json").read_text()))


def relations(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "seed")
    }


def layer(key: str, manifest: dict[str, Any]) -> str:
    return "source" if key.startswith("source.") else str(manifest["nodes"][key]["fqn"][1])


def test_layers_read_only_what_they_may(manifest: dict[str, Any]) -> None:
    broken = []
    for node in relations(manifest).values():
        for parent in node.get("depends_on", {}).get("nodes", []):
            name, mine = parent.rsplit(".", 1)[-1], node["fqn"][1]
            staged = mine == "marts" and name.startswith(MARTS_MAY_STAGE)
            if not staged and layer(parent, manifest) not in LAYERS[mine]:
                broken.append(f"{mine}.{node['name']} reads {parent}")
    assert broken == []


def test_the_schema_is_the_folder(manifest: dict[str, Any]) -> None:
    assert {node["name"]: node["schema"] for node in relations(manifest).values()} == {
        node["name"]: node["fqn"][1] for node in relations(manifest).values()
    }


def test_every_relation_and_column_is_documented(manifest: dict[str, Any]) -> None:
    silent = [node["name"] for node in relations(manifest).values() if not node["description"]]
    for node in relations(manifest).values():
        silent += [
            f"{node['name']}.{name}" for name, column in node["columns"].items() if not column["description"]
        ]
        if not node["columns"]:
            silent.append(f"{node['name']} has no columns")
    assert silent == []


def test_every_relation_has_a_grain_that_is_tested_and_told(manifest: dict[str, Any]) -> None:
    grains = {
        node["attached_node"]: node["test_metadata"]["kwargs"]["columns"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "unique_grain"
    }
    for key, node in relations(manifest).items():
        assert key in grains, f"{node['name']} has no grain test"
        columns = grains[key]
        told = " and ".join(part for part in (", ".join(columns[:-1]), columns[-1]) if part)
        assert f"One row per {told}." in node["description"], f"{node['name']} does not tell its grain"


def test_marts_core_and_features_keep_contracts(manifest: dict[str, Any]) -> None:
    without = [
        node["name"]
        for node in relations(manifest).values()
        if node["fqn"][1] in ("marts", "core", "features") and not node["config"]["contract"]["enforced"]
    ]
    assert without == []


def test_every_model_is_in_the_nightly_lane(manifest: dict[str, Any]) -> None:
    assert [node["name"] for node in relations(manifest).values() if "nightly" not in node["tags"]] == []


def test_a_lane_never_reads_what_only_another_lane_computes(manifest: dict[str, Any]) -> None:
    """Scores are read by the fast lane as they were left: score_staleness_days is for that. Dates never change."""
    left_by_another_lane = {"fct_tutor_scores", "dim_dates"}
    models = {key: node for key, node in relations(manifest).items() if node["resource_type"] == "model"}
    for node in models.values():
        if "fast" not in node["tags"]:
            continue
        for parent in node["depends_on"]["nodes"]:
            if parent in models and models[parent]["config"]["materialized"] != "view":
                name = models[parent]["name"]
                assert "fast" in models[parent]["tags"] or name in left_by_another_lane, (
                    f"{node['name']} < {name}"
                )


@pytest.mark.parametrize("path", sorted(PROJECT.glob("models/**/*.sql")), ids=lambda path: path.stem)
def test_a_model_tells_its_grain_and_ends_with_its_last_step(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("-- One row per ")
    steps = re.findall(r"^(\w+) as \(", text, flags=re.MULTILINE)
    last = re.search(r"from (\w+)\s*$", text)
    assert last is not None
    assert last.group(1) == steps[-1]
    assert len(text.splitlines()) < 400


def test_nothing_reads_the_machines_clock() -> None:
    clocks = re.compile(
        r"\b(now|today|get_current_timestamp)\s*\(|\bcurrent_(date|time|timestamp)\b", re.IGNORECASE
    )
    for path in [*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("macros/**/*.sql")]:
        code = re.sub(r"^\s*--.*$", "", path.read_text(), flags=re.MULTILINE)
        code = re.sub(r"\{#.*?#\}", "", code, flags=re.DOTALL)
        assert not clocks.search(code), path.name
