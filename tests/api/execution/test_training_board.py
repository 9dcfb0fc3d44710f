"""Messages between processes that train together: nothing is taken twice, and no checkpoint is lost in between."""

from __future__ import annotations

from api.execution.training_board import News, TrainingBoard
from network.allocation import Allocation
from qat.progress import Progress
from tests.api.small_files import tiny_network

TRAINING = Progress(phase="training", epoch=1)
VALIDATING = Progress(phase="validating", epoch=1)


def test_what_was_taken_is_not_new_any_more() -> None:
    board = TrainingBoard()
    assert board.take() == News()
    board.tell(TRAINING, {"checkpoint": b"1"})
    board.tell(VALIDATING, None)
    assert board.take() == News(has_told=True, is_alive=True, progress=VALIDATING, checkpoint={"checkpoint": b"1"})
    assert board.take() == News(has_told=True, progress=VALIDATING)
    board.tell(VALIDATING, None)
    assert board.take().is_alive, "it computes, although it has nothing new to report"


def test_others_wait_for_network_and_bits_of_the_first_process() -> None:
    board = TrainingBoard()
    assert board.begun() is None
    network, allocation = tiny_network(), Allocation({}, {}, {})
    board.begin(network, allocation)
    assert board.begun() == (network, allocation)
