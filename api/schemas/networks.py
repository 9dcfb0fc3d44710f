"""Kept networks as they are answered."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from api.schemas.answer import Answer


class NetworkSummary(Answer):
    """A kept network, in short."""

    id: str = Field(description="SHA-256 of the file, in hexadecimal: the same content has the same id")
    name: str = Field(description="what reports call it; the name that came with the first upload of this content")
    size_bytes: int = Field(description="of the file, in bytes")
    created_at: AwareDatetime = Field(description="when it was first uploaded")
    parameters: int = Field(description="weights, biases, and gamma and beta of each batch norm")
    has_weights: bool = Field(description="false: only counts; bits can be chosen, but nothing can be retrained")


class TensorAnswer(Answer):
    """An activation tensor."""

    name: str
    shape: tuple[int, int, int] = Field(description="channels, height, width")


class LayerAnswer(Answer):
    """A layer, with its batch norm and activation function folded in."""

    name: str
    kind: str = Field(description="convolution, fully_connected, add, concat, max_pool, average_pool, pad, activation")
    inputs: list[str] = Field(description="the tensors that it reads")
    output: str = Field(description="the tensor that it writes")
    weight_shape: list[int] | None = Field(
        description="output channels, input channels / groups, kernel height, kernel width; fully connected: output "
        "and input elements; null for a layer without weights"
    )


class NetworkAnswer(NetworkSummary):
    """A kept network."""

    sample_shape: list[int] = Field(description="extents of one sample as a caller gives it, without the batch")
    input: str = Field(description="the tensor that the caller writes")
    outputs: list[str] = Field(description="the tensors that the caller reads")
    layers: list[LayerAnswer] = Field(description="in schedule order")
    tensors: list[TensorAnswer] = Field(description="in the order in which they are written, the input first")
