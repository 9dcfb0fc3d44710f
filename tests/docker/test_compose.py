"""The compose file: by the schema of the Compose project, and its service run from the image on a real PostgreSQL."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from ray.scripts.scripts import start

from api.settings import Settings
from examples.pipeline import main as play_pipeline
from tests.api.postgres_server import PostgresServer, missing_postgres
from tests.docker import buildah, engine
from tests.docker.serving import ROOT
from tests.docker.test_image import started
from tests.docker.tools import installed

COMPOSE = ROOT / "docker" / "compose.yaml"
PAGE = ROOT / "docs" / "containers.md"


def service() -> dict[str, Any]:
    """Return what the file says about the service of bitbudget."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["service"]
    return document


def environment() -> dict[str, str]:
    """Return the environment of the service, where no variable of the file is set."""
    return {name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value) for name, value in service()["environment"].items()}


@pytest.mark.long
def test_it_follows_the_schema(tmp_path: Path) -> None:
    program = installed(tmp_path / "environment", "check-jsonschema>=0.39") / "check-jsonschema"
    command = [str(program), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(COMPOSE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("read_only: true", "read_only: [1]"))
    assert subprocess.run([*command, str(broken)], capture_output=True, check=False).returncode != 0


def test_its_environment_and_its_secret_are_settings() -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert set(environment()) <= known
    assert {each["target"] for each in service()["secrets"]} == {"BITBUDGET_DATABASE"}
    assert service()["read_only"]
    assert environment()["BITBUDGET_ALLOW_UNAUTHENTICATED"] == "false"


def test_the_nodes_of_ray_start_with_its_profile_and_are_reached_by_the_service_alone() -> None:
    document = yaml.safe_load(COMPOSE.read_text())
    head, worker = document["services"]["ray-head"], document["services"]["ray-worker"]
    for node in (head, worker):
        assert node["profiles"] == ["ray"]
        assert node["build"]["args"] == {"RAY": "1"}
        assert "ports" not in node
        assert node["read_only"]
        options = [*node["entrypoint"][4:], *node["command"]]
        known = {option for parameter in start.params for option in parameter.opts}
        assert {option.partition("=")[0] for option in options} <= known, "options of this version of Ray"
    assert environment()["BITBUDGET_RAY_ADDRESS"] == "http://ray-head:8265"
    assert environment()["BITBUDGET_EXECUTOR"] == "subprocess"
    assert "secrets" not in head
    assert worker["secrets"] == service()["secrets"]
    assert worker["volumes"] == service()["volumes"]
    assert document["networks"]["database"]["internal"]


@pytest.mark.long
@pytest.mark.skipif(bool(engine.why_not()), reason=f"no container runs: {engine.why_not()}")
@pytest.mark.skipif(missing_postgres() is not None, reason=f"{missing_postgres()}")
def test_its_service_runs_the_main_job_on_postgresql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No engine runs here: the image's own entrypoint, with the file's environment and secret, in namespaces."""
    buildah.build(ROOT)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with PostgresServer() as server:
        server.folder.chmod(0o755)  # the service's user has to reach the socket
        url = server.new_database()
        (secrets / "BITBUDGET_DATABASE").write_text(url.replace(str(server.folder), "/mnt/postgres"))
        mounts = {secrets: "/run/secrets", server.folder: "/mnt/postgres"}
        with started(buildah.configuration(), tmp_path, mounts, **environment()) as (running, address):
            arguments = ["--url", address, "--epochs", "1", "--out", str(tmp_path / "out")]
            assert play_pipeline(arguments) == 0, capsys.readouterr().err + running.log.read_text()
        with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
            assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    assert not (tmp_path / "data" / "bitbudget.sqlite").exists()
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert lines, "the file asks for a log of JSON"
