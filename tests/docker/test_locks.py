"""The image's lock: the versions of constraints.txt, with hashes, and everything that the service needs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker.serving import ROOT

DOCKER = ROOT / "docker"
EXTRAS = ("postgres", "s3", "oidc", "tracing")
LOCKS = ("requirements.lock", "ray.lock", "build-tools.lock")


def locked(name: str) -> dict[str, str]:
    """Return the version of each package of a lock or of the constraints, by its normalized name."""
    text = (ROOT / name).read_text()
    return {
        canonicalize_name(found[1]): found[2] for found in re.finditer(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    }


def needed_by(requirements: list[str]) -> set[str]:
    parsed = [Requirement(each) for each in requirements]
    return {
        canonicalize_name(each.name) for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def test_it_has_what_the_service_and_torch_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = needed_by(project["dependencies"])
    for extra in EXTRAS:
        needed |= needed_by(project["optional-dependencies"][extra])
    needed |= {each for each in needed_by(requires("torch") or []) if not each.startswith(("nvidia", "cuda", "triton"))}
    assert needed - set(locked("docker/requirements.lock")) == {"torch"}


def test_that_of_an_image_with_ray_has_ray_besides() -> None:
    service, with_ray = locked("docker/requirements.lock"), locked("docker/ray.lock")
    assert service.items() <= with_ray.items()
    assert "ray" in with_ray.keys() - service.keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_its_versions_are_those_of_the_constraints(lock: str) -> None:
    constraints = locked("constraints.txt")
    versions = locked(f"docker/{lock}")
    both = set(versions) & set(constraints)
    assert both
    assert {name: versions[name] for name in both} == {name: constraints[name] for name in both}, "run docker/lock.sh"


def test_the_service_is_locked_by_the_constraints_alone() -> None:
    """A package that only the image's lock has would not be the one that the tests run with."""
    for lock in ("requirements.lock", "ray.lock"):
        assert set(locked(f"docker/{lock}")) <= set(locked("constraints.txt")), lock


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes(lock: str) -> None:
    text = (DOCKER / lock).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(f"docker/{lock}"))
    assert [entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)] == []
