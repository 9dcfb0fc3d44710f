"""The `paper` byte accounting: the arithmetic of arXiv 1905.13082's published code, kept to reproduce its choices.

    a tensor of n elements at b bits needs n * b / 8 bytes, fractions included

    parameters of a layer with c output channels:
        per layer, folded weights     4 c + 20
        per layer, ICN                9 c + 12      the last layer: 4 c + 20, with either folding
        per channel, ICN             10 c +  8      the last layer: 7 c +  4

A layer without weights needs no flash. The published code knows no weights that several layers share: they are counted
with each of these layers.

In a chain, as in the paper, only layers with weights are steps: a pool between two of them is not a step, and its
output has the bits of its input. In any other graph, such as one with several inputs, each layer is a step, and every
tensor that is alive during it counts. The largest step must fit into the RAM budget.
"""

from __future__ import annotations

from collections.abc import Mapping

from network.allocation import Bits, Folding, Scheme
from network.arena.plan import ArenaPlan
from network.errors import InvalidNetwork, RequestError
from network.kernels import check_registered
from network.layers import Layer, WeightLayer
from network.memory.accounting import Feature, LayerBits
from network.memory.report import Shared
from network.memory.requantization import scheme_of
from network.memory.steps import Occupant, Step, live_steps
from network.network import Network


class PaperAccounting:
    """Byte accounting by the published code of arXiv 1905.13082; the module's docstring lists the rules."""

    name = "paper"
    reuses_input = True
    counts_shared_weights_once = False

    def steps(self, network: Network) -> tuple[Step, ...]:
        """Return the steps whose RAM counts in arXiv 1905.13082: in a chain of layers, only those with weights.

        Raises:
            InvalidNetwork: if the network has no layer with weights.
        """
        if not network.weight_layers:
            raise InvalidNetwork(
                "the network has no weights to choose bits for; expected a convolution or a fully connected layer"
            )
        return _chain_steps(network) if network.is_chain else live_steps(network, {})

    def same_bits(self, network: Network) -> Mapping[str, str]:
        """Return, for each activation tensor, the tensor whose bits it must have by the rules of arXiv 1905.13082."""
        if not network.is_chain:
            return {tensor: tensor for tensor in network.tensors}
        same = {name: name for name in network.input_names}
        for layer in network.layers:
            same[layer.output] = layer.output if isinstance(layer, WeightLayer) else same[layer.inputs[0]]
        return same

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        """Return the number of bytes of an activation tensor by arXiv 1905.13082: elements * bits / 8."""
        return occupant.shape.elements * bits / 8

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        """Return the number of bytes of a layer's weight tensor by arXiv 1905.13082: elements * bits / 8."""
        check_registered(layer)
        return network.weight_elements(layer) * bits / 8

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        """Return the number of bytes of a layer's parameters (biases, multipliers, ...) by arXiv 1905.13082.

        Raises:
            InvalidNetwork: if the class of the layer is not in `LAYER_KINDS`.
            ValueError: if a layer with weights has no scheme.
            RequestError: if the scheme is per channel with folded weights, which the paper does not have.
        """
        del network, bits
        check_registered(layer)
        if not isinstance(layer, WeightLayer):
            return 0
        channels, scheme = layer.output_channels, scheme_of(layer, scheme)
        if scheme.weights.is_per_channel:
            if scheme.folding is not Folding.ICN:
                raise RequestError(
                    "the 'paper' accounting cannot count batch norm that is folded into per-channel weights; "
                    "expected integer channel normalization (ICN)"
                )
            return 7 * channels + 4 if is_last else 10 * channels + 8
        if scheme.folding is Folding.WEIGHTS or is_last:
            return 4 * channels + 20
        return 9 * channels + 12

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        """Return an empty tuple: arXiv 1905.13082 counts no memory that several layers share."""
        del network
        return ()

    def features(self, network: Network) -> tuple[Feature, ...]:
        """Return an empty tuple: arXiv 1905.13082 counts no memory for the code of kernels."""
        del network
        return ()

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan | None:
        """Return None: arXiv 1905.13082 counts the RAM of the largest step and makes no memory plan."""
        del network, activation_bits, enough_bytes
        return None


def _chain_steps(network: Network) -> tuple[Step, ...]:
    steps = []
    (bits_of_input,) = network.input_names
    for layer in network.weight_layers:
        (shape,) = network.input_shapes(layer)
        output = Occupant(layer.output, network.shapes[layer.output])
        steps.append(Step(layer.name, (Occupant(bits_of_input, shape),), output))
        bits_of_input = layer.output
    return tuple(steps)
