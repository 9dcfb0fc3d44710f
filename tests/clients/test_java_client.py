"""The Java client of openapi-generator compiles, and does the main job.

Its libraries are those of Debian, and Jackson as the generator's own jar contains it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import DOCUMENT, PROGRAMS, Command, MainJob, run

pytestmark = pytest.mark.long

LIBRARIES = [Path("/usr/share/java", name) for name in ("jakarta-annotation-api.jar", "httpmime.jar", "httpcore.jar")]
OPTIONS = "library=native,openApiNullable=false,useJakartaEe=true,useOneOfDiscriminatorLookup=true"


def test_openapi_generator(request: pytest.FixtureRequest, main_job: MainJob, tmp_path: Path) -> None:
    missing = [path.name for path in LIBRARIES if not path.exists()]
    if shutil.which("javac") is None or missing:
        pytest.skip(
            "a JDK and its libraries are missing; on Debian: apt-get install default-jdk-headless "
            "libjakarta-annotation-api-java libhttpmime-java"
        )
    generators: Path = request.getfixturevalue("generators")
    [jar] = generators.rglob("openapi-generator.jar")
    generate: Command = ["java", "-jar", jar, "generate", "--generator-name", "java", "--input-spec", DOCUMENT]
    run([*generate, "--output", "client", "--additional-properties", OPTIONS], tmp_path)
    sources = sorted((tmp_path / "client/src/main/java").rglob("*.java"))
    path = ":".join(map(str, [jar, *LIBRARIES, tmp_path / "classes"]))
    run(["javac", "-nowarn", "-d", "classes", "-classpath", path, *sources], tmp_path)
    strict = ["-Xlint:all,-path,-processing,-classfile", "-Werror"]
    run(["javac", *strict, "-d", "classes", "-classpath", path, PROGRAMS / "MainJob.java"], tmp_path)
    main_job.play(["java", "-classpath", path, "MainJob"], tmp_path)


def test_the_program_has_no_cast() -> None:
    text = (PROGRAMS / "MainJob.java").read_text(encoding="utf-8")
    assert re.findall(r"\([A-Z]\w*(?:<.*?>)?\)\s*[\w(]", text) == []
    assert "Object" not in text
    assert "SuppressWarnings" not in text
