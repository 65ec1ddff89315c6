"""What streams of a server feel while it takes documents in, beside its children."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import uvloop
from sqlalchemy import text
from tests.bench.lateness import stream_for, stream_until, worst
from tests.bench.report import Row
from tests.bench.synthetic_site import Texts, tell, to_indexed
from tests.factories import make_site

from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.reindexing import reindex
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.retrieval.stored_postings import Scope, join_step, list_steps, write_postings
from sitebrook.settings import Settings

_ALONE_S = 3.0
_AT_ONCE = 4
_LONG_CHARACTERS = 400_000
_JOINED_ROWS = 4
_JOINED_CHUNKS = 16_384
_MOST_LATE_MS = 20.0


@dataclass(slots=True)
class Lag:
    """Milliseconds by which deltas were late, by what the process did meanwhile."""

    late: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


def measure_lag(url: str, sets: Sequence[JudgedSet], documents: int) -> Lag:
    """So many documents of ten chunks, a long one, a join and re-indexing, one after the other."""
    lag = Lag()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(url, Texts(sets), lag).measure(documents))
    return lag


class _Server:
    """What ``wiring`` would build of one, as far as documents need it."""

    def __init__(self, url: str, texts: Texts, lag: Lag) -> None:
        settings = Settings()
        self._texts, self._lag = texts, lag
        self._database = Database(url)
        self._pool = ComputePool(settings.compute)
        self._indexer = Indexer(self._pool)
        embedders = SiteEmbedders(self._database, HashingEmbedder(self._pool))
        reader = Reader(self._pool, settings)
        self._ingester = Ingester(self._database, embedders.find, reader, self._indexer, settings)

    async def measure(self, documents: int) -> None:
        try:
            self._lag.late["alone"] = await stream_for(_ALONE_S)
            site = await make_site(self._database, name="lag")
            pages = [RawDocument(f"{at}.md", one) for at, one in enumerate(self._pages(documents))]
            long = "\n\n".join(self._pages(_LONG_CHARACTERS // 8_000))
            gc.collect()
            gc.freeze()

            async def take_in(first: int) -> None:
                for page in pages[first::_AT_ONCE]:
                    await self._ingester.ingest_document(site, page)

            async def take_in_all() -> None:
                await asyncio.gather(*map(take_in, range(_AT_ONCE)))

            await self._watch(f"{documents:,} documents, {_AT_ONCE} at once", take_in_all)
            await self._watch(
                f"a document of {len(long):,} characters",
                lambda: self._ingester.ingest_document(site, RawDocument("long.md", long)),
            )
            await self._forget_postings(site.id)
            await self._watch(
                "their postings made anew", lambda: reindex(self._database, self._indexer, site.id)
            )
            await self._measure_join()
        finally:
            await self._pool.aclose()
            await self._database.aclose()

    async def _measure_join(self) -> None:
        """Rows of real words, joined as the job does it."""
        scope = Scope((await make_site(self._database, name="joined")).id)
        tell("rows to be joined: made")
        for at in range(_JOINED_ROWS):
            chunks = list(self._texts.chunks(_JOINED_CHUNKS, seed=at))
            (made,) = to_indexed(chunks, scope.site_id)
            async with self._database.begin() as connection:
                await write_postings(connection, scope, made.moved(at * _JOINED_CHUNKS, []))
        (step,) = await list_steps(self._database, scope)
        await self._watch(
            f"a join of {step.chunks:,} chunks",
            lambda: join_step(self._database, self._indexer, step),
        )

    async def _watch(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        tell(f"streams during {what}")
        working = asyncio.ensure_future(work())
        self._lag.late[what] = await stream_until(working.done)
        await working

    async def _forget_postings(self, site_id: str) -> None:
        async with self._database.begin() as connection:
            for statement in (
                "DELETE FROM postings WHERE site_id = :site",
                "UPDATE knowledge SET keyword_version = -1 WHERE site_id = :site",
            ):
                await connection.execute(text(statement), {"site": site_id})

    def _pages(self, count: int) -> Iterator[str]:
        """Pages of ten chunks."""
        chunks = list(self._texts.chunks(count * 10, seed=7))
        for at in range(0, len(chunks), 10):
            part = chunks[at : at + 10]
            yield f"# {part[0].title}\n\n" + "\n\n".join(one.text for one in part)


def to_tables(lag: Lag) -> list[str]:
    """A line for each thing that was done."""
    lines = ["  streams late p99 / max ms while the server takes documents in, keyless"]
    return lines + [f"    {what:48}{worst(late):>16}" for what, late in lag.late.items()]


def to_rows(lag: Lag) -> list[Row]:
    """The target: no delta is later than 20 ms."""
    alone = max(lag.late["alone"])
    latest = {what: max(late) for what, late in lag.late.items() if what != "alone"}
    what = max(latest, key=lambda name: latest[name])
    value = f"{latest[what]:.1f} ms (alone {alone:.1f})"
    name = f"streams late at most: {what}"
    return [Row(name, value, f"<= {_MOST_LATE_MS:g} ms", latest[what] <= _MOST_LATE_MS)]
