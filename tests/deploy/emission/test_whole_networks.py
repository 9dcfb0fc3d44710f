"""Whole networks with their real data: every layer in C is equal to the interpreter."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from deploy.interpreter import quantize_input
from network.allocation import BITS, Allocation, Folding, Scheme, WeightScheme
from network.kernels import IN_PLACE_KERNELS
from network.layers import Float32Array
from network.memory.deployed import DeployedAccounting
from network.network import Network
from network.reading import read_network
from qat.conversion import convert
from qat.prepare import prepare
from tests.deploy.emission.c_programs import needs_gcc
from tests.deploy.emission.comparison import assert_equal_to_interpreter

SHARED = Path(__file__).parents[4] / "shared"
SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)

pytestmark = [needs_gcc, pytest.mark.skipif(not SHARED.is_dir(), reason="the real networks lie beside the project")]


def images() -> npt.NDArray[np.generic]:
    with np.load(SHARED / "data" / "cifar10_jpeg.npz") as arrays:
        offsets, content = arrays["test_offsets"][:33].tolist(), arrays["test_jpeg"].tobytes()
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(content[start:end]))) for start, end in itertools.pairwise(offsets)]
    )


def digits() -> npt.NDArray[np.generic]:
    with np.load(SHARED / "data" / "fsdd_mfcc.npz") as arrays:
        return np.asarray(arrays["test_mfcc"][::10])


def samples_of(network: Network, data: npt.NDArray[np.generic]) -> Float32Array:
    return network.only_input.format.to_input_tensor(data, network.only_input.shape)


@pytest.mark.parametrize(("name", "data"), [("resnet8_cifar10", images), ("dscnn_fsdd", digits)])
@pytest.mark.parametrize("seed", [None, 1], ids=["8 bits", "mixed bits"])
def test_every_layer_is_equal_to_the_interpreter(
    name: str, data: Callable[[], npt.NDArray[np.generic]], seed: int | None, tmp_path: Path
) -> None:
    network = read_network((SHARED / "models" / f"{name}.onnx").read_bytes(), name)
    rng = np.random.default_rng(seed)
    allocation = Allocation(
        weight_bits={layer.name: 8 if seed is None else BITS[rng.integers(3)] for layer in network.weight_layers},
        activation_bits={tensor: 8 if seed is None else BITS[rng.integers(3)] for tensor in network.tensors},
        schemes={layer.name: SCHEME for layer in network.weight_layers},
    )
    samples = samples_of(network, data())
    integers = convert(prepare(network, allocation, samples).eval())
    codes = {network.only_input.name: quantize_input(integers, samples[:2])}
    assert_equal_to_interpreter(integers, codes, DeployedAccounting(in_place=IN_PLACE_KERNELS), tmp_path)
