"""What `pip install .` takes along: every folder of the packages, and the licence."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ROOMS = ("network", "solver", "deploy", "qat", "api", "bitbudget")


def test_every_folder_with_python_in_it_is_packaged() -> None:
    folders = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in folders)


def test_every_package_says_that_it_is_one() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert [name for name in listed if not (ROOT / name.replace(".", "/") / "__init__.py").is_file()] == []


def test_every_file_that_is_read_at_run_time_is_packaged() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = [(package, name) for package, names in tools["package-data"].items() for name in names]
    matches = {(package, name): set((ROOT / package.replace(".", "/")).glob(name)) for package, name in patterns}
    assert [pattern for pattern, paths in matches.items() if not paths] == []
    data = {str(path.relative_to(ROOT)) for paths in matches.values() for path in paths if path.is_file()}
    found = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert found == data


def test_the_lock_has_every_package_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {canonicalize_name(Requirement(requirement).name) for requirement in asked} - {project["name"]}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    assert names - locked == set()
