"""Damaged copies of dataset files: any bytes, and for each format what its headers, tables and members say."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.network.mutants import damaged_bytes, one_of

Damage = Callable[[bytes, np.random.Generator], bytes]

_SHAPES: Final = (
    "()",
    "(0,)",
    "(-1, 3)",
    "(24,)",
    "(4294967296, 8)",
    "(9999999999, 9999999999)",
    "(24, 8, 8, 3, 1, 1)",
)
_TYPES: Final = ("<f8", "|O", "<U8", "<c16", "|b1", ">i2", "<M8[s]", "|V8", "[('a', '<f4')]", "<f4, <f4")
_NUMBERS: Final = (0, -1, 3, 255, 2**31, 2**63 - 1, -(2**63))


def npz_members(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the headers of arrays, the numbers of labels, or the names and the compression of members."""
    given = zipfile.ZipFile(io.BytesIO(content))
    members = {name: given.read(name) for name in given.namelist()}
    name = one_of(rng, list(members))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        members[name] = _with_header(members[name], rng)
    elif kind == 1:
        values = np.load(io.BytesIO(members[name])).copy()
        values.flat[int(rng.integers(0, values.size))] = np.array(one_of(rng, _NUMBERS)).astype(values.dtype)
        members[name] = _npy(values)
    elif kind == 2:
        values = np.load(io.BytesIO(members[name])).astype(np.float32)
        values.flat[int(rng.integers(0, values.size))] = one_of(rng, (np.nan, np.inf, -np.inf, 3e38))
        members[name] = _npy(values)
    elif kind == 3:
        members[one_of(rng, ("../x.npy", "/train_x.npy", "train_x", "test_z.npy", "\x00.npy", ""))] = members.pop(name)
    elif kind == 4:
        del members[name]
    else:
        members[name] = members[name][: int(rng.integers(0, len(members[name])))]
    written = io.BytesIO()
    with zipfile.ZipFile(
        written, "w", one_of(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as made:
        for each, data in members.items():
            made.writestr(zipfile.ZipInfo(each), data)
    return written.getvalue()


def _with_header(member: bytes, rng: np.random.Generator) -> bytes:
    length = int.from_bytes(member[8:10], "little")
    header = member[10 : 10 + length].decode("latin1")
    if rng.integers(0, 2):
        start = header.index("'shape': ") + 9
        header = header[:start] + one_of(rng, _SHAPES) + header[header.index(")", start) + 1 :]
    else:
        start = header.index("'descr': ") + 9
        header = f"{header[:start]}'{one_of(rng, _TYPES)}'{header[header.index(',', start) :]}"
    changed = header.rstrip().encode("latin1") + b"\n"
    return member[:8] + len(changed).to_bytes(2, "little") + changed + member[10 + length :]


def _npy(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    written = io.BytesIO()
    np.save(written, values)
    return written.getvalue()


def parquet_columns(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the columns, the rows and the images of a table."""
    given = pq.read_table(io.BytesIO(content))
    rows = given.to_pylist()
    row = one_of(rng, rows)
    kind = int(rng.integers(0, 6))
    if kind == 0:
        row["label"] = one_of(rng, (None, *_NUMBERS[:4]))
    elif kind == 1:
        row["image"] = one_of(rng, (None, {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"", "path": None}))
    elif kind == 2 and row["image"]["bytes"]:
        row["image"]["bytes"] = damaged_bytes(row["image"]["bytes"], rng)
    elif kind == 3:
        rows = rows * int(one_of(rng, (0, 50)))
    else:
        table = given.rename_columns([one_of(rng, ("image", "label", "img", "x")) for _ in given.column_names])
        return _table(table if kind == 4 else given.select([0]))
    return _table(pa.Table.from_pylist(rows, schema=given.schema))


def _table(table: pa.Table) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def tar_members(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the names, the types and the content of the members of an archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as given:
        files = [(each, given.extractfile(each)) for each in given.getmembers()]
        members = [(each, b"" if file is None else file.read()) for each, file in files]
    changed = int(rng.integers(0, len(members)))
    written = io.BytesIO()
    form = one_of(rng, (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=written, mode="w", format=form) as made:
        for number, (member, whole) in enumerate(members):
            data = whole
            if number == changed:
                kind = int(rng.integers(0, 5))
                if kind == 0:
                    member.name = one_of(rng, ("../../x.png", "/etc/passwd", "a", "train/0001.tiff", ".png"))
                elif kind == 1:
                    member.type = one_of(rng, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE))
                    member.linkname = one_of(rng, ("/etc/passwd", "..", member.name))
                elif kind == 2:
                    data = damaged_bytes(data, rng) if data else b"x"
                elif kind == 3:
                    data = one_of(rng, (b"", b"-1", b"99999999999999999999", b"\xff" * 40))
                else:
                    continue
                member.size = len(data) if member.isreg() else 0
            made.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return written.getvalue()


DAMAGES: Final[Mapping[str, tuple[Damage, ...]]] = {
    "npz": (damaged_bytes, npz_members),
    "parquet": (damaged_bytes, parquet_columns),
    "tar": (damaged_bytes, tar_members),
}
"""Format -> ways to damage a file of it."""
