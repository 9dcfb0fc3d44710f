"""The tree around the C files: CMake builds and runs it, and the other tools' published rules hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from deploy.building.cores import CORES, Architecture
from deploy.emission import emit
from deploy.emission.notice import notice_of
from deploy.host_c.files import host_c_files
from deploy.integer_network import IntegerNetwork
from deploy.layouts.tree import Layout, laid_out
from network.layers import Shape
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.random_networks import Builder

NAME = "tiny_net"

ARM_CORES = [core.name for core in CORES.values() if core.architecture is Architecture.ARM]


def small_network() -> IntegerNetwork:
    builder = Builder(np.random.default_rng(5), Shape(3, 6, 6))
    source = builder.convolution("input", 5, (3, 3), weight_bits=4)
    builder.fully_connected(source, 4, weight_bits=2)
    return on_chip(builder.network('tiny "net" ??/'), 0)


def files() -> dict[str, bytes]:
    network = small_network()
    notice = notice_of(network, NAME)
    return emit(network, name=NAME) | host_c_files(network, None, notice, NAME)


def tree(layout: Layout = Layout.ALL) -> dict[str, bytes]:
    return laid_out(files(), NAME, notice_of(small_network(), NAME), layout)


def written(directory: Path, layout: Layout = Layout.ALL) -> dict[str, bytes]:
    content = tree(layout)
    for path, text in content.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(text)
    return content


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
    return done.stdout


needs_cmake = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("gcc") is None, reason="cmake or gcc is not installed"
)
needs_chip = pytest.mark.skipif(
    any(shutil.which(each) is None for each in ("cmake", "arm-none-eabi-gcc", "qemu-system-arm")),
    reason="cmake, arm-none-eabi-gcc or qemu-system-arm is not installed",
)


@needs_cmake
def test_cmake_builds_the_example_and_the_library_in_another_project(tmp_path: Path) -> None:
    written(tmp_path / "net")
    run(tmp_path, "cmake", "-S", "net", "-B", "own", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wconversion -Werror")
    run(tmp_path, "cmake", "--build", "own")
    shown = run(tmp_path, "ctest", "--test-dir", "own", "-V")
    assert "self-test: passed" in shown
    project = tmp_path / "firmware"
    project.mkdir()
    (project / "main.c").write_text(
        f'#include "{NAME}.h"\n#include "{NAME}_host.h"\n'
        f"static uint32_t arena[{NAME.upper()}_ARENA_WORDS];\nstatic {NAME}_host_values values;\n"
        f"int main(void) {{ {NAME}_run(arena); {NAME}_finish({NAME}_output(arena), &values); return 0; }}\n"
    )
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(firmware C)\nadd_subdirectory(../net net)\n"
        f"add_executable(firmware main.c)\ntarget_link_libraries(firmware PRIVATE {NAME} {NAME}_host)\n"
    )
    run(tmp_path, "cmake", "-S", "firmware", "-B", "theirs")
    run(tmp_path, "cmake", "--build", "theirs")
    run(tmp_path, "theirs/firmware")
    assert not (tmp_path / "theirs/net" / f"{NAME}_example").exists()


@needs_chip
@pytest.mark.parametrize("core", ["cortex-m4", pytest.param("all", marks=pytest.mark.long)])
def test_the_toolchain_file_runs_the_example_on_a_simulated_chip(core: str, tmp_path: Path) -> None:
    written(tmp_path)
    for each in ARM_CORES if core == "all" else [core]:
        toolchain = "-DCMAKE_TOOLCHAIN_FILE=toolchains/arm-none-eabi.cmake"
        run(tmp_path, "cmake", "-S", ".", "-B", each, toolchain, f"-DCORE={each}")
        run(tmp_path, "cmake", "--build", each)
        assert "self-test: passed" in run(tmp_path, "ctest", "--test-dir", each, "-V")


@pytest.mark.long
@pytest.mark.skipif(
    any(shutil.which(each) is None for each in ("cmake", "riscv64-unknown-elf-gcc", "qemu-system-riscv32")),
    reason="cmake, riscv64-unknown-elf-gcc or qemu-system-riscv32 is not installed",
)
def test_the_toolchain_file_runs_the_example_on_a_simulated_riscv(tmp_path: Path) -> None:
    written(tmp_path)
    toolchain = "-DCMAKE_TOOLCHAIN_FILE=toolchains/riscv64-unknown-elf.cmake"
    run(tmp_path, "cmake", "-S", ".", "-B", "build", toolchain)
    run(tmp_path, "cmake", "--build", "build")
    assert "self-test: passed" in run(tmp_path, "ctest", "--test-dir", "build", "-V")


@needs_chip
def test_an_unknown_core_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    toolchain = "-DCMAKE_TOOLCHAIN_FILE=toolchains/arm-none-eabi.cmake"
    command = ["cmake", "-S", ".", "-B", "build", toolchain, "-DCORE=z80"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "'z80' is unknown" in done.stderr


def test_the_self_test_of_the_example_notices_a_changed_weight(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    written(tmp_path, Layout.FLAT)
    source = (tmp_path / f"{NAME}.c").read_text()
    start = source.index("{", source.index(f"{NAME}_weights_1["))
    digit = source.index("0x", start) + 2
    changed = f"{source[:digit]}{int(source[digit], 16) ^ 1:x}{source[digit + 1 :]}"
    compile_all = "gcc -O1 ./*.c -lm -o example"
    run(tmp_path, "sh", "-c", compile_all)
    assert "self-test: passed" in run(tmp_path, "./example")
    (tmp_path / f"{NAME}.c").write_text(changed)
    run(tmp_path, "sh", "-c", compile_all)
    done = subprocess.run(["./example"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "constants of step 1" in done.stdout


def test_zephyr_reads_the_module() -> None:
    """By the schema in Zephyr's scripts/zephyr_module.py: a map of strings, and the files to which they lead."""
    content = tree()
    lines = [line for line in content["zephyr/module.yml"].decode().splitlines() if not line.startswith("#")]
    assert lines == [f"name: {NAME}", "build:", "  cmake: zephyr", "  kconfig: zephyr/Kconfig"]
    assert {"zephyr/CMakeLists.txt", "zephyr/Kconfig"} <= content.keys()
    kconfig, cmake = content["zephyr/Kconfig"].decode(), content["zephyr/CMakeLists.txt"].decode()
    defined = set(re.findall(r"^(?:menu)?config (\w+)$", kconfig, re.MULTILINE))
    assert {each.removeprefix("CONFIG_") for each in re.findall(r"CONFIG_\w+", cmake)} == defined
    assert kconfig.count("\nif ") == kconfig.count("\nendif") == 1
    sources = re.findall(r"\$\{sources\}/(\S+\.c)\b", cmake)
    assert sorted(sources) == sorted(path.removeprefix("src/") for path in content if re.match(r"src/.*\.c$", path))


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_the_zephyr_part_is_valid_cmake(tmp_path: Path) -> None:
    """Zephyr's functions are recorded here instead of run; their names are those of its build system."""
    written(tmp_path / "net")
    functions = ["named", "sources", "sources_ifdef", "compile_options"]
    recorded = "".join(
        f'function(zephyr_library_{each})\n  message(STATUS "{each}: ${{ARGN}}")\nendfunction()\n' for each in functions
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app NONE)\n" + recorded
        + "function(zephyr_include_directories)\nendfunction()\nadd_subdirectory(net/zephyr net)\n"
    )  # fmt: skip
    assert "sources" not in run(tmp_path, "cmake", "-S", ".", "-B", "off")
    shown = run(tmp_path, "cmake", "-S", ".", "-B", "on", f"-DCONFIG_BITBUDGET_{NAME.upper()}=y")
    paths = re.findall(r"[^\s;]+/src/\w+\.c", shown)
    assert len(paths) == 4
    assert all(Path(each).is_file() for each in paths)


