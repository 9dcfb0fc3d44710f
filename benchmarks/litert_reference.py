"""LiteRT as the reference for what a TFLite file computes."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from benchmarks.reference import IncomparableFile
from network.network import Network


class LiteRTReference:
    """LiteRT on one TFLite file, with the values of all its tensors as real numbers.

    Attributes:
        input: LiteRT's description of the file's only input.
        outputs: LiteRT's descriptions of the file's outputs.
        details: LiteRT's descriptions of all tensors.

    Raises:
        IncomparableFile: If LiteRT refuses the file.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it recommends to keep all tensors only for debugging
                self._interpreter = Interpreter(
                    model_content=content, num_threads=1, experimental_preserve_all_tensors=True
                )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise IncomparableFile(f"LiteRT refuses the file: {' '.join(str(error).split())[:150]}") from None
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise IncomparableFile(f"the file has {len(inputs)} inputs")
        (self.input,) = inputs
        self.outputs = self._interpreter.get_output_details()
        self.details = self._interpreter.get_tensor_details()

    @property
    def is_quantized(self) -> bool:
        """Whether a tensor of the file has integer codes with a scale."""
        return any(each["quantization_parameters"]["scales"].size > 0 for each in self.details)

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Extents of the file's input, with the batch."""
        return tuple(self.input["shape"].tolist())

    @property
    def input_scale(self) -> tuple[float, int]:
        """Scale and zero point of the file's input; the scale of a float input is 0."""
        scale, zero_point = self.input["quantization"]
        return float(scale), int(zero_point)

    def samples(self, count: int, amplitude: float = 1.0, *, seed: int = 0) -> list[npt.NDArray[np.float32]]:
        """Draw random inputs as real numbers, each in the shape of the file's input.

        Args:
            count: Number of samples.
            amplitude: Standard deviation of the normal samples of a float input; share of its range, 0 to 1, over which
                the samples of a quantized input are uniform.
            seed: Seed of the random generator.
        """
        rng = np.random.default_rng(seed)
        scale, zero_point = self.input_scale
        if not scale:
            return [rng.normal(size=self.input_dims).astype(np.float32) * np.float32(amplitude) for _ in range(count)]
        limits = np.iinfo(self.input["dtype"])
        low, high = (limits.min - zero_point) * amplitude, (limits.max - zero_point) * amplitude
        codes = [np.round(rng.uniform(low, high, size=self.input_dims)) for _ in range(count)]
        return [(each * scale).astype(np.float32) for each in codes]

    def run(self, sample: npt.NDArray[np.float32], network: Network | None = None) -> npt.NDArray[np.float64]:
        """Compute the first output of the file, or of a network that was read from it.

        Args:
            sample: The sample as real numbers, in the shape of the file's input.
            network: A network whose first output is a tensor of the file; None takes the first output of the file.

        Returns:
            The output as real numbers, flattened.
        """
        if network is not None:
            return self.outputs_of(sample, network)[0]
        self._invoke(sample)
        return self._values(self.outputs[0])

    def outputs_of(self, sample: npt.NDArray[np.float32], network: Network) -> list[npt.NDArray[np.float64]]:
        """Compute the tensors of the file at which a network ends, as real numbers, flattened.

        Args:
            sample: The sample as real numbers, in the shape of the file's input.
            network: The network that was read from the file.

        Raises:
            IncomparableFile: If the file has no tensor of the name and size of an output of the network.
        """
        self._invoke(sample)
        return [self._values(self._tensor(name, network.shapes[name].elements)) for name in network.outputs]

    def _invoke(self, sample: npt.NDArray[np.float32]) -> None:
        scale, zero_point = self.input_scale
        given = (np.round(sample / scale) + zero_point).astype(self.input["dtype"]) if scale else sample
        try:
            self._interpreter.set_tensor(self.input["index"], given)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise IncomparableFile(f"LiteRT cannot run: {' '.join(str(error).split())[:150]}") from None

    def _tensor(self, name: str, elements: int) -> dict[str, Any]:
        for each in self.details:
            if each["name"].split(";")[0] == name and math.prod(each["shape"]) == elements:
                found: dict[str, Any] = each
                return found
        raise IncomparableFile(f"the file has no tensor '{name[:80]}' with {elements} elements")

    def _values(self, detail: dict[str, Any]) -> npt.NDArray[np.float64]:
        values = self._interpreter.get_tensor(detail["index"]).astype(np.float64).ravel()
        scale, zero_point = detail["quantization"]
        return np.asarray((values - zero_point) * scale if scale else values)


def with_bias_axes_mended(content: bytes) -> bytes:
    """Return a TFLite file in which the quantization of each vector has the axis 0.

    Old converters wrote the axis 3 for biases, which LiteRT refuses.
    """
    mended = bytearray(content)
    subgraph = tflite.Model.GetRootAs(mended, 0).Subgraphs(0)
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        quantization = tensor.Quantization()
        if quantization is not None and tensor.ShapeLength() == 1 and (offset := quantization._tab.Offset(16)):
            start = quantization._tab.Pos + offset
            mended[start : start + 4] = bytes(4)
    return bytes(mended)
