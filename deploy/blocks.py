"""Work in blocks, so that memory stays bounded whatever the number of images."""

from __future__ import annotations

from collections.abc import Iterator


def blocks(total: int, size: int) -> Iterator[slice]:
    """[0, total) in consecutive slices of `size`, the last one possibly shorter; `size` below 1 counts as 1."""
    step = max(size, 1)
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))
