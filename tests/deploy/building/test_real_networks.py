"""Real networks on emulated chips, with real samples where there are some: right to the bit and to the byte."""

from __future__ import annotations

import io
import itertools
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from deploy.building.build import build
from deploy.building.checking import run_check
from deploy.building.comparison import compare
from deploy.building.cores import CORES
from deploy.building.predicted import predicted_memory
from deploy.emission.emitter import emit
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input
from network.allocation import BITS, Allocation, Folding, Scheme, WeightScheme
from network.budget import Budget
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.layers import Float32Array
from network.memory.deployed import DeployedAccounting
from network.memory.report import Region
from network.reading import read_network
from qat.conversion import convert
from qat.data.digits import digits
from qat.prepare import prepare
from tests.deploy.building.small_firmware import core_or_skip

SHARED: Final = Path(__file__).parents[4] / "shared"
SCHEME: Final = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
NAMES: Final = ("resnet8_cifar10", "dscnn_fsdd", "toyadmos_ae")
OTHERS: Final = {
    "vww_96_float": SHARED / "networks" / "vww_96_float.tflite",
    "digits": Path(__file__).parents[3] / "examples" / "digits" / "digits.onnx",
}
"""Wake-word network and the example network: name -> file."""

VECTOR_BYTES: Final = {"cortex-m55": 80_000}
"""Core -> number of bytes of samples that its machine's flash holds at once, where they are few."""

SAMPLES: Final = 100

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real networks lie beside the project"),
]


@cache
def samples_of(name: str) -> npt.NDArray[np.generic]:
    """Real samples of the test set; random ones for networks that have no data here."""
    if name == "digits":
        return np.asarray(digits().test_x[:SAMPLES])
    if name == "vww_96_float":
        return np.random.default_rng(0).uniform(0, 1, (SAMPLES, 96, 96, 3)).astype(np.float32)
    if name == "dscnn_fsdd":
        with np.load(SHARED / "data" / "fsdd_mfcc.npz") as arrays:
            return np.asarray(arrays["test_mfcc"][:: 300 // SAMPLES])
    if name == "toyadmos_ae":
        return np.random.default_rng(0).standard_normal((SAMPLES, 640)).astype(np.float32)
    with np.load(SHARED / "data" / "cifar10_jpeg.npz") as arrays:
        offsets, content = arrays["test_offsets"][: SAMPLES + 1].tolist(), arrays["test_jpeg"].tobytes()
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(content[start:end]))) for start, end in itertools.pairwise(offsets)]
    )


@cache
def converted(name: str, seed: int) -> tuple[IntegerNetwork, Float32Array]:
    """The calibrated network with 8 bits for seed 0, else with random bits of every tensor; and its samples."""
    network = read_network(OTHERS.get(name, SHARED / "models" / f"{name}.onnx").read_bytes(), name)
    rng = np.random.default_rng(seed)
    choices = BITS if seed else BITS[:1]
    allocation = Allocation(
        weight_bits={layer.name: choices[rng.integers(len(choices))] for layer in network.weight_layers},
        activation_bits={tensor: choices[rng.integers(len(choices))] for tensor in network.tensors},
        schemes={layer.name: SCHEME for layer in network.weight_layers},
    )
    samples = network.only_input.format.to_input_tensor(samples_of(name), network.only_input.shape)
    return convert(prepare(network, allocation, samples).eval()), samples


CASES: Final = [
    *(("cortex-m4", name, seed, "O2") for name in NAMES for seed in range(4)),
    *((core, name, 1, "O2") for core in ("cortex-m0", "cortex-m7", "cortex-m55", "rv32imac") for name in NAMES),
    *(("cortex-m4", name, 1, level) for level in ("Os", "O3") for name in NAMES),
]


@pytest.mark.parametrize(("core", "name", "seed", "level"), CASES)
def test_a_real_network_is_right_to_the_bit_and_to_the_byte(
    tmp_path: Path, core: str, name: str, seed: int, level: str
) -> None:
    core_or_skip(core, is_run=True)
    network, samples = converted(name, seed)
    accounting = DeployedAccounting(sizes_for(core, Optimization(level)), IN_PLACE_KERNELS)
    memory = predicted_memory(network, accounting)
    vectors = {network.input_names[0]: quantize_input(network, samples[:2])}
    (stack,) = [each.size_bytes for each in memory.shared if each.region is Region.RAM]
    report = build(
        emit(network, accounting=accounting, vectors=vectors),
        CORES[core],
        Budget(int(memory.flash_bytes), int(memory.ram_bytes)),
        optimization=Optimization(level),
        stack_bytes=stack,
        directory=tmp_path,
    )
    if not report.toolchain.is_locked:
        pytest.skip(f"the compiler is version {report.toolchain.version}; predictions are exact for GCC 12.2")
    assert compare(report, memory, [layer.name for layer in network.layers]).differences == ()
    assert report.excess_bytes == {}  # the budget is what is predicted, to the byte
    assert report.linked.findings == ()
    check = run_check(report, timeout_seconds=600)
    assert check.wrong == ""
    assert check.painted_stack_bytes <= report.stack.stack_bytes <= stack <= check.painted_stack_bytes + 64


HUNDRED: Final = [
    *(
        (core, name)
        for core in ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imac")
        for name in (*NAMES, "digits")
    ),
    *((core, "vww_96_float") for core in ("cortex-m4", "cortex-m55", "rv32imac")),
]


@pytest.mark.parametrize(("core", "name"), HUNDRED)
def test_every_layer_is_right_for_a_hundred_samples(tmp_path: Path, core: str, name: str) -> None:
    """The self-test compares every step's output for every sample; a machine with less flash gets fewer at once."""
    core_or_skip(core, is_run=True)
    network, samples = converted(name, 1)
    codes = quantize_input(network, samples)
    at_once = min(SAMPLES, VECTOR_BYTES.get(core, 800_000) // codes[0].size)
    assert len(codes) == SAMPLES
    for first in range(0, SAMPLES, at_once):
        vectors = {network.input_names[0]: codes[first : first + at_once]}
        report = build(emit(network, vectors=vectors), CORES[core], directory=tmp_path)
        assert run_check(report, timeout_seconds=1800).wrong == ""
