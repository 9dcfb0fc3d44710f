"""Names of the members of a zip archive, read from its directory without extracting anything.

Only names are needed, of untrusted archives of any size: `zipfile` would build an object for every member of the
directory. Source of the layout: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.16 (end).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

LOCAL_HEADER: Final = b"PK\x03\x04"
"""First bytes of a zip archive that is not empty."""

MAX_MEMBERS: Final = 1000
"""Largest number of members whose names are read."""

_END: Final = b"PK\x05\x06"
_MAX_END_BYTES: Final = 22 + 65_535
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_ENTRY_BYTES: Final = 46
_LOCAL_HEADER_BYTES: Final = 30


def member_names(content: bytes) -> tuple[str, ...]:
    """Return the names of the first 1,000 members of a zip archive; of a truncated one, that of the first member.

    Args:
        content: Content of the whole file. Characters of names that are not valid UTF-8 are replaced.
    """
    return tuple(_names_of_directory(content)) or tuple(_name_of_first_member(content))


def _names_of_directory(content: bytes) -> Iterator[str]:
    end = content.rfind(_END, max(0, len(content) - _MAX_END_BYTES))
    if end < 0 or len(content) < end + 20:
        return
    (place,) = struct.unpack_from("<I", content, end + 16)
    for _ in range(MAX_MEMBERS):
        if content[place : place + 4] != _DIRECTORY_ENTRY or len(content) < place + _ENTRY_BYTES:
            return
        name, extra, comment = struct.unpack_from("<HHH", content, place + 28)
        yield content[place + _ENTRY_BYTES : place + _ENTRY_BYTES + name].decode(errors="replace")
        place += _ENTRY_BYTES + name + extra + comment


def _name_of_first_member(content: bytes) -> Iterator[str]:
    if content[:4] == LOCAL_HEADER and len(content) >= _LOCAL_HEADER_BYTES:
        (name,) = struct.unpack_from("<H", content, 26)
        yield content[_LOCAL_HEADER_BYTES : _LOCAL_HEADER_BYTES + name].decode(errors="replace")
