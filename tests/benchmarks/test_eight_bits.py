"""8-bit networks beside LiteRT, on the published files."""

from __future__ import annotations

import pytest

from benchmarks import cifar10
from benchmarks.eight_bits import comparisons, own_signal_to_noise
from deploy.narrow_constants import ConstantsForm
from network.reading import read_network
from tests.network.tflite_reading.tflite_models import SHARED
from tests.qat.tasks.task_networks import vector_network


def test_a_network_at_eight_bits_is_near_its_own_outputs() -> None:
    assert own_signal_to_noise(vector_network(3)) > 25


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
def test_codes_of_int8_files_are_those_of_litert() -> None:
    rows = {row.name: row for row in comparisons(SHARED, 8, 8, ConstantsForm.WIDE)}
    assert {"ad01, random samples", "resnet8, random samples", "micro_speech, random samples"} <= rows.keys()
    assert all(row.within_two > 90 for row in rows.values())
    of_twins = ((row.ours_db, row.litert_db) for row in rows.values())
    twins = [(ours, theirs) for ours, theirs in of_twins if ours is not None and theirs is not None]
    assert len(twins) >= 5
    assert all(ours > 15 for ours, _ in twins)
    assert any(ours > theirs for ours, theirs in twins)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
def test_a_published_network_is_near_its_own_outputs() -> None:
    network = read_network((SHARED / "kws_int8.tflite").read_bytes(), "kws")
    assert own_signal_to_noise(network) > 35


@pytest.mark.skipif(not (SHARED.is_dir() and cifar10.FILE.exists()), reason="the images are beside the project")
def test_codes_of_images_are_exactly_those_of_litert() -> None:
    row = next(
        row for row in comparisons(SHARED, 2, 30, ConstantsForm.WIDE) if row.name == "resnet8, images of CIFAR-10"
    )
    assert row.largest_difference == 0
