"""The Python client of openapi-python-client: mypy --strict accepts its use, and it does the main job."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import DOCUMENT, PROGRAMS, Command, MainJob, run

pytestmark = pytest.mark.long


def test_openapi_python_client(generators: Path, main_job: MainJob, tmp_path: Path) -> None:
    generate: Command = [generators / "bin/openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"]
    # It warns of one operation, a piece of an upload, whose media type it does not know.
    run([*generate, "--output-path", "bitbudget_client"], tmp_path)
    shutil.copy(PROGRAMS / "main_job.py", tmp_path)
    # The generator's own template of `Client.__exit__` is not strict, so that its modules are followed silently.
    run([generators / "bin/mypy", "--strict", "--follow-imports=silent", "main_job.py"], tmp_path)
    main_job.play([generators / "bin/python", "main_job.py"], tmp_path)


def test_the_program_has_no_cast() -> None:
    text = (PROGRAMS / "main_job.py").read_text(encoding="utf-8")
    assert "cast(" not in text
    assert "type: ignore" not in text
    assert "Any" not in text
