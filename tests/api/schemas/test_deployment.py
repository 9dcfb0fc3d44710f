"""The schema of deployment.json against the files that are written."""

from __future__ import annotations

import json

import pytest

from api.schemas.deployment import DeploymentAnswer
from deploy.deployment import FORMAT_VERSION, Deployment, deployment_bytes
from network.host_graph import HostGraph, HostRead
from network.kernel_sizes.tables import Optimization

GRAPH = HostGraph((HostRead("y", "fc", (1, 4)), HostRead("x", "input", (1, 3, 8, 8), True, True)), ("y",), b"model")


@pytest.mark.parametrize(
    "deployment",
    [
        Deployment(),
        Deployment("cortex-m4", Optimization.SIZE, frozenset(), False, frozenset({"b", "a"})),
        Deployment(host_graph=GRAPH),
    ],
)
def test_a_written_file_has_exactly_the_properties_of_the_schema(deployment: Deployment) -> None:
    content = deployment_bytes(deployment)
    answer = DeploymentAnswer.model_validate_json(content)
    without = set() if deployment.host_graph else {"host_graph"}
    assert answer.model_dump(mode="json", exclude=without) == json.loads(content)
    assert answer.format_version == FORMAT_VERSION
