"""Text of C: comments, strings, numbers, tables of words, and templates whose prefix `bb_` becomes a network's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

import numpy as np
import numpy.typing as npt

LINE_WIDTH: Final = 120
"""Largest number of characters of a line of generated C; longer names of a network's layers make longer lines."""

WORDS_IN_A_LINE: Final = 8
BYTES_IN_A_LINE: Final = 24

_PREFIX: Final = re.compile(r"\b(bb|BB)_")


def with_prefix(text: str, name: str) -> str:
    """Return a C source in which every identifier that begins with `bb_` or `BB_` begins with a network's name.

    Args:
        text: The C source.
        name: The name of the network's C files.
    """
    return _PREFIX.sub(lambda found: f"{name if found.group(1) == 'bb' else name.upper()}_", text)


def from_template(template: str, name: str, **values: str) -> str:
    """Return the text of a template, with the prefix of a network and the given values of its placeholders.

    Args:
        template: The file name of the template in `deploy/emission/templates`.
        name: The name of the network's C files.
        values: Name of each placeholder -> its text.
    """
    return Template(with_prefix(_template(template), name)).substitute(values, name=name, upper=name.upper())


@cache
def _template(name: str) -> str:
    return files("deploy.emission").joinpath("templates", name).read_text(encoding="ascii")


def comment_text(text: str) -> str:
    """Return a text of the user, such as the name of a layer, as ASCII that cannot end a C comment."""
    printable = "".join(each if each.isascii() and each.isprintable() else "_" for each in text)
    return printable.replace("*/", "*_").replace("/*", "/_").replace("??", "__").replace("\\", "/")


def string_literal(text: str) -> str:
    """Return a text as a C string literal: ASCII, with an octal escape for each byte of any other character."""
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'


def unsigned(number: int) -> str:
    """Return a whole number of at least 0 as an unsigned C constant; above 32 bits of type unsigned long long."""
    return f"{number}u" if number < 2**32 else f"{number}ull"


def signed(number: int) -> str:
    """Return an int32 as a C constant, which has no constant of the value -2^31."""
    return "(-2147483647 - 1)" if number == -(2**31) else str(number)


def wrapped(parts: Iterable[str], indent: str) -> str:
    """Return texts in lines of at most `LINE_WIDTH` characters, each text followed by a comma.

    Args:
        parts: The texts, one or more.
        indent: White space before each line.
    """
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= LINE_WIDTH:
            lines[-1] += f" {part},"
        else:
            lines.append(f"{indent}{part},")
    return "\n".join(lines)


def table_of_words(words: npt.NDArray[np.uint32]) -> str:
    """Return the lines of an initializer of 32-bit words, in hexadecimal."""
    return _table([f"0x{word:08x}," for word in words.tolist()], WORDS_IN_A_LINE)


def table_of_bytes(content: bytes) -> str:
    """Return the lines of an initializer of bytes, in decimal."""
    return _table([f"{byte}," for byte in content], BYTES_IN_A_LINE)


def _table(parts: Sequence[str], columns: int) -> str:
    return "\n".join("    " + "".join(parts[start : start + columns]) for start in range(0, len(parts), columns))
