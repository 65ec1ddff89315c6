from __future__ import annotations

import subprocess
import sys

import numpy as np

from sitebrook.retrieval.embedder import HashingEmbedder

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
