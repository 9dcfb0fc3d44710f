"""LiteRT as the reference for what a TFLite file computes."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from benchmarks.reference import IncomparableFile
from network.joined_samples import joined
from network.network import Network


class LiteRTReference:
    """LiteRT on one TFLite file, with the values of all its tensors as real numbers.

    Attributes:
        inputs: LiteRT's descriptions of the file's inputs. Samples of several inputs are joined in this order.
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
        self.inputs = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()
        self.details = self._interpreter.get_tensor_details()

    @property
    def is_quantized(self) -> bool:
        """Whether a tensor of the file has integer codes with a scale."""
        return any(each["quantization_parameters"]["scales"].size > 0 for each in self.details)

    @property
    def input_dims(self) -> tuple[int, ...]:
        """Extents of the file's first input, with the batch."""
        return _dims(self.inputs[0])

    @property
    def input_scale(self) -> tuple[float, int]:
        """Scale and zero point of the file's first input; the scale of a float input is 0."""
        return _scale(self.inputs[0])

    def samples(self, count: int, amplitude: float = 1.0, *, seed: int = 0) -> list[npt.NDArray[np.float32]]:
        """Draw random samples as real numbers, each in the shape of the file's input, or [1, elements] joined.

        Args:
            count: Number of samples.
            amplitude: Standard deviation of the normal samples of a float input; share of its range, 0 to 1, over which
                the samples of a quantized input are uniform.
            seed: Seed of the random generator.
        """
        rng = np.random.default_rng(seed)
        samples = [[_drawn(each, amplitude, rng) for each in self.inputs] for _ in range(count)]
        return [parts[0] if len(parts) == 1 else joined([part.reshape(1, -1) for part in parts]) for parts in samples]

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
        rest = sample.reshape(-1)
        try:
            for each in self.inputs:
                elements = math.prod(_dims(each))
                real, rest = rest[:elements].reshape(_dims(each)), rest[elements:]
                scale, zero_point = _scale(each)
                given = (np.round(real / scale) + zero_point).astype(each["dtype"]) if scale else real
                self._interpreter.set_tensor(each["index"], given)
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


def _dims(detail: dict[str, Any]) -> tuple[int, ...]:
    return tuple(detail["shape"].tolist())


def _scale(detail: dict[str, Any]) -> tuple[float, int]:
    scale, zero_point = detail["quantization"]
    return float(scale), int(zero_point)


def _drawn(detail: dict[str, Any], amplitude: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    scale, zero_point = _scale(detail)
    if not scale:
        return rng.normal(size=_dims(detail)).astype(np.float32) * np.float32(amplitude)
    limits = np.iinfo(detail["dtype"])
    low, high = (limits.min - zero_point) * amplitude, (limits.max - zero_point) * amplitude
    return np.asarray((np.round(rng.uniform(low, high, size=_dims(detail))) * scale).astype(np.float32))


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
