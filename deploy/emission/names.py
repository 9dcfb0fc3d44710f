"""C identifiers of a network and of its tensors.

The name of a network is the prefix of everything that its C files define, and the name of its files. It consists of
lower-case letters, digits and single underscores, begins with a letter, does not end with an underscore, and has at
most 40 characters. It is not one of the reserved names: keywords of C and C++, headers of the C library (a file
`string.h` would hide the library's), and names that build tools reserve.

A name that the caller gives must follow these rules. A name that is derived from the name of the network follows them
because every other character becomes an underscore: "Mobile-Net V1 (0.25)" becomes "mobile_net_v1_0_25", "8bit" becomes
"network_8bit", "main" becomes "main_network".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from network.errors import RequestError

MAX_NAME_CHARACTERS: Final = 40

_KEYWORDS: Final = """
    alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char class co_await co_return co_yield
    compl concept const const_cast consteval constexpr constinit continue decltype default delete do double dynamic_cast
    else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return short
    signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
    typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""

_HEADERS: Final = """
    arduino arm_acle arm_mve arm_neon assert complex ctype errno fenv inttypes iso646 limits locale math setjmp signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar
    unistd wchar wctype
"""

_BUILDS: Final = "all bb clean install library main src test"

RESERVED_NAMES: Final = frozenset(f"{_KEYWORDS} {_HEADERS} {_BUILDS}".split())
"""Names that no C files can have: keywords, headers of libraries, and names of files and targets of builds."""

_NAME: Final = re.compile(r"[a-z](?:_?[a-z0-9])*")
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def checked_name(name: str) -> str:
    """Return the name that a caller gives to the C files of a network.

    Raises:
        RequestError: if the name does not follow the rules of this module.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARACTERS:
        raise RequestError(
            f"the name of the C files is {name[:60]!r}; expected 1 to {MAX_NAME_CHARACTERS} lower-case letters, digits "
            f"and single underscores, the first a letter, e.g. {derived_name(name)!r}"
        )
    if name in RESERVED_NAMES:
        raise RequestError(
            f"the name of the C files is {name!r}, which C, C++ or a build tool reserves; expected another name, e.g. "
            f"{derived_name(name)!r}"
        )
    return name


def derived_name(name: str) -> str:
    """Return a valid name of C files that is derived from any text, e.g. the name of a network."""
    cleaned = _cleaned(name)
    if not cleaned or not cleaned[0].isalpha():
        cleaned = f"network_{cleaned}".rstrip("_") if cleaned else "my_network"
    cleaned = cleaned[:MAX_NAME_CHARACTERS].rstrip("_")
    return f"{cleaned}_network" if cleaned in RESERVED_NAMES else cleaned


def distinct_suffixes(names: Iterable[str]) -> dict[str, str]:
    """Return a distinct part of an identifier for each name, from lower-case letters, digits and underscores.

    Args:
        names: Distinct names of tensors.

    Returns:
        Each name -> its part. A part that an earlier name has already gets a number.
    """
    suffixes: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        first = _cleaned(name) or "tensor"
        suffix, number = first, 2
        while suffix in taken:
            suffix, number = f"{first}_{number}", number + 1
        taken.add(suffix)
        suffixes[name] = suffix
    return suffixes


def _cleaned(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _OTHER.sub("_", ascii_text.lower()).strip("_")
