"""ResNet8 on CIFAR-10's 10,000 test images: the float module, 8 bits untrained, and half the flash after one epoch.

The last one trains for about two minutes: the one long run of the suite.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks import cifar10, networks, resnet8
from network.allocation import Folding, Scheme, WeightScheme
from network.memory.measure import measure
from network.memory.paper import PaperAccounting

needs_data = pytest.mark.skipif(
    not (networks.RESNET8_FILE.exists() and cifar10.FILE.exists()), reason="needs ../shared/models and ../shared/data"
)


def assert_kept(row: resnet8.Row) -> None:
    """What a case promises: float as stated, little lost, and integers that choose as the fake-quantized network."""
    assert row.accuracy.float_percent == pytest.approx(84.62, abs=0.1)
    assert row.points_lost <= row.case.most_points_lost
    assert row.accuracy.top1_agreement_percent >= 99.8


@needs_data
def test_eight_bits_lose_next_to_nothing() -> None:
    case = resnet8.CASES[0]
    assert (case.name, case.epochs, case.most_points_lost) == ("8-bit", 0, 0.5)
    assert_kept(resnet8.run(case, cifar10.load(), networks.resnet8()))


@pytest.fixture
def _all_threads() -> Iterator[None]:
    """This one is large enough to share out."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@needs_data
@pytest.mark.long
@pytest.mark.usefixtures("_all_threads")
def test_half_the_flash_after_one_epoch() -> None:
    case = resnet8.CASES[1]
    assert (case.name, case.epochs, case.flash_share, case.most_points_lost) == ("half-flash", 3, 0.5, 1.5)
    assert_kept(resnet8.run(replace(case, epochs=1), cifar10.load(), networks.resnet8()))


@needs_data
def test_half_the_flash_is_met_by_fewer_bits_of_weights_alone() -> None:
    network = networks.resnet8()
    widest, half = (resnet8.allocation_for(network, share) for share in (1.0, 0.5))
    flash = [measure(network, allocation, PaperAccounting()).flash_bytes for allocation in (widest, half)]
    assert flash[1] <= flash[0] / 2
    assert set(half.activation_bits.values()) == {8}
    assert set(half.weight_bits.values()) == {2, 4, 8}
    per_channel_icn = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
    assert set(half.schemes.values()) == {per_channel_icn}
