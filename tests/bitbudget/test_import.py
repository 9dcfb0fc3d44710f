"""`import bitbudget`: quick, without the large libraries, and clear about packages of a user that hide ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import bitbudget
from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from bitbudget._shadowing import INTERNAL_PACKAGES
from qat.options.sensitivity import SensitivityOptions
from tests.bitbudget.installation import PACKAGES, ROOT, Installation, install

LARGE = ("torch", "scipy", "fastapi", "onnx", "numpy", "pydantic", "sklearn", "click")


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(request.param, tmp_path_factory.mktemp(request.param))


def test_import_loads_no_large_library() -> None:
    code = f"import bitbudget, json, sys; print(json.dumps([name for name in {LARGE} if name in sys.modules]))"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT)) == []


def test_a_fit_loads_no_torch() -> None:
    code = (
        "import bitbudget, json, sys; network = bitbudget.read('examples/digits/digits.onnx'); "
        "assert bitbudget.fit(network, flash='18kB', ram=2800).fits; "
        "print(json.dumps([name for name in ('torch', 'fastapi', 'sqlalchemy', 'sklearn') if name in sys.modules]))"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT)) == []


def test_every_public_name_is_there() -> None:
    assert sorted(bitbudget.__all__) == list(bitbudget.__all__)
    assert [name for name in bitbudget.__all__ if getattr(bitbudget, name, None) is None] == []
    assert set(bitbudget.__all__) == set(bitbudget._MODULE_OF_NAME)
    assert set(bitbudget.__all__) <= set(dir(bitbudget))
    with pytest.raises(AttributeError, match="module 'bitbudget' has no attribute 'fitt'"):
        bitbudget.fitt  # type: ignore[attr-defined]  # noqa: B018  # this is the test


def test_keyword_arguments_are_the_fields_of_the_requests() -> None:
    named = {"flash", "ram", "device"}
    assert get_type_hints(bitbudget.BudgetOptions).keys() | named == FitRequest.model_fields.keys()
    assert get_type_hints(bitbudget.SolveOptionFields).keys() | {"devices"} == DevicesRequest.model_fields.keys()
    assert get_type_hints(bitbudget.SensitivityFields).keys() == SensitivityOptions.model_fields.keys()


def test_it_works_from_an_ordinary_folder(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import bitbudget\nprint(bitbudget.devices()['nrf52840'].ram_bytes)\n")
    for arguments in (["script.py"], ["-m", "script"], ["-c", "import script"]):
        done = installation.run(*arguments, folder=tmp_path)
        assert done.stdout == "262144\n", done.stderr
    assert "bitbudget 0" in installation.run("-m", "bitbudget", "--version", folder=tmp_path).stdout


def test_types_are_installed(installation: Installation) -> None:
    code = (
        "import importlib.util, pathlib; "
        f"print([name for name in {PACKAGES} if not (pathlib.Path(importlib.util.find_spec(name).origin)"
        ".with_name('py.typed')).is_file()])"
    )
    assert installation.run("-c", code, folder=installation.packages.parent).stdout == "[]\n"


SCRIPT = """
import bitbudget

