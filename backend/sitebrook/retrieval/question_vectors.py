"""The vectors of questions that were asked before, kept by each process and by all together."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import CommandRefused
from sitebrook.errors import RedisAway
from sitebrook.retrieval.embedder import Embedder, Vectors

_DIGEST_BYTES: Final = 32


class QuestionVectors(Protocol):
    """Finds the vector of a question, by the embedder when nobody has kept it."""

    @property
    def found(self) -> Mapping[str, int]:
        """How many were found in the ``process``, in ``redis``, and made by an ``embedder``."""
        ...

    async def find(self, embedder: Embedder, question: str) -> Vectors:
        """The question's vector in the precision of the stored ones. Raises what embedders do."""
        ...


class ProcessQuestionVectors:
    """The vectors of the last questions of this process; the oldest used goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._vectors: OrderedDict[tuple[str, bytes], Vectors] = OrderedDict()
        self.found: Counter[str] = Counter()

    async def find(self, embedder: Embedder, question: str) -> Vectors:
        """See ``QuestionVectors.find``."""
        digest = to_digest(question)
        vector = self.get(embedder.name, digest)
        if vector is None:
            vector = _rounded(await embedder.embed_question(question))
            self.found["embedder"] += 1
            self.keep(embedder.name, digest, vector)
        return vector

    def get(self, embedder: str, digest: bytes) -> Vectors | None:
        """The vector of the question with this digest, if it is kept here."""
        key = (embedder, digest)
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
            self.found["process"] += 1
        return vector

    def keep(self, embedder: str, digest: bytes, vector: Vectors) -> None:
        """Keeps it in place of the one that was not used for longest."""
        self._vectors[embedder, digest] = vector
        while len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)


class RedisQuestionVectors:
    """What this process keeps, and behind it what all processes keep in Redis.

    Redis has ``limit`` places for each embedder. A question's digest names its place and stands in
    it beside the vector; another question with the same place takes it over. So they are bounded
    without a list of them, whatever Redis evicts. While Redis is away it has nothing.
    """

    def __init__(
        self, redis: RedisConnection, local: ProcessQuestionVectors, *, limit: int, keep_s: float
    ) -> None:
        self._redis = redis
        self._local = local
        self._limit = limit
        self._keep_ms = int(keep_s * 1000)

    @property
    def found(self) -> Mapping[str, int]:
        """See ``QuestionVectors.found``."""
        return self._local.found

    async def find(self, embedder: Embedder, question: str) -> Vectors:
        """See ``QuestionVectors.find``."""
        digest = to_digest(question)
        vector = self._local.get(embedder.name, digest)
        if vector is not None:
            return vector
        place = int.from_bytes(digest[:8], "big") % self._limit
        key = self._redis.key("question", f"{embedder.name}:{place}")
        vector = await self._read(key, digest)
        if vector is None:
            vector = await self._local.find(embedder, question)
            await self._write(key, digest, vector)
        else:
            self._local.found["redis"] += 1
            self._local.keep(embedder.name, digest, vector)
        return vector

    async def _read(self, key: str, digest: bytes) -> Vectors | None:
        try:
            value: bytes | None = await self._redis.execute("GET", key)
        except (RedisAway, CommandRefused):
            return None
        if value is None or value[:_DIGEST_BYTES] != digest:
            return None
        return np.frombuffer(value, np.float16, offset=_DIGEST_BYTES).astype(np.float32)

    async def _write(self, key: str, digest: bytes, vector: Vectors) -> None:
        value = digest + vector.astype(np.float16).tobytes()
        try:
            await self._redis.execute("SET", key, value, "PX", self._keep_ms)
        except (RedisAway, CommandRefused):
            return


def to_digest(question: str) -> bytes:
    """What a question is kept under: 32 bytes, however long it is."""
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()


def _rounded(vector: Vectors) -> Vectors:
    """The vector as a stored one would be, so that a kept one finds the same passages."""
    return vector.astype(np.float16).astype(np.float32)
