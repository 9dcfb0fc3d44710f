"""C identifiers that are derived from the names of networks and tensors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.emission.names import RESERVED_NAMES, checked_name, derived_name, distinct_suffixes
from network.errors import RequestError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ResNet8", "resnet8"),
        ("Mobile-Net V1 (0.25)", "mobile_net_v1_0_25"),
        ("8bit", "network_8bit"),
        ("main", "main_network"),
        ("Int", "int_network"),
        ("string", "string_network"),
        ("__x__y__", "x_y"),
        ("Größe", "groe"),
        ("日本", "my_network"),
        ("", "my_network"),
        ("a" * 39 + "_b", "a" * 39),
    ],
)
def test_derived_names(text: str, name: str) -> None:
    assert derived_name(text) == name


@given(st.text() | st.sampled_from(sorted(RESERVED_NAMES)))
def test_every_derived_name_is_valid(text: str) -> None:
    name = derived_name(text)
    assert checked_name(name) == name
    assert name.isidentifier()
    assert name.isascii()


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a__b", "a_", "_a", "a b", "a" * 41, "é", "a\n"])
def test_invalid_names(name: str) -> None:
    with pytest.raises(RequestError, match="expected 1 to 40 lower-case letters"):
        checked_name(name)


@pytest.mark.parametrize("name", ["int", "class", "stdio", "main", "bb"])
def test_reserved_names(name: str) -> None:
    with pytest.raises(RequestError, match=f"is '{name}', which C, C\\+\\+ or a build tool reserves.*'{name}_network'"):
        checked_name(name)


def test_suffixes_of_tensors_are_distinct() -> None:
    found = distinct_suffixes(["x:0", "x_0", "X.0", "x_0_2", "+"])
    assert found == {"x:0": "x_0", "x_0": "x_0_2", "X.0": "x_0_3", "x_0_2": "x_0_2_2", "+": "tensor"}


@given(st.lists(st.text(max_size=5), unique=True))
def test_suffixes_of_any_tensors_are_distinct(names: list[str]) -> None:
    found = distinct_suffixes(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
