"""The result of an emission as text, for the command line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from api.operations.emission import EmittedC
from deploy.layouts.tree import Layout

_NEXT: dict[Layout, str] = {
    Layout.ZEPHYR: "west build ... -- -DZEPHYR_EXTRA_MODULES={folder}",
    Layout.ARDUINO: "put {folder} into the folder libraries of your sketches",
    Layout.PLATFORMIO: "put {folder} into the folder lib of your project",
    Layout.FLAT: "cc -O2 {folder}/*.c -lm -o {name}_example && ./{name}_example",
}
"""What to do next by the layout; with the others, CMake builds and runs the example."""

_NEXT_OF_CMAKE = (
    "cmake -S {folder} -B {folder}/build && cmake --build {folder}/build && ctest --test-dir {folder}/build"
)


def test_vectors(samples: int) -> str:
    """Return what a self-test has as its inputs.

    Args:
        samples: Number of real samples; 0 if there are none.
    """
    return f"{samples} real sample{'' if samples == 1 else 's'}" if samples else "pseudo-random codes (no real samples)"


def emission_text(emitted: EmittedC, directory: Path, layout: Layout) -> RenderableType:
    """Return what was written, with the bytes of flash and RAM, and the next command.

    Args:
        emitted: The network in C.
        directory: Directory of the files.
        layout: Build tools for which files were laid out.
    """
    width = max(map(len, emitted.files))
    memory = emitted.memory
    lines = (
        f"{emitted.name} in C, in {directory}",
        *(f"  {path:{width}}  {len(content):>9,} bytes" for path, content in emitted.files.items()),
        "",
        f"flash  {memory.flash_bytes:,.0f} bytes: weights, constants, tables and kernels",
        f"RAM    {memory.ram_bytes:,.0f} bytes, of which the arena that you provide takes {emitted.arena_bytes:,}",
        f"self-test with {test_vectors(emitted.test_samples)}",
        "",
        f"next: {_NEXT.get(layout, _NEXT_OF_CMAKE).format(folder=directory, name=emitted.name)}",
    )
    return Group(*map(Text, lines))
