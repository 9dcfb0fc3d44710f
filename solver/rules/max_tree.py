"""Binary tree of maxima over an array of integers: its maximum, and its leftmost element above a threshold."""

from __future__ import annotations

from collections.abc import Sequence


class MaxTree:
    """Binary tree of maxima over an array of integers whose elements can change.

        [7]                 the root is the largest element
        [7]     [5]         each node is the larger of its two children
        [3] [7] [5] [2]     the array, filled up with `EMPTY` to a power of two

    Reading the maximum is one operation. Changing an element, and finding the leftmost element above a threshold, need
    as many operations as the tree has levels. The weight rule of the paper does both once per cut, so that a network of
    n layers needs O(n log n) operations.
    """

    EMPTY = -1
    """Value of an element that is not in the array; smaller than all others."""

    def __init__(self, values: Sequence[int]) -> None:
        """Create the tree of maxima over an array of integers.

        Args:
            values: The elements, 0 or more each.
        """
        self._leaves = 1 << max(len(values) - 1, 0).bit_length()
        self._nodes = [self.EMPTY] * self._leaves + list(values) + [self.EMPTY] * (self._leaves - len(values))
        for node in range(self._leaves - 1, 0, -1):
            self._nodes[node] = max(self._nodes[2 * node], self._nodes[2 * node + 1])

    @property
    def largest(self) -> int:
        """The largest element of the array."""
        return self._nodes[1]

    def change(self, index: int, value: int) -> None:
        """Replace an element of the array.

        Args:
            index: Index of the element.
            value: New value, 0 or more; `EMPTY` removes the element.
        """
        node = self._leaves + index
        self._nodes[node] = value
        while node > 1:
            node //= 2
            self._nodes[node] = max(self._nodes[2 * node], self._nodes[2 * node + 1])

    def leftmost_at_least(self, threshold: int) -> int:
        """Return the index of the first array element that is at least a given threshold.

        Args:
            threshold: Smallest value of the element; at most `largest`.
        """
        node = 1
        while node < self._leaves:
            node *= 2
            if self._nodes[node] < threshold:
                node += 1
        return node - self._leaves
