"""From a network to torch modules, with nothing written by hand: its float form and its fake-quantized form."""

from __future__ import annotations

from network.allocation import Allocation
from network.network import Network
from qat.calibration import calibrate
from qat.data.dataset import Samples
from qat.float_network import FloatNetwork
from qat.options.training import TrainingOptions
from qat.quantized_network import QuantizedNetwork


def float_module(network: Network) -> FloatNetwork:
    """The network as its file computes it.

    Returns:
        A module from [n, channels, height, width] input tensors, normalised (`qat.data.dataset.to_input_tensor`), to
        [n, elements], the first output.

    Raises:
        InvalidNetwork: it has no weights.
    """
    return FloatNetwork(network).eval()


def prepare(
    network: Network,
    allocation: Allocation,
    samples: Samples | None = None,
    options: TrainingOptions | None = None,
) -> QuantizedNetwork:
    """The network fake-quantized at an allocation's bits, for any training loop, optimizer and `torch.compile`.

    In training mode it computes real values on their tensors' grids; in evaluation mode, what the device will compute.

    Args:
        network: with weights.
        allocation: of every tensor.
        samples: a few hundred training samples [n, ...], as a dataset holds them, on which the activations' ranges are
            started; None leaves that to `qat.calibration.calibrate`.
        options: where ranges come from, and how batch norm is treated; None takes the defaults.

    Raises:
        InvalidNetwork: it has no weights.
        RequestError: the allocation leaves a tensor undecided.
        TrainingError: a tensor is not finite on the samples.
    """
    module = QuantizedNetwork(network, allocation, options or TrainingOptions())
    if samples is not None:
        calibrate(module, samples)
    return module
