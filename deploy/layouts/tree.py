"""The tree of files that a firmware engineer adds to a project: C files, and what each build tool needs around them.

One tree serves all tools:

    src/                    the C files                                        library.json        PlatformIO
    CMakeLists.txt          CMake; toolchains/ and simulated/ for the example  library.properties  Arduino
    zephyr/                 Zephyr module                                      examples/           sketch for Arduino
    main.c                  example

To support another build tool, add a member to `Layout` and a row to `_FILES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files as package_files
from string import Template
from typing import Final

from deploy.emission.notice import Notice
from deploy.layouts.cross_compiling import core_values
from network.kernel_sizes.tables import Optimization


class Layout(StrEnum):
    """Build tool for which files are laid out."""

    ALL = "all"
    CMAKE = "cmake"
    ZEPHYR = "zephyr"
    ARDUINO = "arduino"
    PLATFORMIO = "platformio"
    FLAT = "flat"


SOURCE_FOLDER: Final = "src"
EXAMPLE_FILE: Final = "main.c"
README_FILE: Final = "README.md"


class _Template(Template):
    """Text with placeholders @name, because CMake has a meaning for the dollar sign."""

    delimiter = "@"


@dataclass(frozen=True, slots=True)
class _Tool:
    """Files of one build tool.

    Attributes:
        templates: Path in the tree -> file name of its template.
        use: How the tool includes the tree, for the page README.md.
    """

    templates: Mapping[str, str]
    use: str


_FILES: Final[Mapping[Layout, _Tool]] = {
    Layout.CMAKE: _Tool(
        {
            "CMakeLists.txt": "CMakeLists.txt",
            "toolchains/arm-none-eabi.cmake": "arm-none-eabi.cmake",
            "toolchains/riscv64-unknown-elf.cmake": "riscv64-unknown-elf.cmake",
            "simulated/cortex_m.c": "cortex_m.c",
            "simulated/cortex_m.ld": "cortex_m.ld",
        },
        "CMake: `add_subdirectory(this/folder)` and `target_link_libraries(my_firmware PRIVATE @name)`. "
        "`CMakeLists.txt` and the files in `toolchains/` say how the example is built and run, here and on simulated "
        "chips.",
    ),
    Layout.ZEPHYR: _Tool(
        {
            "zephyr/module.yml": "module.yml",
            "zephyr/Kconfig": "Kconfig",
            "zephyr/CMakeLists.txt": "zephyr_CMakeLists.txt",
        },
        "Zephyr: `west build ... -- -DZEPHYR_EXTRA_MODULES=/path/to/this/folder`, with `CONFIG_BITBUDGET_@upper=y` in "
        "`prj.conf`.",
    ),
    Layout.ARDUINO: _Tool(
        {"library.properties": "library.properties", "examples/self_test/self_test.ino": "self_test.ino"},
        "Arduino: put this folder into `libraries/`; the example `self_test` checks the network on the board.",
    ),
    Layout.PLATFORMIO: _Tool(
        {"library.json": ""},
        "PlatformIO: `lib_deps = file:///path/to/this/folder`, or put this folder into `lib/`.",
    ),
}  # fmt: skip


def laid_out(
    files: Mapping[str, bytes],
    name: str,
    notice: Notice,
    layout: Layout = Layout.ALL,
    optimization: Optimization = Optimization.SPEED,
) -> dict[str, bytes]:
    """Return the tree of files for a build tool.

    Args:
        files: Content of each C file by its name; `main.c` is the example.
        name: Name of the C files.
        notice: Where the files come from.
        layout: The build tool; ALL for all of them, FLAT for the C files without folders.
        optimization: Optimization flag of the kernels, as the memory report counts them.

    Returns:
        Content of each file by its path in the tree, sorted.
    """
    is_flat = layout is Layout.FLAT
    tools = [_FILES[each] for each in _FILES if layout in (Layout.ALL, each)]
    folder = "" if is_flat else f"{SOURCE_FOLDER}/"
    tree = {path if path == EXAMPLE_FILE else f"{folder}{path}": content for path, content in files.items()}
    for tool in tools:
        tree |= {
            path: _content(path, template, name, notice, optimization) for path, template in tool.templates.items()
        }
    uses = "".join(f"- {_substituted(tool.use, name)}\n" for tool in tools)
    tree[README_FILE] = _encoded(
        _substituted(
            _template(README_FILE), name,
            sources=SOURCE_FOLDER if not is_flat else ".",
            uses=uses or "Compile all `.c` files but `main.c` with your firmware.\n",
        )
    )  # fmt: skip
    return dict(sorted(tree.items()))


def _content(path: str, template: str, name: str, notice: Notice, optimization: Optimization) -> bytes:
    if not template:
        return _encoded(json.dumps(_platformio(name, optimization), indent=2) + "\n")
    mark = _COMMENTS.get(path.rpartition(".")[2], _hash_comment)
    lines = mark(notice.text)
    return _encoded(
        _substituted(
            _template(template),
            name,
            notice=lines,
            optimization=optimization,
            **core_values(),
        )
    )


def _hash_comment(text: str) -> str:
    return "\n".join(f"# {line.strip()}" for line in text.splitlines())


_COMMENTS: Final[Mapping[str, Callable[[str], str]]] = {"c": str, "ld": str, "ino": str}
"""Comment with the notice by the extension of a file's name; in C, the template has the comment around it."""


def _platformio(name: str, optimization: Optimization) -> dict[str, object]:
    return {
        "name": name,
        "version": "1.0.0",
        "description": f"Neural network {name} in integer arithmetic: generated C99 without heap and floating point",
        "keywords": ["neural-network", "quantization"],
        "license": "0BSD",
        "frameworks": ["*"],
        "platforms": ["*"],
        "headers": [f"{name}.h"],
        "build": {
            "srcDir": SOURCE_FOLDER,
            "includeDir": SOURCE_FOLDER,
            "flags": [f"-{optimization}"],
            "libArchive": True,
        },
    }


def _substituted(text: str, name: str, **values: str) -> str:
    return _Template(text).substitute(values, name=name, upper=name.upper())


@cache
def _template(name: str) -> str:
    return package_files("deploy.layouts").joinpath("templates", name).read_text(encoding="ascii")


def _encoded(text: str) -> bytes:
    return text.encode("ascii")
