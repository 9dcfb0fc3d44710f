"""JSON schema of `deployment.json`: what the emission of C needs beside an integer-only network."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from api.schemas.answer import Answer, Count
from network.kernel_sizes.tables import Optimization


class HostReadAnswer(Answer):
    """Value that the computation behind the network reads."""

    model_config = ConfigDict(extra="forbid")

    value: str = Field(description="name of the value in the source file")
    tensor: str = Field(description="name of the tensor of the network; that of the input if the value is a sample")
    dims: list[Count] = Field(description="dimensions of the value in the source file, with a batch of 1")
    channels_last: bool = Field(
        description="whether the elements have the order height, width, channels; else channels, height, width"
    )
    is_sample: bool = Field(description="whether the value is the sample of an input as the caller stores it")


class HostGraphAnswer(Answer):
    """Computation of all outputs of the source file from the tensors of the network."""

    model_config = ConfigDict(extra="forbid")

    reads: list[HostReadAnswer] = Field(description="values that are read from the network")
    outputs: list[str] = Field(description="names of the outputs of the source file, in the order of the file")
    onnx_base64: str = Field(
        description="ONNX model of the computation, in base64; empty if every output is a tensor of the network"
    )


class DeploymentAnswer(Answer):
    """Rules of the memory plan of a network in C, and the computation behind it: the content of deployment.json."""

    model_config = ConfigDict(extra="forbid")

    format_version: int = Field(ge=1, description="version of the format")
    core: str | None = Field(description="core whose code the memory report counts; null if it is not known")
    optimization: Optimization = Field(description="optimization flag with which the C is compiled")
    in_place: list[str] = Field(description="names of the kernels that overwrite an input, sorted")
    reuses_input: bool = Field(
        description="whether the memory of each input is free after the last layer that reads it"
    )
    pairs: list[str] = Field(description="names of the layers that multiply pairs of 2-bit codes at once, sorted")
    host_graph: HostGraphAnswer | None = Field(
        default=None, description="computation behind the network; null if it is not known"
    )