network = bitbudget.read("network.onnx")
reveal_type(network)
fitted = bitbudget.fit(network, flash="18kB", ram=2800, method="exact", reserved_ram="1kB")
reveal_type(fitted.allocation)
reveal_type(bitbudget.devices())
reveal_type(bitbudget.devices(network, among=["nrf52840"]))
reveal_type(bitbudget.convert(bitbudget.prepare(fitted.network, fitted.allocation)))
bitbudget.fit(network, flash="18kB", ram=2800, metod="exact")
bitbudget.fit(network, flash="18kB", ram=2800, method="best")
bitbudget.nothing
"""


def test_mypy_checks_a_script(tmp_path: Path) -> None:
    """With the wheel, as a user has it: the internal packages, from which types come, need their `py.typed` too."""
    (tmp_path / "installation").mkdir()
    installed = install("wheel", tmp_path / "installation")
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--strict", "--python-executable", str(installed.python), "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", *options, "script.py"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.findall(r'Revealed type is "([\w.]+)"', checked.stdout) == [
        "network.network.Network",
        "network.allocation.Allocation",
        "bitbudget._devices.Catalogue",
        "bitbudget._devices.DevicesResult",
        "deploy.integer_network.IntegerNetwork",
    ]
    assert re.findall(r"error: .*\[([\w-]+)\]", checked.stdout) == ["call-arg", "arg-type", "attr-defined"]


@pytest.mark.parametrize("name", INTERNAL_PACKAGES)
def test_a_package_of_the_user_is_named(installation: Installation, tmp_path: Path, name: str) -> None:
    own = tmp_path / name
    own.mkdir()
    (own / "__init__.py").write_text("print('executed')\n")
    done = installation.run("-c", "import bitbudget", folder=tmp_path)
    assert done.returncode == 1
    assert "executed" not in done.stdout
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"ImportError: bitbudget cannot be imported: '{own}' hides its package '{name}' ('")
    assert "run Python from another folder, rename it, or start Python with the option -P" in message
    assert installation.run("-P", "-c", "import bitbudget", folder=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "arguments", [["script.py"], ["-m", "script"], ["network.py"], ["-c", "import network"]], ids=str
)
def test_a_module_of_the_user_is_named(installation: Installation, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "script.py").write_text("import bitbudget\n")
    (tmp_path / "network.py").write_text("import bitbudget\n")
    done = installation.run(*arguments, folder=tmp_path)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert f"'{tmp_path / 'network.py'}' hides its package 'network'" in message


def test_a_script_in_another_folder(installation: Installation, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "api.py").write_text("")
    (project / "script.py").write_text("import bitbudget\n")
    done = installation.run("project/script.py", folder=tmp_path)
    assert f"'{project / 'api.py'}' hides its package 'api'" in done.stderr
    assert "start Python with the option -P" in done.stderr


def test_several_clashes_are_one_message(installation: Installation, tmp_path: Path) -> None:
    for name in ("api", "network"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    message = installation.run("-c", "import bitbudget", folder=tmp_path).stderr.splitlines()[-1]
    assert "hides its package 'api'" in message
    assert "hides its package 'network'" in message
    assert "rename them" in message


def test_a_folder_without_init(installation: Installation, tmp_path: Path) -> None:
    """Python prefers a package that comes later on the path to such a folder, but not one that a hook finds."""
    (tmp_path / "network").mkdir()
    done = installation.run("-c", "import bitbudget; print(bitbudget.devices()['nrf52840'].name)", folder=tmp_path)
    if installation.kind == "wheel":
        assert done.stdout == "nrf52840\n", done.stderr
    else:
        assert f"'{tmp_path / 'network'}' hides its package 'network'" in done.stderr


def test_pythonpath_is_named(installation: Installation, tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (own / "solver").mkdir(parents=True)
    (own / "solver" / "__init__.py").write_text("")
    done = installation.run("-P", "-c", "import bitbudget", folder=elsewhere, pythonpath=own)
    message = done.stderr.splitlines()[-1]
    assert f"'{own / 'solver'}' hides its package 'solver'" in message
    assert "because PYTHONPATH lists it: rename it, or remove the folder from PYTHONPATH" in message


def test_the_page_shows_the_message(installation: Installation, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^ImportError: .*$", page, re.MULTILINE)
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "__init__.py").write_text("")
    message = installation.run("-c", "import bitbudget", folder=tmp_path).stderr.splitlines()[-1]
    assert re.sub(r"'/[^']+/network'", "'...'", message) == re.sub(r"'/[^']+/network'", "'...'", shown)


def test_later_changes_of_the_path_do_not_matter(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "__init__.py").write_text("")
    code = f"import bitbudget, sys; sys.path.insert(0, {str(tmp_path)!r}); print(len(bitbudget.devices()) > 0)"
    assert installation.run("-c", code, folder=installation.packages.parent).stdout == "True\n"
