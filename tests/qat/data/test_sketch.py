"""The sketch of a dataset: the checks decide and complain as on the dataset itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import DatasetError
from network.layers import FullyConnected, Shape
from network.network import Network
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset, NoSamples
from qat.data.images import fitted
from qat.data.input_arrays import InputArrays
from qat.data.label_offset import with_label_offset
from qat.data.opening import open_dataset
from qat.data.sketch import MAX_KEPT_BYTES, read_sketch, sketch_of
from qat.options.task import TaskKind
from qat.tasks.choice import choose_task
from tests.builders import network_of
from tests.qat.data import making

FORMS: Final[dict[str, Callable[[Path, making.Images], Path]]] = {
    "folders": making.folders,
    "shards": making.shards,
    "parquet": making.parquet,
    "npz": making.npz,
    "npy": making.arrays,
}


def sketched(dataset: Dataset) -> Dataset:
    content = sketch_of(dataset)
    assert content is not None
    return read_sketch(content)


def verdict(dataset: Dataset, network: Network, wanted: TaskKind | None, offset: int = 0) -> str:
    """Return the task that is chosen for a dataset, or the message of the error that the checks raise."""
    try:
        shifted = with_label_offset(dataset, offset)
        check_dataset(shifted, network, wanted)
    except DatasetError as error:
        return str(error)
    task = choose_task(network, fitted(shifted, network), wanted)
    return f"{task.kind} {task.output} {task.learned_from} {task.measured_against}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", [making.network_for(), making.network_for(side=4), making.network_for(channels=1)])
def test_every_format_gets_the_same_verdict(tmp_path: Path, form: str, network: Network) -> None:
    dataset = open_dataset(FORMS[form](tmp_path, making.images()))
    sketch = sketched(dataset)
    for wanted in (None, *TaskKind):
        for offset in (0, 1, -1):
            assert verdict(sketch, network, wanted, offset) == verdict(dataset, network, wanted, offset)
    assert (sketch.name, sketch.class_names) == (dataset.name, dataset.class_names)


def dense(inputs: int, outputs: int) -> Network:
    """Return a network from numbers to numbers."""
    layer = FullyConnected(name="last", inputs=("input",), output="scores", output_channels=outputs)
    return network_of([layer], Shape(inputs, 1, 1))


@st.composite
def targets(draw: st.DrawFn, count: int) -> npt.NDArray[Any] | None:
    """Draw targets of all kinds that the tasks tell apart, some of them invalid."""
    dims = draw(st.sampled_from([(), (1,), (3,), (4,), (2, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = draw(st.sampled_from(["none", "classes", "far", "binary", "one hot", "real", "broken", "negative"]))
    shape = (count, *dims)
    if kind == "none":
        return None
    if kind == "one hot":
        return np.eye(3, dtype=np.int64)[rng.integers(0, 3, count)]
    whole = rng.integers(0, {"binary": 2, "far": 9}.get(kind, 3), shape)
    if kind in {"real", "broken"}:
        values = rng.standard_normal(shape).astype(np.float32)
        if kind == "broken":
            values.reshape(-1)[-1] = draw(st.sampled_from([np.nan, np.inf]))
        return values
    if kind == "negative":
        whole.reshape(-1)[-1] = -1
    return whole if draw(st.booleans()) else whole.astype(np.float32)


@given(st.data(), st.sampled_from([1, 3, 4]), st.sampled_from([None, *TaskKind]), st.sampled_from([0, 1, -1]))
@settings(max_examples=150, deadline=None)
def test_arrays_get_the_same_verdict(data: st.DataObject, outputs: int, wanted: TaskKind | None, offset: int) -> None:
    count = data.draw(st.integers(1, 70))
    dtype = data.draw(st.sampled_from([np.float32, np.uint8]))
    samples = np.arange(count * 4).reshape(count, 4).astype(dtype)
    if dtype is np.float32 and data.draw(st.booleans()):
        samples[data.draw(st.integers(0, count - 1)), 0] = np.nan
    test = samples[: max(1, count // 2)]
    train_y, test_y = data.draw(targets(count)), data.draw(targets(len(test)))
    has_test = data.draw(st.booleans())
    dataset = Dataset(
        "numbers",
        samples,
        train_y,
        test if has_test else NoSamples(samples.dtype, samples.shape[1:]),
        test_y if has_test else None,
    )
    network = dense(4, outputs)
    assert verdict(sketched(dataset), network, wanted, offset) == verdict(dataset, network, wanted, offset)


@pytest.mark.parametrize("fault", [None, 0, 40])
def test_an_invalid_sample_of_several_inputs_is_named(fault: int | None) -> None:
    rng = np.random.default_rng(0)
    arrays = {key: rng.standard_normal((50, 2, 1, 1)).astype(np.float32) for key in ("0", "1")}
    if fault is not None:
        arrays["1"][fault] = np.inf
    layer = FullyConnected(name="a", inputs=("input",), output="a", output_channels=3)
    base = network_of([layer], Shape(2, 1, 1))
    second = replace(base.only_input, name="second")
    other = FullyConnected(name="b", inputs=("second",), output="b", output_channels=3)
    network = Network(name="two", inputs=(base.only_input, second), layers=(layer, other), outputs=("a", "b"))
    labels = rng.integers(0, 3, 50)
    dataset = Dataset("two", InputArrays(arrays), labels, NoSamples(np.dtype(np.float32), (4,)), None)
    expected = verdict(dataset, network, None)
    assert verdict(sketched(dataset), network, None) == expected
    assert ("train_x_1" in expected) == (fault is not None)


def test_large_targets_are_sketched_by_their_first_rows() -> None:
    side = 512
    count = MAX_KEPT_BYTES // side**2 + 10
    masks = np.zeros((count, side, side), dtype=np.uint8)
    dataset = Dataset(
        "masks", np.zeros((count, 4), np.float32), masks, NoSamples(np.dtype(np.float32), (4,)), None
    )  # fmt: skip
    content = sketch_of(dataset)
    assert content is not None
    assert len(content) < 100_000
    sketch = read_sketch(content)
    assert sketch.train_y is not None
    assert sketch.train_y.shape == masks.shape
    assert not np.any(sketch.train_y[:64])


def test_samples_whose_first_target_is_too_large_have_no_sketch() -> None:
    samples = np.zeros((2, 4), np.float32)
    large = np.broadcast_to(np.zeros(1, np.uint8), (2, MAX_KEPT_BYTES + 1))
    assert sketch_of(Dataset("large", samples, large, NoSamples(samples.dtype, (4,)), None)) is None


@pytest.mark.parametrize("damage", [b"", b"PK", b"{}"])
def test_a_damaged_sketch_is_an_error(damage: bytes) -> None:
    with pytest.raises(DatasetError, match="sketch of the dataset is damaged"):
        read_sketch(damage)


def test_a_cut_sketch_is_an_error(tmp_path: Path) -> None:
    content = sketch_of(open_dataset(making.npz(tmp_path, making.images())))
    assert content is not None
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(DatasetError, match="damaged"):
            read_sketch(content[: int(share * len(content))])
