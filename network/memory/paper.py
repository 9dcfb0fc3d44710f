"""The `paper` rule book: the arithmetic of arXiv 1905.13082's published code, kept to reproduce its choices.

    a tensor of n elements at b bits takes n * b / 8 bytes, a fraction is kept

    parameters, c output channels:
        per layer, folded weights     4 c + 20
        per layer, ICN                9 c + 12      the last layer: 4 c + 20 whatever the fold
        per channel, ICN             10 c +  8      the last layer: 7 c +  4

In a chain only layers with weights are seen, as the paper sees them: a pool between two of them takes no step, and its
output has the bits of its input. In any other graph each layer is a step, and every tensor that is alive during it
counts. The largest step must fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from network.allocation import Bits, Folding, Scheme
from network.arena.plan import ArenaPlan
from network.errors import InvalidNetwork, RequestError
from network.layers import Layer, WeightLayer
from network.memory.report import Feature, Shared
from network.memory.steps import Occupant, Step, live_steps
from network.network import Network


class PaperAccounting:
    """See the module's text."""

    name = "paper"
    reuses_input = True

    def steps(self, network: Network) -> tuple[Step, ...]:
        if not network.weight_layers:
            raise InvalidNetwork("the network has no convolution and no fully connected layer: nothing to fit")
        return _chain_steps(network) if network.is_chain else live_steps(network, {})

    def same_bits(self, network: Network) -> Mapping[str, str]:
        if not network.is_chain:
            return {tensor: tensor for tensor in network.tensors}
        same = {network.input: network.input}
        for layer in network.layers:
            same[layer.output] = layer.output if isinstance(layer, WeightLayer) else same[layer.inputs[0]]
        return same

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        return occupant.shape.elements * bits / 8

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        return network.weight_elements(layer) * bits / 8

    def parameter_bytes(self, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool) -> int:
        del network
        if not isinstance(layer, WeightLayer) or scheme is None:
            return 0
        channels = layer.output_channels
        if scheme.weights.is_per_channel:
            if scheme.folding is not Folding.ICN:
                raise RequestError(
                    "the paper's accounting knows per-channel weights with ICN only, not with folded weights"
                )
            return 7 * channels + 4 if is_last else 10 * channels + 8
        if scheme.folding is Folding.WEIGHTS or is_last:
            return 4 * channels + 20
        return 9 * channels + 12

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        del network
        return ()

    def features(self, network: Network) -> tuple[Feature, ...]:
        del network
        return ()

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan | None:
        del network, activation_bits, enough_bytes
        return None


def _chain_steps(network: Network) -> tuple[Step, ...]:
    steps = []
    bits_of_input = network.input
    for layer in network.weight_layers:
        (shape,) = network.input_shapes(layer)
        output = Occupant(layer.output, network.shapes[layer.output])
        steps.append(Step(layer.name, (Occupant(bits_of_input, shape),), output))
        bits_of_input = layer.output
    return tuple(steps)
