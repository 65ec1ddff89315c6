"""How fast sites of some sizes are searched and changed, and what streams feel of it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import uvloop
from sqlalchemy import text
from tests.bench.lateness import stream_for, worst
from tests.bench.processes import Meter
from tests.bench.report import Row, show
from tests.bench.synthetic_site import (
    DIMENSION,
    MadeChunk,
    Texts,
    draw_questions,
    make_vectors,
    percentile,
    store_site,
    tell,
)

from sitebrook.db.engine import Database
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.knowledge import NewChunk, NewDocument, replace_document
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.vector_indexes import tend_indexes
from sitebrook.settings import RetrievalSettings

SIZES = (1_000, 10_000, 100_000)
_WARM_UP = 100
_SEARCHES = 400
_UPDATES = 10
_AT_ONCE = 16
_CONCURRENT_S = 10.0
# What the kernel does for others than this process and the database stays below.
_DISTURBED = 0.2


class MadeVectors:
    """An embedder of questions that takes no time; its vectors say nothing."""

    name = f"made-{DIMENSION}"
    languages: frozenset[str] | None = None
    fixed_weight: float | None = None
    similarity_floor: float | None = None

    def __init__(self, near: Vectors) -> None:
        self._near = near

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([await self.embed_question(one) for one in texts])

    async def embed_question(self, question: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big")
        generator = np.random.default_rng(seed)
        vector = self._near[seed % len(self._near)] + 0.03 * generator.normal(size=DIMENSION)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    async def aclose(self) -> None:
        """Holds nothing open."""


@dataclass(slots=True)
class Speed:
    """What was measured at one size; milliseconds unless the name says otherwise."""

    chunks: int
    hybrid: list[float] = field(default_factory=list[float])
    search_cpu_ms: float = 0.0
    others: float = 0.0
    phases: dict[str, float] = field(default_factory=dict[str, float])
    load: float = 0.0
    vectors_s: float = 0.0
    vectors_mb: float = 0.0
    update: list[float] = field(default_factory=list[float])
    after_update: list[float] = field(default_factory=list[float])
    lag_alone: list[float] = field(default_factory=list[float])
    lag: list[float] = field(default_factory=list[float])
    searches_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Server:
    """The running database: its address and its first process."""

    url: str
    pid: int


def measure_searches(
    server: Server, sets: Sequence[JudgedSet], sizes: Sequence[int]
) -> list[Speed]:
    """A site of each size."""
    texts = Texts(sets)
    questions = [one for one, _ in draw_questions(sets, _SEARCHES)]
    results: list[Speed] = []
    for size in sizes:
        speed = Speed(size)
        tell(f"{size:,} chunks: made")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure_site(speed, server, list(texts.chunks(size)), questions))
        results.append(speed)
    return results


async def _measure_site(
    speed: Speed, server: Server, chunks: Sequence[MadeChunk], questions: Sequence[str]
) -> None:
    database = Database(server.url)
    try:
        vectors = make_vectors(len(chunks))
        embedder = MadeVectors(vectors)
        tell(f"{speed.chunks:,} chunks: stored")
        site = await store_site(database, f"{speed.chunks}", embedder.name, chunks, vectors)
        tell(f"{speed.chunks:,} chunks: index of the vectors")
        started = time.perf_counter()
        await tend_indexes(database)
        speed.vectors_s = time.perf_counter() - started
        speed.vectors_mb = await _size_of_indexes(database)
        searcher = Searcher(database, [embedder], RetrievalSettings())
        tell(f"{speed.chunks:,} chunks: searches")
        speed.load = await _search_ms(searcher, site, questions[0])
        for question in questions[:_WARM_UP]:  # what PostgreSQL reads from its files once
            await searcher.find(site, question)
        timings: list[dict[str, float]] = []
        # The texts made here are no garbage, and looking through them would stop the event loop.
        gc.collect()
        gc.freeze()
        meter, cpu_s = Meter(None, [server.pid]), time.process_time()
        for question in questions:
            started = time.perf_counter()
            found = await searcher.find(site, question)
            speed.hybrid.append((time.perf_counter() - started) * 1000)
            timings.append(dict(found.timings_ms))
        speed.search_cpu_ms = (time.process_time() - cpu_s) / len(questions) * 1000
        used = meter.read()
        speed.others = used.others_s / used.wall_s / (os.cpu_count() or 1)
        speed.phases = {
            name: statistics.median(one.get(name, 0.0) for one in timings) for name in timings[0]
        }
        await _measure_lag(speed, searcher, site, questions)
        await _measure_updates(speed, database, searcher, site, questions)
    finally:
        await database.aclose()


async def _measure_lag(
    speed: Speed, searcher: Searcher, site: str, questions: Sequence[str]
) -> None:
    """How late streams are that write each 20 ms: alone, and while 16 searches run at once."""
    speed.lag_alone = await stream_for(_CONCURRENT_S / 2)
    done = 0
    ends_at = time.perf_counter() + _CONCURRENT_S

    async def search(first: int) -> None:
        nonlocal done
        at = first
        while time.perf_counter() < ends_at:
            await searcher.find(site, questions[at % len(questions)])
            at += _AT_ONCE
            done += 1

    async with asyncio.TaskGroup() as group:
        for first in range(_AT_ONCE):
            group.create_task(search(first))
        speed.lag = await stream_for(_CONCURRENT_S)
    speed.searches_s = done / _CONCURRENT_S


async def _measure_updates(
    speed: Speed, database: Database, searcher: Searcher, site: str, questions: Sequence[str]
) -> None:
    """A document of ten chunks replaced again and again, and the first search after it."""
    embedder = MadeVectors(make_vectors(100))
    for number in range(_UPDATES):
        pieces = tuple(
            NewChunk((), f"Version {number} of part {at}. " + "Some words of it. " * 40, "en")
            for at in range(10)
        )
        body = "\n".join(piece.text for piece in pieces)
        sha256 = hashlib.sha256(body.encode()).digest()
        document = NewDocument("changed", "Changed", None, "en", body, sha256, pieces)
        made = await embedder.embed([piece.text for piece in pieces])
        started = time.perf_counter()
        await replace_document(database, Indexer(), site, document, {embedder.name: made})
        speed.update.append((time.perf_counter() - started) * 1000)
        speed.after_update.append(await _search_ms(searcher, site, questions[number]))


async def _search_ms(searcher: Searcher, site: str, question: str) -> float:
    started = time.perf_counter()
    await searcher.find(site, question)
    return (time.perf_counter() - started) * 1000


async def _size_of_indexes(database: Database) -> float:
    query = text(
        "SELECT coalesce(max(pg_relation_size(indexrelid)), 0) / 1e6 FROM pg_index"
        " JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = 'embedding'::regclass AND starts_with(relname, 'embedding_hnsw_')"
    )
    async with database.begin() as connection:
        return float((await connection.execute(query)).scalar_one())


def to_tables(results: Sequence[Speed]) -> list[str]:
    """A column for each size."""
    found: list[tuple[str, Callable[[Speed], str]]] = [
        ("whole search p50 / p99 ms", lambda one: _spread(one.hybrid)),
        ("processor ms of a search", lambda one: show(one.search_cpu_ms) if one.hybrid else "-"),
        ("other programs, share of cores", lambda one: show(one.others) if one.hybrid else "-"),
        ("first search of a process ms", lambda one: show(one.load) if one.load else "-"),
        ("document of 10 chunks replaced ms", lambda one: _spread(one.update)),
        ("first search after it ms", lambda one: _spread(one.after_update)),
        ("HNSW made s", lambda one: show(one.vectors_s) if one.vectors_mb else "-"),
        ("HNSW MB", lambda one: show(one.vectors_mb) if one.vectors_mb else "-"),
        ("searches/s, 16 at once", lambda one: show(one.searches_s) if one.lag else "-"),
        ("streams late alone p99 / max ms", lambda one: worst(one.lag_alone)),
        ("streams late p99 / max ms", lambda one: worst(one.lag)),
    ]
    lines = [f"  {'chunks':36}" + "".join(f"{one.chunks:>22,}" for one in results)]
    for name, cell in found:
        lines.append(f"  {name:36}" + "".join(f"{cell(one):>22}" for one in results))
    for one in results:
        if one.phases:
            phases = ", ".join(f"{name} {value:.1f}" for name, value in one.phases.items())
            lines.append(f"  phases of a search, {one.chunks:,} chunks, median ms: {phases}")
    if max((one.others for one in results), default=0) > _DISTURBED:
        lines.append("  Other programs took part of the cores: only ratios count.")
    return lines


def to_rows(results: Sequence[Speed]) -> list[Row]:
    """The targets, all at 100,000 chunks."""
    rows: list[Row] = []
    for one in results:
        if one.chunks != SIZES[-1]:
            continue
        p50, p99 = percentile(one.hybrid, 0.5), percentile(one.hybrid, 0.99)
        spread = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        target = "p50 <= 10 ms, p99 <= 40 ms"
        reached = p50 <= 10 and p99 <= 40
        rows.append(Row("whole search without embedding, 100k chunks", spread, target, reached))
        worst = max(one.lag)
        late = f"{worst:.1f} ms (alone {max(one.lag_alone):.1f})"
        rows.append(Row("streams late at most, 16 searches at once", late, "<= 20 ms", worst <= 20))
    return rows


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{percentile(values, 0.5):.2f} / {percentile(values, 0.99):.2f}"
