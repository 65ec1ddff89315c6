from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from sitebrook.retrieval.postings import ARRAYS, IndexedChunk, Postings, join, to_key, to_postings

NONE = np.empty(0, dtype=np.uint32)
WORDS = [f"word{at}" for at in range(60)]


def make_chunks(seed: int, size: int) -> list[IndexedChunk]:
    chance = random.Random(seed)
    weights = [1 / (at + 1) for at in range(len(WORDS))]
    return [
        IndexedChunk(
            number,
            f"chunk_{chance.getrandbits(60):020d}",
            chance.choice(["en", "it"]),
            chance.choices(WORDS, weights, k=chance.randint(0, 30)),
        )
        for number in range(size)
    ]


def same(first: Postings, second: Postings) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        and getattr(first, name).dtype == getattr(second, name).dtype
        for name in ARRAYS
        if name != "languages"
    ) and languages(first) == languages(second)


def languages(postings: Postings) -> list[str]:
    return [postings.language_names[code] for code in postings.languages]


@pytest.mark.parametrize("seed", range(8))
def test_joined_parts_equal_what_is_made_at_once(seed: int) -> None:
    chunks = make_chunks(seed, 200)
    chance = random.Random(seed)
    cuts = [0, *sorted(chance.sample(range(200), 6)), 200]
    parts = [to_postings(chunks[start:end]) for start, end in itertools.pairwise(cuts)]
    assert same(join(parts, NONE), to_postings(chunks))
    assert same(join([join(parts[:3], NONE), join(parts[3:], NONE)], NONE), to_postings(chunks))


@pytest.mark.parametrize("seed", range(8))
def test_chunks_that_are_gone_leave_no_trace(seed: int) -> None:
    chunks = make_chunks(seed, 120)
    gone = random.Random(seed).sample(range(120), 60)
    left = to_postings([chunk for chunk in chunks if chunk.number not in gone])
    parts = [to_postings(chunks[:50]), to_postings(chunks[50:], gone)]
    assert same(join(parts, np.array(gone, dtype=np.uint32)), left)


def test_what_is_removed_elsewhere_stays_removed() -> None:
    chunks = make_chunks(1, 10)
    parts = [to_postings(chunks[:5], [3, 900]), to_postings(chunks[5:], [7, 901])]
    joined = join(parts, np.array([3, 7, 900, 901], dtype=np.uint32))
    assert joined.removed.tolist() == [900, 901]
    assert joined.numbers.tolist() == [0, 1, 2, 4, 5, 6, 8, 9]


def test_postings_without_chunks_only_remove() -> None:
    alone = to_postings([], [5, 2, 5])
    assert (len(alone), alone.removed.tolist()) == (0, [2, 5])
    joined = join([alone, to_postings(make_chunks(1, 3))], NONE)
    assert (len(joined), joined.removed.tolist()) == (3, [5])


def test_a_key_is_the_same_in_every_process() -> None:
    assert to_key("walrus") == 0x56D2_2FD6_AEAC_51DD
    assert to_key("walrus") != to_key("walru")
    assert 0 <= to_key("\ud800") < 2**64


def test_more_chunks_than_positions_are_refused() -> None:
    chunks = [IndexedChunk(at, str(at), "en", ()) for at in range(65_537)]
    with pytest.raises(ValueError, match="do not fit"):
        to_postings(chunks)
