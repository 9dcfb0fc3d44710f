"""Division of the indices of images into blocks, so that memory use does not grow with the number of images."""

from __future__ import annotations

from collections.abc import Iterator


def blocks(total: int, size: int) -> Iterator[slice]:
    """Yield consecutive slices of `size` indices that cover the indices 0 to total - 1; the last slice may be shorter.

    A `size` below 1 counts as 1.
    """
    step = max(size, 1)
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))
