"""Padding that keeps ceil(size / stride) positions, as TensorFlow's "same" and ONNX's auto_pad mean it."""

from __future__ import annotations

from network.layers import Padding, Shape


def same_padding(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    *,
    odd_one_before: bool = False,
) -> Padding:
    """The least padding with which a window over `shape` has ceil(size / stride) positions on each axis.

    An odd row or column goes below or to the right, or, with `odd_one_before`, above or to the left.
    """
    less, more = [], []
    for size, extent, step, spread in zip(shape[1:], kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + spread * (extent - 1) + 1 - size, 0)
        less.append(total // 2)
        more.append(total - total // 2)
    before, after = (more, less) if odd_one_before else (less, more)
    return Padding(before[0], before[1], after[0], after[1])
