"""The rules of the paper for a chain, implemented a second time: simple, with fractions, without incremental sums."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class ChainLayer:
    """A layer of a chain.

    Attributes:
        inputs: Number of elements of the input tensor.
        outputs: Number of elements of the output tensor.
        weights: Number of elements of the weight tensor.
        channels: Number of output channels.
    """

    inputs: int
    outputs: int
    weights: int
    channels: int


def ram(layer: ChainLayer, input_bits: int, output_bits: int) -> Fraction:
    """Return the RAM of the step of a layer in bytes."""
    return Fraction(layer.inputs * input_bits + layer.outputs * output_bits, 8)


def activations(layers: list[ChainLayer], ram_bytes: int) -> list[int] | None:  # noqa: PLR0912  # a literal transcription of the rule
    """Return the bits of the input and of the output of each layer; None if the RAM budget cannot be kept."""
    bits = [8] * (len(layers) + 1)  # bits[i] is layer i's input, bits[i + 1] its output
    last = len(layers) - 1
    while True:
        before = list(bits)
        undone = False
        for direction in ("forward", "backward"):
            order = range(len(layers)) if direction == "forward" else range(last, -1, -1)
            before_pass, undone = list(bits), False
            for i in order:
                while ram(layers[i], bits[i], bits[i + 1]) > ram_bytes:
                    can_cut_input, can_cut_output = i > 0 and bits[i] > 2, i < last and bits[i + 1] > 2
                    if not can_cut_input and not can_cut_output:
                        return None
                    if can_cut_input and can_cut_output:
                        if bits[i] == bits[i + 1]:
                            cut = "input" if layers[i].inputs > layers[i].outputs else "output"
                        else:
                            cut = "input" if bits[i] > bits[i + 1] else "output"
                    else:
                        cut = "input" if can_cut_input else "output"
                    if cut == "output" and direction == "forward":
                        bits[i + 1] //= 2
                    elif cut == "input" and direction == "backward":
                        bits[i] //= 2
                    else:
                        undone = True
                        break
            if not undone and bits == before_pass:
                return bits
        assert undone or bits != before, "a forward and a backward pass cut nothing although a step exceeds the budget"


def parameters(layers: list[ChainLayer], i: int, method: str, weight_bits: int, output_bits: int) -> int:
    """Return the number of bytes of the parameters of layer i."""
    c, is_last = layers[i].channels, i == len(layers) - 1
    if method == "mixpc":
        return 7 * c + 4 if is_last else 10 * c + 8
    if is_last or (weight_bits == 8 and output_bits == 8):
        return 4 * c + 20
    return 9 * c + 12


def weights(layers: list[ChainLayer], method: str, activation_bits: list[int], flash_bytes: int) -> list[int] | None:
    """Return the bits of the weights of each layer; None if the flash budget cannot be kept."""
    bits = [8] * len(layers)
    while True:
        sizes = [Fraction(layer.weights * b, 8) for layer, b in zip(layers, bits, strict=True)]
        rest = sum(parameters(layers, i, method, bits[i], activation_bits[i + 1]) for i in range(len(layers)))
        if sum(sizes) + rest <= flash_bytes:
            return bits
        shares = [size / sum(sizes) for size in sizes]
        candidates = [i for i, b in enumerate(bits) if b > 2]
        if not candidates:
            return None
        largest = max(shares[i] for i in candidates)
        bits[next(i for i in candidates if shares[i] > largest - Fraction(5, 100))] //= 2
