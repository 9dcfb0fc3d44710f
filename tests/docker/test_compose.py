"""The compose file: by the schema of the Compose project, and its service run from the image on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
import yaml
from ray.scripts.scripts import start

from api.settings import Settings
from examples.pipeline import main as play_pipeline
from tests.api.live_service import LiveService
from tests.api.postgres_server import PostgresServer, missing_postgres
from tests.api.s3_server import S3Server
from tests.api.small_files import tiny_json
from tests.docker import buildah, engine
from tests.docker.serving import ROOT
from tests.docker.test_image import started
from tests.docker.tools import installed

COMPOSE = ROOT / "docker" / "compose.yaml"
STORE = ROOT / "docker" / "compose.store.yaml"
PAGE = ROOT / "docs" / "containers.md"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


def service(file: Path = COMPOSE, name: str = "service") -> dict[str, Any]:
    """Return what a file says about a service, by default about that of bitbudget."""
    document: dict[str, Any] = yaml.safe_load(file.read_text())["services"][name]
    return document


def environment(file: Path = COMPOSE, name: str = "service") -> dict[str, str]:
    """Return the environment of a service, where no variable of the file is set."""
    given = service(file, name)["environment"]
    return {name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value) for name, value in given.items()}


@pytest.mark.long
def test_it_follows_the_schema(tmp_path: Path) -> None:
    program = installed(tmp_path / "environment", "check-jsonschema>=0.39") / "check-jsonschema"
    command = [str(program), "--builtin-schema", "vendor.compose-spec"]
    for file in (COMPOSE, STORE):
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
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
    assert environment(STORE, "ray-worker").items() < environment(STORE).items(), "a node reaches the store, too"


def test_the_store_of_the_other_file_works_with_its_environment(tmp_path: Path, s3: S3Server) -> None:
    """No engine runs here: its command and its variables, with moto's server instead of MinIO."""
    variables = environment(STORE, "bucket")
    assert environment(STORE) == {"BITBUDGET_STORE": "s3://bitbudget/service", **variables}
    assert environment(STORE, "ray-worker") == variables, "a worker gets the URL from the service"
    secrets = tmp_path / "aws_credentials"
    secrets.write_text("[default]\naws_access_key_id = store\naws_secret_access_key = secret\n")
    changed = {"AWS_ENDPOINT_URL": s3.proxy.url, "AWS_SHARED_CREDENTIALS_FILE": str(secrets)}
    (_, option), (command,) = service(STORE, "bucket")["entrypoint"], service(STORE, "bucket")["command"]
    variables |= changed
    for _ in range(2):  # it is run at each start
        subprocess.run([sys.executable, option, command], env=os.environ | variables, check=True)
    with mock.patch.dict(os.environ, environment(STORE) | changed), LiveService(tmp_path / "data") as running:
        network = running.upload_network(tiny_json())
    assert any(name.startswith(f"networks/{network}/") for name in s3.objects(environment(STORE)["BITBUDGET_STORE"]))


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
