"""Batches do not depend on the workers or on where a run resumes, and errors name the invalid sample."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from network.errors import DatasetError, RequestError, TrainingError
from qat.data import parquet
from qat.data.augmentation import mixup, shift_and_flip
from qat.data.batches import WINDOW_GROUPS, batches_of, group_starts_of, tensor_of
from qat.data.dataset import Dataset, Part, Samples, SampleSource
from qat.data.encoded_store import StorePart
from qat.data.images import EncodedImages, fitted
from qat.data.loader import Batch, sample_batches, training_batches, workers_for
from qat.data.opening import open_dataset
from qat.data.parquet import ParquetStore
from qat.options.augmentation import PRESETS, AugmentationOptions, preset
from tests.qat.data import making

SAMPLES = making.images(train=26)
NETWORK = making.network_for()
BATCHES = batches_of(np.arange(26), 8, seed=3, epoch=2)


def opened(root: Path, form: str = "shards") -> Dataset:
    return fitted(open_dataset(making.FORMS[form](root / form, SAMPLES)), NETWORK)


def loaded(
    source: SampleSource,
    augmentation: AugmentationOptions,
    *,
    first_step: int = 0,
    workers: int | None = 0,
    seed: int = 3,
    epoch: int = 2,
) -> list[Batch]:
    batches = training_batches(
        source,
        SAMPLES.train_y,
        NETWORK,
        BATCHES,
        augmentation,
        seed=seed,
        epoch=epoch,
        first_step=first_step,
        workers=workers,
    )
    return list(batches)


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        torch.testing.assert_close(one.images, other.images, rtol=0, atol=0)
        torch.testing.assert_close(one.targets, other.targets, rtol=0, atol=0)
        np.testing.assert_array_equal(one.indices, other.indices)


def test_a_batch_is_the_samples_normalised(tmp_path: Path) -> None:
    for source in (SAMPLES.train_x, opened(tmp_path).train_x):
        for batch, indices in zip(loaded(source, preset("none")), BATCHES, strict=True):
            expected = (SAMPLES.train_x[indices].astype(np.float32).transpose(0, 3, 1, 2) - 127) / 128
            np.testing.assert_array_equal(batch.images.numpy(), expected)
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            assert batch.targets.tolist() == SAMPLES.train_y[indices].tolist()
            np.testing.assert_array_equal(batch.indices, indices)


@pytest.mark.parametrize("name", PRESETS)
def test_a_batch_depends_on_seed_epoch_and_step_alone(tmp_path: Path, name: str) -> None:
    """Neither the format nor the step at which an epoch resumes changes a batch, nor torch's global generator."""
    augmentation = preset(name)
    before = torch.random.get_rng_state()
    unbroken = loaded(SAMPLES.train_x, augmentation)
    torch.manual_seed(99)
    assert_equal(loaded(opened(tmp_path).train_x, augmentation), unbroken)
    torch.random.set_rng_state(before)
    for step in range(len(BATCHES)):
        assert_equal(loaded(SAMPLES.train_x, augmentation, first_step=step), unbroken[step:])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert augmentation.changes_samples == (name != "none")
    for other in (loaded(SAMPLES.train_x, augmentation, seed=4), loaded(SAMPLES.train_x, augmentation, epoch=3)):
        assert torch.equal(other[0].images, unbroken[0].images) == (name == "none")


def test_workers_change_only_the_time(tmp_path: Path) -> None:
    augmentation = preset("imagenet_rand")
    source = opened(tmp_path, "parquet").train_x
    before = torch.random.get_rng_state()
    here = loaded(source, augmentation)
    assert_equal(loaded(source, augmentation, workers=2), here)
    assert_equal(loaded(source, augmentation, workers=1, first_step=2), here[2:])
    assert torch.equal(torch.random.get_rng_state(), before)
    for read, indices in zip(sample_batches(source, BATCHES, 1), BATCHES, strict=True):
        np.testing.assert_array_equal(read, SAMPLES.train_x[indices])


