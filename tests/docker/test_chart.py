"""The Helm chart: linted and rendered by Helm, and checked by Kubernetes' own schemas."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import Settings
from tests.docker.buildah import VERSION
from tests.docker.serving import ROOT
from tests.docker.tools import helm, installed

CHART = ROOT / "docker" / "helm" / "bitbudget"
KUBERNETES = "1.33"
EVERYTHING = {
    "image": {"repository": "registry.example/bitbudget", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "existingSecret": "bitbudget",
    "settings": {"BITBUDGET_MAX_JOBS": 2, "BITBUDGET_OTLP_ENDPOINT": "http://collector:4318"},
    "store": {"url": "s3://models/fit", "endpoint": "http://minio.ml.svc:9000", "region": "eu-central-1"},
    "allowedHosts": ["fit.example.com"],
    "persistence": {"size": "5Gi", "storageClass": "fast"},
    "resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
    "ingress": {
        "enabled": True, "className": "nginx", "host": "fit.example.org", "tlsSecret": "tls",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "600m"},
    },
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"team": "ml"}}}], "databasePort": 0, "storePort": 9000,
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 4318, "protocol": "TCP"}]}],
    },
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"a/b": "c"},
    "ray": {"address": "http://head.example:8265"},
}  # fmt: skip


@pytest.fixture(scope="module")
def helm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm(tmp_path_factory.mktemp("helm"))


def rendered(program: Path, folder: Path, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the objects of the chart with some values, by their kinds."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    command = [str(program), "template", "fit", str(CHART), "--namespace", "ml", "--values", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout) if each}


def pod_of(objects: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the specification of the pod, and that of its only container."""
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


@pytest.mark.long
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_it_passes_lint_and_the_schemas_of_kubernetes(
    helm_program: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    programs = installed(tmp_path / "environment", "kubernetes-validate>=1.37")
    objects = rendered(helm_program, tmp_path, values)
    lint = [str(helm_program), "lint", "--strict", str(CHART), "--values", str(tmp_path / "values.json")]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(objects.values()))
    validate = [str(programs / "kubernetes-validate"), "--strict", "-k", KUBERNETES, str(manifests)]
    done = subprocess.run(validate, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    objects["Deployment"]["spec"]["replicaz"] = 1
    manifests.write_text(yaml.safe_dump_all(objects.values()))
    assert subprocess.run(validate, capture_output=True, check=False).returncode != 0


@pytest.mark.long
def test_the_pod_has_no_rights_and_knows_its_names(helm_program: Path, tmp_path: Path) -> None:
    objects = rendered(helm_program, tmp_path, {})
    pod, container = pod_of(objects)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108  # in the pod
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert "fit-bitbudget.ml.svc" in environment["BITBUDGET_ALLOWED_HOSTS"].split(",")
    assert environment["BITBUDGET_ALLOW_UNAUTHENTICATED"] == "false"
    assert container["image"] == f"bitbudget:{VERSION}"
    selector = objects["Service"]["spec"]["selector"].items()
    assert selector <= objects["Deployment"]["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.long
def test_values_reach_their_places(helm_program: Path, tmp_path: Path) -> None:
    objects = rendered(helm_program, tmp_path, EVERYTHING)
    pod, container = pod_of(objects)
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["BITBUDGET_MAX_JOBS"] == "2"
    assert {name: environment[name] for name in environment if "STORE" in name or "AWS" in name} == {
        "BITBUDGET_STORE": "s3://models/fit", "AWS_ENDPOINT_URL": "http://minio.ml.svc:9000",
        "AWS_REGION": "eu-central-1", "AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/aws_credentials",
    }  # fmt: skip
    assert {"fit.example.com", "fit.example.org"} <= set(environment["BITBUDGET_ALLOWED_HOSTS"].split(","))
    assert container["image"] == f"registry.example/bitbudget@sha256:{'0' * 64}"
    (secret,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
    assert secret["secretName"] == "bitbudget"  # the name of an object
    assert objects["Ingress"]["spec"]["rules"][0]["host"] == "fit.example.org"
    policy = objects["NetworkPolicy"]["spec"]
    assert policy["ingress"][0]["from"] == EVERYTHING["networkPolicy"]["from"]  # type: ignore[index]  # a mapping
    assert [each["port"] for rule in policy["egress"] for each in rule["ports"]] == [53, 53, 9000, 4318]


@pytest.mark.long
@pytest.mark.parametrize("store", ["", "s3://models/bitbudget"])
def test_a_ray_cluster_runs_the_jobs_of_the_service(helm_program: Path, tmp_path: Path, store: str) -> None:
    """KubeRay names the service of the head after the cluster. Nodes have the secrets, and the volume or the store."""
    cluster = {"enabled": True, "workers": 2, "maxWorkers": 3, "image": "r/bitbudget-ray:1"}
    values = {"existingSecret": "bitbudget", "ray": {"cluster": cluster}, "store": {"url": store}}
    objects = rendered(helm_program, tmp_path, values)
    _, container = pod_of(objects)
    environment = {each["name"]: each["value"] for each in container["env"]}
    ray = objects["RayCluster"]
    assert environment["BITBUDGET_EXECUTOR"] == "ray"
    assert environment["BITBUDGET_RAY_ADDRESS"] == f"http://{ray['metadata']['name']}-head-svc:8265"
    assert ray["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert ray["spec"]["enableInTreeAutoscaling"]
    (group,) = ray["spec"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (2, 2, 3)
    pod = group["template"]["spec"]
    (worker,) = pod["containers"]
    assert worker["image"] == "r/bitbudget-ray:1"
    assert {each["mountPath"] for each in worker["volumeMounts"]} == {"/data", "/run/secrets"}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert ("persistentVolumeClaim" in volumes["data"]) is not bool(store)
    assert ("AWS_SHARED_CREDENTIALS_FILE" in {each["name"] for each in worker.get("env", [])}) is bool(store)
    assert pod["securityContext"]["runAsNonRoot"]
    validator = installed(tmp_path / "environment", "kubernetes-validate>=1.37") / "kubernetes-validate"
    for template in (ray["spec"]["headGroupSpec"]["template"], group["template"]):
        manifest = tmp_path / "pod.yaml"
        manifest.write_text(
            yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, **template})
        )
        command = [str(validator), "--strict", "-k", KUBERNETES, str(manifest)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_nodes_have_the_version_of_ray_that_is_tested() -> None:
    """KubeRay starts the nodes of a cluster by it."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    locked = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert locked is not None
    assert values["ray"]["cluster"]["rayVersion"] == locked[1]


@pytest.mark.long
@pytest.mark.parametrize(
    "values",
    [
        {"typo": 1},
        {"ray": {"address": "head"}},
        {"image": {"digest": "sha256:0"}},
        {"settings": {"BITBUDGET_DATABASE": "postgresql://a:b@c/d"}},
        {"settings": {"BITBUDGET_STORE": "s3://bucket"}},
        {"store": {"url": "s3://key:secret@bucket/a"}},
        {"ingress": {"enabled": True}},
        {"persistence": {"size": "much"}},
    ],
)
def test_wrong_values_are_refused(helm_program: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    """A URL with a password among the settings would stand in the pod's specification."""
    with pytest.raises(AssertionError):
        rendered(helm_program, tmp_path, values)


def test_the_chart_is_of_this_version_and_sets_settings_that_exist() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    lines = (CHART / "templates" / "deployment.yaml").read_text().splitlines()
    used = {line.split()[-1] for line in lines if "name: BITBUDGET_" in line}
    assert used
    assert used <= known
