"""What a build allows beside the prediction: nothing with the locked toolchain, less flash with another compiler."""

from __future__ import annotations

import pytest

from deploy.building.comparison import Compared, Comparison


@pytest.mark.parametrize(
    ("linked", "is_locked", "is_kept"),
    [
        (1000, True, True),
        (999, True, False),
        (1001, True, False),
        (1000, False, True),
        (1005, False, True),
        (1006, False, False),
        (900, False, True),
    ],
)
def test_another_compiler_may_need_less_flash_but_hardly_more(linked: int, is_locked: bool, is_kept: bool) -> None:
    code = Compared("code", "", 600, linked - 400, is_estimate=False)
    weights = Compared("weights", "", 400, 400, is_estimate=False)
    assert Comparison((weights, code), (), (), is_locked).is_kept is is_kept