def test_number_of_workers(tmp_path: Path) -> None:
    encoded = opened(tmp_path).train_x
    many = [np.zeros(1000, dtype=np.int64)] * 2
    assert workers_for(SAMPLES.train_x, many, None) == 0
    assert workers_for(Part(encoded, np.arange(3)), many, None) == workers_for(encoded, many, None) >= 1
    assert workers_for(encoded, many, 0) == workers_for(encoded, many[:1], None) == 0
    assert workers_for(encoded, BATCHES, 10_000) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_invalid_sample_is_named_with_and_without_workers(tmp_path: Path, workers: int) -> None:
    source = opened(tmp_path, "folders").train_x
    (tmp_path / "folders" / "train" / "bee" / "0012.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"^'train/bee/0012\.png' cannot be decoded"):
        loaded(source, preset("none"), workers=workers)


class _Killed(EncodedImages):
    """Encoded images whose worker is killed, as the system does when memory runs out."""

    def cropped(self, indices: object, crops: object) -> Samples:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_killed_worker_is_an_error_and_does_not_hang(tmp_path: Path) -> None:
    source = opened(tmp_path, "folders").train_x
    assert isinstance(source, EncodedImages)
    with pytest.raises(TrainingError, match="a process that reads samples has ended"):
        loaded(_Killed(source.store, source.size), preset("none"), workers=1)


def test_mixup_computes_its_equation() -> None:
    for batch in loaded(SAMPLES.train_x, AugmentationOptions(mixup=1.0)):
        shares = batch.targets.numpy()
        assert shares.shape == (len(batch.indices), making.CLASSES)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
        assert (shares[np.arange(len(shares)), SAMPLES.train_y[batch.indices]] > 0).all()
        assert (shares < 1).any()
    images, classes = torch.rand(5, 1, 2, 2), torch.eye(5)
    share = np.random.default_rng(8).beta(0.5, 0.5)
    mixture, of_mixture = mixup(images, classes, 0.5, np.random.default_rng(8))
    for sample in range(5):
        other = int((of_mixture[sample] - share * classes[sample]).argmax())
        torch.testing.assert_close(of_mixture[sample], share * classes[sample] + (1 - share) * classes[other])
        torch.testing.assert_close(mixture[sample], share * images[sample] + (1 - share) * images[other])


def test_targets_may_be_shares_of_classes() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 26).astype(np.float32)
    for name in ("none", "flip_shift_mixup"):
        batch = next(training_batches(SAMPLES.train_x, shares, NETWORK, BATCHES, preset(name), seed=0, epoch=1))
        assert batch.targets.dtype == torch.float32
        assert batch.targets.shape == (len(batch.indices), 3)
        assert np.array_equal(batch.targets.numpy(), shares[batch.indices]) == (name == "none")


def test_shifted_and_flipped_images_are_parts_of_their_images() -> None:
    """Every result is one of the images that a shift of up to an eighth and a flip can produce."""
    images = torch.arange(1, 2 * 16 * 16 + 1, dtype=torch.float32).reshape(2, 1, 16, 16)
    seen = set()
    for seed in range(40):
        moved = shift_and_flip(images, np.random.default_rng(seed))
        for image, result in zip(images[:, 0].numpy(), moved[:, 0].numpy(), strict=True):
            around = np.pad(image, 2)
            found = [
                (down, right, mirror)
                for down in range(5)
                for right in range(5)
                for mirror in (False, True)
                if np.array_equal(around[down : down + 16, right : right + 16][:, :: -1 if mirror else 1], result)
            ]
            assert len(found) == 1
            seen |= set(found)
    assert len(seen) > 35
    still = shift_and_flip(images, np.random.default_rng(0), shift=0.0, flip=False)
    torch.testing.assert_close(still, images)


def test_rand_augment_changes_grey_images_and_keeps_uint8_values() -> None:
    grey = making.images(channels=1, train=26).train_x
    network = making.network_for(channels=1)
    options = AugmentationOptions(rand_augment_operations=2)
    (batch,) = training_batches(grey, SAMPLES.train_y, network, [np.arange(26)], options, seed=1, epoch=1)
    codes = batch.images.numpy() * 128 + 127
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    assert codes.min() >= 0
    assert codes.max() <= 255
    changed = (np.round(codes)[:, 0] != grey[..., 0]).any(axis=(1, 2))
    assert changed.mean() > 0.5


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (np.zeros((26, 3, 8, 8), np.float32), "imagenet"),
        (np.zeros((26, 8, 8, 2), np.uint8), "flip_shift_rand"),
    ],
)
def test_what_cannot_be_cropped_or_recoloured_is_refused(source: SampleSource, name: str) -> None:
    with pytest.raises(RequestError, match="crops and RandAugment need uint8 images"):
        loaded(source, preset(name))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": 0.6},
        {"flip": 1},
        {"least_crop": 0.0},
        {"rand_augment_operations": -1},
        {"rand_augment_magnitude": 31},
        {"mixup": float("nan")},
    ],
)
def test_options_out_of_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        AugmentationOptions(**wrong)  # type: ignore[arg-type]  # invalid on purpose
    with pytest.raises(RequestError, match="expected one of: none, shift, flip_shift"):
        preset("much")


