"""TypeScript clients compile strictly, without a cast, and do the main job against a running service."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import BIN, DOCUMENT, HERE, PROGRAMS, MainJob, run

pytestmark = pytest.mark.long


def folder_of(node: Path, program: str) -> Path:
    """Return a new folder below the packages of npm, with the document and a program."""
    folder = node / program
    folder.mkdir()
    shutil.copy(DOCUMENT, folder / "openapi.json")
    for path in (HERE / "tsconfig.json", HERE / "openapi-ts.config.mjs", PROGRAMS / f"{program}.ts"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_openapi_typescript_with_openapi_fetch(node: Path, main_job: MainJob) -> None:
    folder = folder_of(node, "main_job_fetch")
    run([node / BIN / "openapi-typescript", "openapi.json", "--output", "bitbudget.d.ts"], folder)
    run([node / BIN / "tsc", "--project", "."], folder)
    main_job.play(["node", "main_job_fetch.js"], folder)


def test_hey_api(node: Path, main_job: MainJob) -> None:
    folder = folder_of(node, "main_job_hey_api")
    run([node / BIN / "openapi-ts", "--file", "openapi-ts.config.mjs"], folder)
    run([node / BIN / "tsc", "--project", "."], folder)
    main_job.play(["node", "main_job_hey_api.js"], folder)


@pytest.mark.parametrize("program", ["main_job_fetch.ts", "main_job_hey_api.ts"])
def test_the_programs_have_no_cast(program: str) -> None:
    text = (PROGRAMS / program).read_text(encoding="utf-8")
    for cast in (" as ", "<any>", ": any", "@ts-", "!."):
        assert cast not in text
