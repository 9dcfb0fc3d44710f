"""Names of datasets without samples."""

from __future__ import annotations

import numpy as np
import pytest

from network.errors import DatasetError, RequestError
from qat.data.unseen import UnseenSamples, without_samples


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", UnseenSamples()),
        ("none:bytes", UnseenSamples(are_bytes=True, bounds=(0.0, 255.0))),
        ("none:-1:1", UnseenSamples(bounds=(-1.0, 1.0))),
        ("none:-2.5:1e3", UnseenSamples(bounds=(-2.5, 1000.0))),
        ("nones", None),
        ("none.npz", None),
        ("./none", None),
        ("digits", None),
    ],
)
def test_a_name_states_what_is_known_of_the_samples(name: str, expected: UnseenSamples | None) -> None:
    assert UnseenSamples.of(name) == expected
    dataset = without_samples(name)
    assert (dataset is None) == (expected is None)
    if dataset is not None:
        assert (dataset.name, dataset.train_x, dataset.train_y) == (name, expected, None)
        assert not dataset.has_test_set


@pytest.mark.parametrize("name", ["none:", "none:byte", "none:1", "none:1:1", "none:1:-1", "none:nan:1", "none:0:inf"])
def test_a_name_that_states_no_range_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"expected 'none', 'none:bytes' .* or 'none:LOW:HIGH'"):
        UnseenSamples.of(name)


def test_there_is_nothing_to_read() -> None:
    unseen = UnseenSamples.of("none:bytes")
    assert unseen is not None
    assert (len(unseen), unseen.shape) == (0, (0,))
    assert unseen.dtype == np.uint8
    with pytest.raises(DatasetError, match="no samples"):
        unseen[:1]