def test_groups_are_shuffled_in_windows() -> None:
    starts = np.arange(0, 200, 10)
    taken = np.flatnonzero(np.arange(200) % 7 != 0)
    batches = batches_of(taken, 16, seed=1, epoch=1, group_starts=starts)
    order = np.concatenate(batches)
    assert sorted(order) == taken.tolist()
    groups = order // 10
    windows = []
    while len(groups):  # all groups of a window end before the next window begins
        window = list(dict.fromkeys(groups.tolist()))[:WINDOW_GROUPS]
        length = int(np.isin(taken // 10, window).sum())
        assert set(groups[:length].tolist()) == set(window)
        assert (np.diff(groups[:length]) != 0).mean() > 0.5
        windows.append(sorted(window))
        groups = groups[length:]
    assert len(windows) == 5
    again = batches_of(taken, 16, seed=1, epoch=1, group_starts=starts)
    assert all(np.array_equal(*both) for both in zip(batches, again, strict=True))
    other = np.concatenate(batches_of(taken, 16, seed=1, epoch=2, group_starts=starts))
    assert not np.array_equal(order, other)


def test_which_sources_have_groups(tmp_path: Path) -> None:
    assert group_starts_of(SAMPLES.train_x) is None
    assert group_starts_of(opened(tmp_path, "folders").train_x) is None
    assert group_starts_of(opened(tmp_path, "shards").train_x) is None  # it has three groups, fewer than a window
    starts = group_starts_of(opened(tmp_path, "parquet").train_x)
    assert starts is not None
    assert starts.tolist() == [0, 5, 10, 15, 20, 25]


def test_row_groups_are_read_once_in_a_window_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = making.images(64, train=160, test=10)
    root = making.parquet(tmp_path, large)
    dataset = fitted(open_dataset(root), making.network_for(64))
    assert isinstance(dataset.train_x, EncodedImages)
    part = dataset.train_x.store
    assert isinstance(part, StorePart)
    store = part.store
    assert isinstance(store, ParquetStore)
    group_bytes = 5 * 64 * 64 * 3
    monkeypatch.setattr(parquet, "KEPT_BYTES", WINDOW_GROUPS * group_bytes)
    reads, most = [], 0
    read = ParquetStore._images

    def counted(self: ParquetStore, group: int) -> pa.ChunkedArray:
        nonlocal most
        if group not in self._kept:
            reads.append(group)
        found = read(self, group)
        most = max(most, sum(each.nbytes for each in self._kept.values()))
        return found

    monkeypatch.setattr(ParquetStore, "_images", counted)
    for batch in batches_of(np.arange(160), 16, seed=1, epoch=1, group_starts=group_starts_of(dataset.train_x)):
        np.testing.assert_array_equal(dataset.train_x[batch], large.train_x[batch])
    assert len(reads) == 32, "every group once"
    assert most < (WINDOW_GROUPS + 3) * group_bytes * 1.1 < large.train_x.nbytes / 4


@pytest.mark.parametrize("form", ["shards", "folders", "npy"])
def test_memory_depends_on_the_batch_and_not_on_the_dataset(tmp_path: Path, form: str) -> None:
    import tracemalloc

    large = making.images(64, train=600, test=10)
    place = making.FORMS[form](tmp_path / form, large)
    tracemalloc.start()
    try:
        dataset = fitted(open_dataset(place), making.network_for(64))
        for indices in np.array_split(np.random.default_rng(0).permutation(600), 60):
            dataset.train_x[indices]
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < large.train_x.nbytes / 5


def test_tensors_of_read_only_samples_are_copies() -> None:
    samples = SAMPLES.train_x.copy()
    samples.flags.writeable = False
    tensor_of(samples, NETWORK).add_(1)
    np.testing.assert_array_equal(samples, SAMPLES.train_x)
