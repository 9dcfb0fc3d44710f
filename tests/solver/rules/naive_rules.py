"""The paper's rules for a chain, stated a second time as plainly as possible: fractions, recomputed from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class ChainLayer:
    inputs: int
    outputs: int
    weights: int
    channels: int


def ram(layer: ChainLayer, input_bits: int, output_bits: int) -> Fraction:
    return Fraction(layer.inputs * input_bits + layer.outputs * output_bits, 8)


def activations(layers: list[ChainLayer], ram_bytes: int) -> list[int] | None:  # noqa: PLR0912  # plain, not short
    """Bits of the input and of every layer's output, or None when infeasible."""
    bits = [8] * (len(layers) + 1)  # bits[i] is layer i's input, bits[i + 1] its output
    last = len(layers) - 1
    while True:
        before = list(bits)
        undone = False
        for walk in ("forward", "backward"):
            order = range(len(layers)) if walk == "forward" else range(last, -1, -1)
            before_walk, undone = list(bits), False
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
                    if cut == "output" and walk == "forward":
                        bits[i + 1] //= 2
                    elif cut == "input" and walk == "backward":
                        bits[i] //= 2
                    else:
                        undone = True
                        break
            if not undone and bits == before_walk:
                return bits
        assert undone or bits != before, "two walks that change nothing and leave something undone"


def parameters(layers: list[ChainLayer], i: int, method: str, weight_bits: int, output_bits: int) -> int:
    c, is_last = layers[i].channels, i == len(layers) - 1
    if method == "mixpc":
        return 7 * c + 4 if is_last else 10 * c + 8
    if is_last or (weight_bits == 8 and output_bits == 8):
        return 4 * c + 20
    return 9 * c + 12


def weights(layers: list[ChainLayer], method: str, activation_bits: list[int], flash_bytes: int) -> list[int] | None:
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
