"""C sources of the kernels, from which the C code of a network takes only the functions that it calls.

    kernels.h              types and declarations, all functions
    portable/columns.h     format of widened columns, with a plain product of a weight word and a column
    parts.h, dots.h        inline functions that kernels share; convolution.h and depthwise.h: those of
                           convolutions, weightless.h and scaling.h: those of layers without weights
    portable/pairs.h       pairs of windows and pixels that a level computes apart from all others
    portable/NAME.c        function bb_NAME in portable C99

The folders `dsp` and `helium` have files of the same names for functions with a form of their own at this level; a
level without one uses the portable one. They may have a `parts.h` with what their kernels share, and a `dot1_parts.h`
and a `dot2_parts.h` for the dot products of one and two columns. A source includes nothing: `kernel_source` puts
everything that the functions need into one text, with the levels under #if.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from typing import Final

LEVELS: Final = {"helium": 2, "dsp": 1}
"""Name of each level that is not portable -> the value of BB_LEVEL, in the order in which they are tried."""

FAST_ONLY: Final = ("pairs.h",)
"""Files whose forms of a level are left out where the compiler optimizes for size; the portable form is small."""

WEIGHTLESS: Final = ("add", "average_pool", "concat", "max_pool", "pad")
"""Beginnings of the names of kernels of layers without weights."""


def kernels_header() -> str:
    """Return the text of the header with the types and declarations of all kernels."""
    return files(__name__).joinpath("kernels.h").read_text(encoding="utf-8")


def kernel_functions() -> tuple[str, ...]:
    """Return the names of all functions that have a source, in alphabetical order."""
    names = (each.name for each in files(__name__).joinpath("portable").iterdir())
    return tuple(sorted(f"bb_{name.removesuffix('.c')}" for name in names if name.endswith(".c")))


def kernel_source(functions: Collection[str]) -> str:
    """Return the text of the given functions and of the inline functions that they need, for all levels.

    The text needs the header (`kernels_header`) before it.

    Args:
        functions: The names of the functions, e.g. "bb_pointwise"; their order does not matter.

    Raises:
        ValueError: if a function has no source.
    """
    known = kernel_functions()
    unknown = sorted(set(functions) - set(known))
    if unknown:
        raise ValueError(f"no source of {', '.join(unknown)}; expected names of {', '.join(known)}")
    names = sorted(f"{name.removeprefix('bb_')}.c" for name in set(functions))
    shared = [_shared("parts.h"), _shared("dots.h")]
    levels = ["parts.h"]
    if any(name.startswith(WEIGHTLESS) for name in names):
        shared += [_of_levels("scaling.h"), _shared("weightless.h")]
    if any(name.startswith("depthwise") for name in names):
        shared.append(_shared("depthwise.h"))
        levels += ["depthwise_blocks.h", "depthwise_rows.h"]
    if {"convolution.c", "pointwise.c"} & set(names):
        shared.append(_shared("convolution.h"))
        levels.append("pairs.h")
    levels += [f"{dot}_parts.h" for dot in ("dot1", "dot2") if any(name.startswith(dot) for name in names)]
    return "\n".join([_of_levels("columns.h"), *shared, *map(_of_levels, levels), *map(_of_levels, names)])


def _shared(name: str) -> str:
    """Return the text of inline functions of all levels."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _of_levels(name: str) -> str:
    """Return the sources of one name for all levels, each under the condition of its level.

    DSP code that does not depend on the format of columns also serves Helium cores without a form of their own.
    """
    forms = [(level, _text(level, name)) for level in LEVELS]
    comparison = ">=" if name.startswith(("depthwise", "scaling", *WEIGHTLESS)) else "=="
    end = " && !defined(__OPTIMIZE_SIZE__)\n" if name in FAST_ONLY else "\n"
    conditions = [f"BB_LEVEL {comparison} {LEVELS[level]}{end}{text}" for level, text in forms if text is not None]
    portable = _text("portable", name) or ""
    if not conditions:
        return portable
    return "#if " + "#elif ".join(conditions) + (f"#else\n{portable}" if portable else "") + "#endif\n"


def _text(level: str, name: str) -> str | None:
    source = files(__name__).joinpath(level, name)
    return source.read_text(encoding="utf-8") if source.is_file() else None
