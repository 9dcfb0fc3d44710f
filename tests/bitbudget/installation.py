"""Real installations of this project, as a wheel and editable, in virtual environments of their own."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("network", "solver", "deploy", "qat", "api", "bitbudget")
_BUILD: Final = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"

Kind = Literal["wheel", "editable"]


@dataclass(frozen=True)
class Installation:
    """A virtual environment in which bitbudget is installed; other distributions are those of this environment."""

    kind: Kind
    python: Path
    packages: Path

    def run(self, *arguments: str, folder: Path, pythonpath: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run its Python in a folder."""
        environment = {} if pythonpath is None else {"PYTHONPATH": str(pythonpath)}
        return subprocess.run(
            [str(self.python), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )


def install(kind: Kind, folder: Path) -> Installation:
    """Build this project from a copy of its files, and install it into a new virtual environment in a folder."""
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = {"wheel": "build_wheel", "editable": "build_editable"}[kind]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BUILD, build, str(folder)],
        cwd=source,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    venv.create(folder / "venv", symlinks=True)
    packages = next((folder / "venv" / "lib").glob("python3*/site-packages"))
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(packages)
    # A plain path: what is installed here, but without the .pth files, one of which may install this project.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return Installation(kind, folder / "venv" / "bin" / "python", packages)
