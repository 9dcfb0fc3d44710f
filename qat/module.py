"""From a network to torch modules, with nothing written by hand: its float form and its fake-quantized form."""

from __future__ import annotations

from network.allocation import Allocation
from network.network import Network
from qat.float_network import FloatNetwork
from qat.options import TrainingOptions
from qat.quantized_network import QuantizedNetwork


def float_module(network: Network) -> FloatNetwork:
    """The network as its file computes it.

    Returns:
        A module from [n, channels, height, width] input tensors, normalised (`qat.datasets.to_input_tensor`), to
        [n, elements], the first output.

    Raises:
        InvalidNetwork: it has no weights.
    """
    return FloatNetwork(network).eval()


def prepare(network: Network, allocation: Allocation, options: TrainingOptions) -> QuantizedNetwork:
    """The network fake-quantized at an allocation's bits; its activation ranges wait for `qat.calibration.calibrate`.

    Raises:
        InvalidNetwork: it has no weights.
        RequestError: the allocation leaves a tensor undecided.
    """
    return QuantizedNetwork(network, allocation, options)
