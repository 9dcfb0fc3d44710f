"""The kernels of all levels on emulated chips against the interpreter: a sample of the cases of the host."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from network.allocation import BITS
from network.layers import Axis, Flattening, Padding, Shape
from tests.deploy.kernels.kernel_cases import Case
from tests.deploy.kernels.kernel_program import WARNINGS, check, write_kernels
from tests.deploy.kernels.random_layers import RandomLayers

SCRIPT: Final = """
ENTRY(_start)
SECTIONS {
  . = 0; .vectors : { LONG(0x203FFFF0) LONG(_start | 1) }
  .text : { *(.text*) *(.rodata*) *(.init) *(.fini) }
  .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; }
  . = 0x20000000; .data : { *(.data*) }
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; }
  end = .; __end__ = .; __stack = 0x203FFFF0;
}
"""
CHIPS: Final = {  # core: flags, machine, level. An M3 runs the code of an M0.
    "cortex-m0": (("-mcpu=cortex-m0",), "mps2-an385", 0),
    "cortex-m3": (("-mcpu=cortex-m3",), "mps2-an385", 0),
    "cortex-m4": (("-mcpu=cortex-m4",), "mps2-an386", 1),
}


def window_cases() -> list[Case]:
    """Cases of windows partly or wholly outside the image, of images narrower than a window, and of odd widths."""
    layers, found = RandomLayers(22), []
    paddings = (Padding(0, 0, 0, 0), Padding(1, 1, 1, 1), Padding(0, 0, 1, 1), Padding(2, 3, 2, 1))
    geometries = itertools.product((1, 3, 16, 40), (1, 2, 3), (1, 2, 3), (1, 2), paddings)
    for channels, kernel, stride, dilation, padding in geometries:
        bits = (8 if layers.generator.random() < 0.7 else layers.bits(), layers.bits(), layers.bits())
        extents = []
        for size, before, after in (
            (dilation * (kernel - 1) + 1, padding.top, padding.bottom),
            (kernel, padding.left, padding.right),
        ):
            least = max(1, size - before - after)
            extents.append(int(layers.generator.integers(least, least + 7)))
        found.append(
            layers.convolution(
                Shape(channels, *extents), int(layers.generator.integers(1, 6)), bits, "narrow",
                kernel=(kernel, kernel), stride=(int(layers.generator.integers(1, 3)), stride), padding=padding,
                dilation=(dilation, 1),
            )
        )  # fmt: skip
    for channels, height, width in itertools.product((3, 4, 8, 16, 24), (1, 2), (1, 2, 5)):
        found.append(layers.convolution(Shape(channels, height, width), 3, (8, layers.bits(), 8), "narrow"))
    return found


def cases() -> list[Case]:
    layers, found = RandomLayers(21), []
    for bits, form in itertools.product(itertools.product(BITS, BITS, BITS), ("narrow", "wide", "thresholds")):
        found.append(layers.convolution(Shape(22, 3, 1), 5, bits, form))
        found.append(layers.convolution(Shape(6, 2, 3), 3, bits, form, is_fully_connected=True))
        for channels, groups in ((3, 1), (4, 1), (8, 2), (16, 1), (24, 1)):
            around = Padding(1, 0, 1, 2)
            found.append(
                layers.convolution(Shape(channels, 4, 3), 6, bits, form, kernel=(3, 2), padding=around, groups=groups)
            )
    for pair in itertools.product(BITS, BITS):
        found += [layers.add(Shape(5, 2, 2), (pair[0], *pair), is_wide=is_wide) for is_wide in (False, True)]
        found.append(layers.max_pool(Shape(5, 5, 4), (3, 2), (2, 1), Padding(1, 1, 0, 0), pair))
        found.append(layers.average_pool(Shape(5, 5, 4), (3, 2), (2, 1), Padding(1, 1, 0, 0), pair))
        found.append(layers.pad(Shape(3, 2, 2), Padding(1, 0, 0, 1), (1, 2), pair))
        found.append(layers.concat((Shape(3, 2, 2), Shape(2, 2, 2)), Axis.CHANNELS, Flattening.CHANNELS_FIRST))
    return found + window_cases()


@pytest.mark.parametrize(
    "core", [core if core == "cortex-m4" else pytest.param(core, marks=pytest.mark.long) for core in CHIPS]
)
def test_kernels_on_an_emulated_chip(core: str, tmp_path: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    flags, machine, level = CHIPS[core]
    script, program = tmp_path / "chip.ld", tmp_path / "kernels"
    script.write_text(SCRIPT, encoding="ascii")
    command = [
        "arm-none-eabi-gcc", "-O2", "-mthumb", *flags, f"-DBB_LEVEL={level}", *WARNINGS, f"-I{tmp_path}",
        "--specs=rdimon.specs", "-T", str(script), "-Wl,--no-warn-rwx-segments", str(write_kernels(tmp_path)),
        str(Path(__file__).with_name("kernel_program.c")), "-o", str(program) + ".elf",
    ]  # fmt: skip
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    arguments = ",".join(
        f"arg={word}" for word in ("kernels", program.with_suffix(".cases"), program.with_suffix(".results"))
    )
    program.write_text(
        f"#!/bin/sh\nexec qemu-system-arm -M {machine} -nographic -monitor none -serial none "
        f"-semihosting-config enable=on,target=native,{arguments} -kernel {program}.elf\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    check(program, cases())
