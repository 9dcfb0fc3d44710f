"""Views of activation tensors, and the layout of the network's input.

TFLite stores images as height, width, channels (NHWC), and its reshapes never move an element. The views of a tensor
therefore have their elements in the order height, width, channels of that tensor; or in the order channels, height,
width behind a transpose, as files that were converted from PyTorch have them. A view needs nothing but its dimensions
and this order.
"""

from __future__ import annotations

from dataclasses import dataclass

from network.shapes import Shape


@dataclass(frozen=True, slots=True)
class View:
    """A tensor of the file as a view of an activation tensor of the network.

    Attributes:
        tensor: Name of the activation tensor.
        dims: Extents in the file, with the batch of 1; their product is the number of elements of the tensor.
        after_softmax: Whether the file applies softmax to the tensor.
        is_channels_first: Whether the elements have the order channels, height, width; else height, width, channels.
        is_assumed: Whether the view stands for the output of an operator that is refused.
    """

    tensor: str
    dims: tuple[int, ...]
    after_softmax: bool = False
    is_channels_first: bool = False
    is_assumed: bool = False

    @property
    def last_extent(self) -> int:
        """Last extent, which is that of the channels in a tensor that is not reshaped; 1 if there is none."""
        return self.dims[-1] if self.dims else 1


def image_shape(dims: tuple[int, ...]) -> Shape | None:
    """Return the shape of a tensor with these extents in the file, batch first and channels last.

    Args:
        dims: Extents of a vector (1 or 2), a sequence (3) or an image (4), with the batch.

    Returns:
        The shape; None if there are more extents, none, or if the batch is not 1.
    """
    if len(dims) == 1:
        return Shape(dims[0])
    if not 2 <= len(dims) <= 4 or dims[0] != 1:
        return None
    *space, channels = dims[1:]
    height, width = (1,) * (2 - len(space)) + tuple(space)
    return Shape(channels, height, width)


@dataclass(frozen=True, slots=True)
class InputLayout:
    """Meaning of the extents of the network's input.

    Attributes:
        shape: Shape of the input tensor.
        is_channels_first: Whether samples have their channels first.
    """

    shape: Shape
    is_channels_first: bool = False


class InputLayoutRequired(Exception):
    """Raised to restart the translation with the layout of the input that an operator requires.

    Args:
        inputs: Names of the inputs that must have the layout.
        layout: The required layout.
    """

    def __init__(self, inputs: frozenset[str], layout: InputLayout) -> None:
        super().__init__(inputs, layout)
        self.inputs = inputs
        self.layout = layout