def test_arduino_reads_the_library() -> None:
    """By the rules of arduino-lint's schema of library.properties."""
    content = tree()
    lines = content["library.properties"].decode().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= properties.keys()
    assert len(properties) == len(lines)
    assert all(properties.values())
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9 _.\-]*", properties["name"])
    assert len(properties["name"]) <= 63
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] == "Data Processing"
    assert not any("arduino" in properties[key].lower() for key in ("name", "maintainer"))
    assert f"src/{properties['includes']}" in content
    (sketch,) = (path for path in content if path.endswith(".ino"))
    folder, file = sketch.split("/")[1:]
    assert file == f"{folder}.ino"
    included = re.findall(r"#include <(\w+\.h)>", content[sketch].decode())
    assert included
    assert all(f"src/{each}" in content for each in included)


def test_platformio_reads_the_library() -> None:
    """By the rules of platformio/package/manifest/schema.py."""
    content = tree()
    manifest = json.loads(content["library.json"])
    assert re.fullmatch(r"[^:;/,@<>]{1,100}", manifest["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert all(re.fullmatch(r"[a-z\d\-+. ]{1,50}", each) for each in manifest["keywords"])
    assert all(re.fullmatch(r"[a-z\d\-_]+|\*", each) for each in (*manifest["platforms"], *manifest["frameworks"]))
    assert manifest["license"] == "0BSD"
    assert {f"{manifest['build']['srcDir']}/{each}" for each in manifest["headers"]} <= content.keys()


@pytest.mark.parametrize("layout", Layout)
def test_each_layout_has_the_c_files_and_a_page(layout: Layout) -> None:
    content = tree(layout)
    folder = "" if layout is Layout.FLAT else "src/"
    assert {f"{folder}{NAME}.c", f"{folder}{NAME}_host.h", "main.c", "README.md"} <= content.keys()
    marks = {"cmake": "CMakeLists.txt", "zephyr": "zephyr/module.yml", "arduino": "library.properties",
             "platformio": "library.json"}  # fmt: skip
    for tool, path in marks.items():
        assert (path in content) == (layout in (Layout.ALL, tool))
    assert list(content) == sorted(content)
    assert content == tree(layout)


def test_every_file_says_that_it_may_be_shipped_and_is_plain_text() -> None:
    for path, content in tree().items():
        text = content.decode("ascii")
        assert "0BSD" in text, path
        assert "@" not in text, f"{path} has a placeholder"
        assert text.endswith("\n")
        assert "\t" not in text or path == "zephyr/Kconfig"
