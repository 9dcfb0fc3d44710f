"""Construction of a network's torch modules: the float network and the fake-quantized network."""

from __future__ import annotations

from network.allocation import Allocation
from network.network import Network
from qat.calibration import calibrate
from qat.data.dataset import Samples
from qat.float_network import FloatNetwork
from qat.options.training import TrainingOptions
from qat.quantized_network import QuantizedNetwork


def float_module(network: Network) -> FloatNetwork:
    """Build the float32 torch module that computes a network.

    Returns:
        A module in evaluation mode. It maps normalised input images [n, channels, height, width]
        (`qat.data.dataset.to_input_tensor`) to the network's first output, flattened to [n, elements].

    Raises:
        InvalidNetwork: If the network has no weights.
    """
    return FloatNetwork(network).eval()


def prepare(
    network: Network,
    allocation: Allocation,
    samples: Samples | None = None,
    options: TrainingOptions | None = None,
) -> QuantizedNetwork:
    """Build the fake-quantized torch module of a network, which works with any training loop, optimizer and
    `torch.compile`.

    In training mode the module computes real values rounded to each tensor's quantization grid. In evaluation mode it
    simulates the integer-only network.

    Args:
        network: The network, with weights.
        allocation: Bits of each tensor and scheme of each weight tensor.
        samples: A few hundred training samples [n, ...], in the form in which the dataset stores them, on which the
            activation ranges are calibrated. None leaves calibration to `qat.calibration.calibrate`.
        options: Training options, of which only those for ranges and batch norm are used; None uses the defaults.

    Raises:
        InvalidNetwork: If the network has no weights.
        RequestError: If the allocation lacks an entry.
        TrainingError: If an activation is not finite on the samples.
    """
    module = QuantizedNetwork(network, allocation, options or TrainingOptions())
    if samples is not None:
        calibrate(module, samples)
    return module
