from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np

from sitebrook.compute.pool import ComputePool
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.settings import ComputeSettings

PROBE = """
import asyncio, hashlib
from sitebrook.retrieval.embedder import HashingEmbedder
rows = asyncio.run(HashingEmbedder().embed(["Grüße an das Walross", "v2.3.1 東京都"]))
print(hashlib.sha256((rows * 1000).round().astype("<i4").tobytes()).hexdigest())
"""


class CountingPool(ComputePool):
    """A pool that knows how often it was asked."""

    asked = 0

    async def run(self, work: Any, asked: Any, limits: Any = None) -> Any:
        self.asked += 1
        return await super().run(work, asked, limits)


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


async def test_children_hash_much_text_as_this_process_does() -> None:
    texts = [f"{'seldom ' * 9_000}{number}\ud800 x{number}y" for number in range(4)]
    pool = CountingPool(ComputeSettings(children=1))
    try:
        rows = await HashingEmbedder(pool).embed(texts)
    finally:
        await pool.aclose()
    assert pool.asked == 4
    assert np.array_equal(rows, await HashingEmbedder().embed(texts))
