from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
from tests.pools import CountingPool

from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.settings import ComputeSettings

PROBE = """
import asyncio, hashlib
from sitebrook.retrieval.embedder import HashingEmbedder
rows = asyncio.run(HashingEmbedder().embed(["Grüße an das Walross", "v2.3.1 東京都"]))
print(hashlib.sha256((rows * 1000).round().astype("<i4").tobytes()).hexdigest())
"""


async def test_rows_have_length_one_and_a_text_without_words_is_zero() -> None:
    rows = await HashingEmbedder().embed(["the walrus swims", "", "one two three four"])
    assert rows.dtype == np.float32
    assert rows.shape == (3, 512)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 0, 1])
    assert (await HashingEmbedder().embed([])).shape == (0, 512)


async def test_misspelt_and_inflected_words_stay_near() -> None:
    rows = await HashingEmbedder().embed(
        ["strikethrough formatting", "stikethrough formats", "boiled potatoes"]
    )
    assert rows[0] @ rows[1] > 0.25
    assert abs(rows[0] @ rows[2]) < 0.15


def test_vectors_are_the_same_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PROBE],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


async def test_a_long_text_is_not_hashed_on_the_event_loop() -> None:
    text = " ".join(f"word{number}" for number in range(2_000))
    waiting = asyncio.ensure_future(HashingEmbedder().embed([text]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert np.array_equal(await waiting, (await HashingEmbedder().embed([text, ""]))[:1])


async def test_children_hash_texts_as_this_process_does() -> None:
    long = [f"{'seldom ' * 9_000}{number}\ud800 x{number}y" for number in range(4)]
    short = ["some words and " * 100, "others"]
    pool = CountingPool(ComputeSettings(children=1))
    embedder = HashingEmbedder(pool)
    try:
        for texts, calls in ((long, 4), (short, 1), (["few words"], 0)):
            pool.asked = 0
            assert np.array_equal(await embedder.embed(texts), await HashingEmbedder().embed(texts))
            assert pool.asked == calls
    finally:
        await pool.aclose()


async def test_a_question_never_waits_for_a_child() -> None:
    pool = CountingPool(ComputeSettings(children=1))
    question = "how many words " * 400
    row = await HashingEmbedder(pool).embed_question(question)
    assert np.array_equal(row, (await HashingEmbedder().embed([question]))[0])
    assert pool.asked == 0
