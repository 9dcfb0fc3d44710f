"""The cache of answers: its limit, the order in which answers go, and what a new service finds."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from api.storage.answer_cache import AnswerCache

A, B = "a" * 64, "b" * 64


def question(number: int) -> str:
    return f"{number:064x}"


def test_the_answer_that_was_used_least_recently_goes_first(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers", 3 * 42)
    for number in range(3):
        cache.write(A, question(number), bytes(10))
    assert cache.read(A, question(0)) == bytes(10)
    cache.write(B, question(0), b"x" * 10)
    assert [cache.read(A, question(number)) is None for number in range(3)] == [False, True, False]
    assert cache.read(B, question(0)) == b"x" * 10
    assert cache.total_bytes == 3 * 42


def test_an_answer_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers", 50)
    cache.write(A, question(0), bytes(10))
    cache.write(A, question(1), bytes(19))
    assert cache.read(A, question(1)) is None
    assert cache.read(A, question(0)) == bytes(10)


def test_forgetting_a_network_keeps_the_others(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "answers", 100)
    for network in (A, B):
        cache.write(network, question(0), network.encode()[:4])
    cache.forget(A)
    assert cache.read(A, question(0)) is None
    assert cache.read(B, question(0)) == b"bbbb"
    assert cache.total_bytes == 36


def test_a_new_service_finds_the_answers_and_deletes_the_oldest_beyond_its_limit(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, 1000)
    for number in range(4):
        cache.write(A, question(number), bytes(10))
        os.utime(tmp_path / f"{A}-{question(number)}.json", (number, number))
    (tmp_path / "tmpxyz").write_bytes(b"incomplete")
    smaller = AnswerCache(tmp_path, 2 * 42 + 10)
    assert [smaller.read(A, question(number)) is None for number in range(4)] == [True, True, False, False]
    assert len(list(tmp_path.iterdir())) == 2


def test_answers_that_somebody_deleted_are_computed_again(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, 100)
    cache.write(A, question(0), b"old")
    (tmp_path / f"{A}-{question(0)}.json").unlink()
    assert cache.read(A, question(0)) is None
    cache.write(A, question(0), b"again")
    assert cache.read(A, question(0)) == b"again"
    assert cache.total_bytes == 37


def test_a_damaged_answer_is_not_an_answer(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, 1000)
    cache.write(A, question(0), b"answer")
    path = tmp_path / f"{A}-{question(0)}.json"
    for content in (b"", path.read_bytes()[:-1], bytes(38)):
        path.write_bytes(content)
        assert cache.read(A, question(0)) is None
    cache.write(A, question(0), b"answer")
    assert cache.read(A, question(0)) == b"answer"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=30))
@settings(max_examples=30, deadline=None)
def test_the_size_on_disk_is_the_size_that_is_counted_and_within_the_limit(writes: list[tuple[int, int]]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as directory:
        cache = AnswerCache(Path(directory), 150)
        for number, size in writes:
            cache.write(A, question(number), bytes(size))
            on_disk = sum(path.stat().st_size for path in Path(directory).iterdir())
            assert cache.total_bytes == on_disk <= 150
