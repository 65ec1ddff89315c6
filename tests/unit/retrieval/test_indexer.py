from __future__ import annotations

import numpy as np
import pytest
from tests.pools import CountingPool

from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.indexing import IndexRequest, UnindexedChunk, index_chunks
from sitebrook.retrieval.postings import ARRAYS, Postings, join
from sitebrook.settings import ComputeSettings

NONE = np.empty(0, dtype=np.uint32)


def make_chunks(count: int, characters: int = 800, first: int = 0) -> list[UnindexedChunk]:
    return [
        UnindexedChunk(
            number,
            f"chunk_{number:05}",
            ("en", "de", "ru")[number % 3],
            " ".join(f"Shoe{number}x{at} Tage или" for at in range(characters // 8))[:characters],
        )
        for number in range(first, first + count)
    ]


def assert_same(found: Postings, expected: Postings) -> None:
    assert found.language_names == expected.language_names
    for name in ARRAYS:
        one, other = getattr(found, name), getattr(expected, name)
        assert (name, one.dtype) == (name, other.dtype)
        assert np.array_equal(one, other), name


@pytest.fixture
async def pool():
    pool = CountingPool(ComputeSettings(children=1))
    yield pool
    await pool.aclose()


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (5, 0), (6, 1), (300, 1)])
async def test_chunks_are_indexed_alike_here_in_a_child_and_in_a_thread(
    pool: CountingPool, count: int, calls: int
) -> None:
    chunks = make_chunks(count)
    expected = index_chunks(IndexRequest(chunks))
    assert_same(await Indexer(pool).index(chunks), expected)
    assert_same(await Indexer().index(chunks), expected)
    assert pool.asked == calls


async def test_what_one_call_does_is_bounded(pool: CountingPool) -> None:
    chunks = make_chunks(5, characters=450_000)
    found = await Indexer(pool).index(chunks)
    assert pool.asked == 4  # two, two and one chunk; joined
    assert_same(found, index_chunks(IndexRequest(chunks)))


@pytest.mark.parametrize(("parts", "each", "calls"), [(4, 16, 0), (9, 1, 1), (4, 100, 1)])
async def test_postings_are_joined_alike_here_in_a_child_and_in_a_thread(
    pool: CountingPool, parts: int, each: int, calls: int
) -> None:
    made = [
        index_chunks(IndexRequest(make_chunks(each, first=at * each))).moved(0, [at])
        for at in range(parts)
    ]
    gone = np.array([1, each], dtype=np.uint32)
    expected = join(made, gone)
    assert_same(await Indexer(pool).join(made, gone), expected)
    assert_same(await Indexer().join(made, gone), expected)
    assert pool.asked == calls


async def test_more_rows_are_joined_than_are_ever_stored_apart(pool: CountingPool) -> None:
    made = [index_chunks(IndexRequest(make_chunks(1, 40, first=at))) for at in range(1_000)]
    assert_same(await Indexer(pool).join(made), join(made, NONE))
