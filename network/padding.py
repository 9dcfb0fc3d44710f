"""Computation of "same" padding, as TensorFlow and ONNX (`auto_pad`) define it."""

from __future__ import annotations

from network.shapes import Padding, Shape


def same_padding(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    *,
    odd_one_before: bool = False,
) -> Padding:
    """Return the smallest padding with which a window has ceil(size / stride) positions on each axis of an image.

    Args:
        shape: Shape of the input image.
        kernel: Height and width of the window.
        stride: Vertical and horizontal distance between two positions of the window.
        dilation: Vertical and horizontal distance between neighbouring elements of the window.
        odd_one_before: Whether an odd number of rows (columns) puts the additional one above (to the left of) the
            image; else it is below (to the right).
    """
    less, more = [], []
    for size, extent, step, spread in zip(shape[1:], kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + spread * (extent - 1) + 1 - size, 0)
        less.append(total // 2)
        more.append(total - total // 2)
    before, after = (more, less) if odd_one_before else (less, more)
    return Padding(before[0], before[1], after[0], after[1])
