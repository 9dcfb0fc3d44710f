"""The leftmost large element, and the maximum, of an array that changes."""

from __future__ import annotations

from collections.abc import Sequence


class MaxTree:
    """A binary tree of maxima over an array of integers.

        [7]                 the root is the largest
        [7]     [5]         a node is the larger of its two children
        [3] [7] [5] [2]     the array; filled up with `EMPTY`

    Reading the maximum takes a step; changing an element, or finding the leftmost one that is large enough, as many
    steps as the tree has levels. The paper's weight rule asks both once per cut, so a network of n layers takes
    O(n log n).
    """

    EMPTY = -1

    def __init__(self, values: Sequence[int]) -> None:
        self._leaves = 1 << max(len(values) - 1, 0).bit_length()
        self._nodes = [self.EMPTY] * self._leaves + list(values) + [self.EMPTY] * (self._leaves - len(values))
        for node in range(self._leaves - 1, 0, -1):
            self._nodes[node] = max(self._nodes[2 * node], self._nodes[2 * node + 1])

    @property
    def largest(self) -> int:
        return self._nodes[1]

    def change(self, index: int, value: int) -> None:
        node = self._leaves + index
        self._nodes[node] = value
        while node > 1:
            node //= 2
            self._nodes[node] = max(self._nodes[2 * node], self._nodes[2 * node + 1])

    def leftmost_at_least(self, threshold: int) -> int:
        """The index of the first element of at least `threshold`, which must not exceed `largest`."""
        node = 1
        while node < self._leaves:
            node *= 2
            if self._nodes[node] < threshold:
                node += 1
        return node - self._leaves
