"""JSON schemas of uploaded networks in answers of the service."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, FiniteFloat

from api.schemas.answer import Answer, Count, Sha256
from api.schemas.fit import HostStepsAnswer

_Extent = Annotated[int, Field(ge=1)]


class NetworkSummary(Answer):
    """Short description of an uploaded network."""

    id: Sha256 = Field(
        description="SHA-256 of the file, in hexadecimal; with files of weights or options of reading, a SHA-256 over "
        "all of them. Equal uploads with equal options have the same identifier"
    )
    name: str = Field(description="name of the network in reports, given with the first upload of this file")
    size_bytes: Count = Field(description="size of all files of the network, in bytes")
    created_at: AwareDatetime = Field(description="time of the first upload")
    parameters: Count = Field(
        description="number of weights, biases, and gammas and betas of batch norms; shared weights count once"
    )
    has_weights: bool = Field(
        description="whether the file contains weights; without them, bits can be chosen, but nothing can be retrained"
    )


class TensorAnswer(Answer):
    """Activation tensor of a network: its name and its shape."""

    name: str = Field(description="name of the tensor")
    shape: list[_Extent] = Field(min_length=3, max_length=3, description="number of channels, height, width")


class InputAnswer(Answer):
    """Input of an uploaded network."""

    name: str = Field(description="name of the input tensor")
    sample_shape: list[_Extent] = Field(description="shape of one sample of the input in the file, without the batch")


class LayerAnswer(Answer):
    """Layer of an uploaded network, with batch norm and activation function folded into it."""

    name: str = Field(description="name of the layer")
    kind: str = Field(description="convolution, fully_connected, add, concat, max_pool, average_pool, pad, activation")
    inputs: list[str] = Field(description="names of the tensors that the layer reads")
    output: str = Field(description="name of the tensor that the layer writes")
    weight_shape: list[_Extent] | None = Field(
        description="number of output channels, of input channels in a group, kernel height, kernel width; for "
        "fully_connected: number of output and of input elements; null for a layer without weights"
    )


class WeightFileAnswer(Answer):
    """File of weights that was uploaded with an ONNX file."""

    name: str = Field(description="name of the file, as the ONNX file gives it")
    size_bytes: Count = Field(description="size of the file, in bytes")
    sha256: Sha256 = Field(description="SHA-256 of the file, in hexadecimal")


class ReadingOptionsAnswer(Answer):
    """Options with which a network is read from its file."""

    input_shape: list[str] = Field(description="extents of inputs whose image size or length the file leaves open")
    output: list[str] = Field(description="names of the tensors of the file at which the network ends")


class NetworkAnswer(NetworkSummary):
    """Description of an uploaded network: its layers, input, outputs and activation tensors."""

    sample_shape: list[_Extent] = Field(
        description="shape of one sample of a dataset: that of the network's input in the file, without the batch; for "
        "several inputs, the number of elements of all of them, flattened and joined"
    )
    input_mean: list[FiniteFloat] = Field(
        default=[0.0],
        description="declared with the upload: number that is subtracted from each sample, or one for each channel",
    )
    input_scale: list[FiniteFloat] = Field(
        default=[1.0],
        description="declared with the upload: number that the difference is multiplied with, or one for each channel; "
        "the input of the file is (sample - input_mean) * input_scale",
    )
    input: str = Field(description="name of the network's first input tensor")
    inputs: list[InputAnswer] = Field(default=[], description="inputs of the network, in the order of the file")
    outputs: list[str] = Field(description="names of the network's output tensors")
    layers: list[LayerAnswer] = Field(description="layers, in the order of the schedule")
    tensors: list[TensorAnswer] = Field(description="activation tensors, in the order in which they are written")
    reading_options: ReadingOptionsAnswer | None = Field(
        default=None, description="options with which the network is read from its file; null without options"
    )
    host_steps: list[HostStepsAnswer] = Field(
        default=[],
        description="what the caller's program computes behind the network, for each output of the file that is not a "
        "tensor of the network",
    )
    weight_files: list[WeightFileAnswer] = Field(
        default=[], description="files of weights that were uploaded with the network, sorted by name"
    )
