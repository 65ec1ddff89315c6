"""Kept vectors of questions: one suite over both, then what only the shared ones promise."""

from __future__ import annotations

import gc
import uuid
import weakref
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from tests.fakes.redis_server import RedisServer

from sitebrook.db.redis import RedisConnection
from sitebrook.retrieval.embedder import HashingEmbedder, Vectors
from sitebrook.retrieval.question_vectors import (
    ProcessQuestionVectors,
    QuestionVectors,
    RedisQuestionVectors,
)
from sitebrook.settings import RedisSettings

Make = Callable[..., QuestionVectors]


class Counting(HashingEmbedder):
    """An embedder that costs something."""

    def __init__(self, name: str = "counting") -> None:
        super().__init__()
        self.name = name
        self.asked = 0

    async def embed_question(self, question: str) -> Vectors:
        self.asked += 1
        return await super().embed_question(question)


def shared(redis: RedisConnection, *, local: int = 2, limit: int = 1000) -> RedisQuestionVectors:
    """What one process has of the shared vectors."""
    return RedisQuestionVectors(redis, ProcessQuestionVectors(local), limit=limit, keep_s=60)


@pytest.fixture(params=["process", "redis"])
async def vectors(
    request: pytest.FixtureRequest, with_redis: dict[str, str]
) -> AsyncIterator[QuestionVectors]:
    if request.param == "process":
        yield ProcessQuestionVectors(2)
        return
    prefix = f"{uuid.uuid4().hex}:"
    redis = RedisConnection(RedisSettings(url=with_redis["REDIS_URL"], key_prefix=prefix))
    assert await redis.probe()
    yield shared(redis)
    await redis.aclose()


async def test_a_question_is_embedded_once_and_found_as_it_was(vectors: QuestionVectors) -> None:
    embedder = Counting()
    first = await vectors.find(embedder, "When do you open?")
    again = await vectors.find(embedder, "When do you open?")
    assert embedder.asked == 1
    assert first.dtype == again.dtype == np.float32
    assert np.array_equal(first, again)
    exact = await HashingEmbedder().embed_question("When do you open?")
    assert first @ exact == pytest.approx(1, abs=1e-3)
    assert vectors.found == {"embedder": 1, "process": 1}


async def test_each_embedder_has_its_own_vectors(vectors: QuestionVectors) -> None:
    one, other = Counting("one"), Counting("other")
    for embedder in (one, other, one, other):
        await vectors.find(embedder, "a")
    assert (one.asked, other.asked) == (1, 1)


async def test_any_text_is_a_question(vectors: QuestionVectors) -> None:
    for text in ("", "\x00", "\ud800", "😀" * 10_000, "a\r\nSET x"):
        await vectors.find(Counting(), text)


class Text(str):
    """A text of which one can tell whether something still holds it."""


async def test_a_question_itself_is_not_kept(vectors: QuestionVectors) -> None:
    embedder, question = Counting(), Text("When do you open? " * 5_000)
    await vectors.find(embedder, question)
    kept = weakref.ref(question)
    del question
    gc.collect()
    assert kept() is None
    await vectors.find(embedder, "When do you open? " * 5_000)
    assert embedder.asked == 1


async def test_a_process_keeps_the_last_used_questions() -> None:
    embedder, vectors = Counting(), ProcessQuestionVectors(2)
    for question in ("a1", "a1", "b1", "a1", "c1", "a1", "b1"):
        await vectors.find(embedder, question)
    assert embedder.asked == 4


async def test_a_process_may_keep_none() -> None:
    embedder, vectors = Counting(), ProcessQuestionVectors(0)
    for _ in range(3):
        await vectors.find(embedder, "a")
    assert embedder.asked == 3


async def test_processes_share_what_one_has_asked(redis: RedisConnection) -> None:
    embedder = Counting()
    first, second = shared(redis), shared(redis)
    for number in range(20):
        assert np.array_equal(
            await first.find(embedder, f"q{number}"), await second.find(embedder, f"q{number}")
        )
    assert embedder.asked == 20
    assert second.found == {"redis": 20}


async def test_places_in_redis_are_bounded_and_never_mixed_up(
    redis: RedisConnection, redis_server: RedisServer
) -> None:
    embedder, plain = Counting(), HashingEmbedder()
    for number in range(100):
        found = await shared(redis, limit=5).find(embedder, f"question {number % 20}")
        exact = await plain.embed_question(f"question {number % 20}")
        assert found @ exact == pytest.approx(1, abs=1e-3)
    assert redis_server.command("DBSIZE") <= 5 + 1  # and the marker
    key = redis_server.command("KEYS", "sb:question:*")[0]
    assert 0 < redis_server.command("TTL", key) <= 60


async def test_without_redis_every_process_keeps_its_own(
    redis: RedisConnection, redis_server: RedisServer
) -> None:
    embedder = Counting()
    first, second = shared(redis), shared(redis)
    await first.find(embedder, "a")
    redis_server.kill()
    await second.find(embedder, "a")
    await second.find(embedder, "a")
    await first.find(embedder, "a")
    assert embedder.asked == 2
    assert not redis.is_up
