"""``/api/jobs/{id}/stream``: a job as it goes on, for its site's server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from sitebrook.access.gate import Caller
from sitebrook.api.connection import ClientConnection, connection_of
from sitebrook.api.errors import to_reply
from sitebrook.api.http import ticker_of
from sitebrook.api.jobs import to_response
from sitebrook.api.log_streams import KEEP_ALIVE
from sitebrook.api.ticker import Ticker
from sitebrook.errors import RequestError
from sitebrook.jobs.following import follow
from sitebrook.jobs.job import Job
from sitebrook.jobs.listing import find_site_job
from sitebrook.parts import Parts

_HEADERS: Final = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
# How soon an open stream notices that the server stops.
_LOOK_S: Final = 0.5


@get(
    "/api/jobs/{job_id:str}/stream",
    summary="Watch a job",
    tags=["jobs"],
    media_type="text/event-stream",
)
async def stream_job(
    job_id: FromPath[str],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> Stream:
    """The job now, then again whenever its status or progress changes, until it has ended.

    Each event is the whole job, so who comes back needs no position. A failure in between is one
    event with `error`.
    """
    await find_site_job(parts.database, server.site.id, job_id)
    states = follow(parts.database, parts.events, server.site.id, job_id)
    watch = _SlowReader(connection_of(request.scope), parts.settings.server.slow_reader_s)
    frames = _watched(ticker_of(request.scope), watch, _to_frames(parts, states))
    return Stream(frames, headers=_HEADERS, media_type="text/event-stream")


@dataclass(frozen=True, slots=True, eq=False)
class _SlowReader:
    """Drops a client that reads nothing, as in the streams of answers."""

    connection: ClientConnection
    patience_s: float

    def tick(self, now: float) -> None:
        self.connection.drop_if_stuck(now, self.patience_s)


async def _watched(
    ticker: Ticker, watch: _SlowReader, frames: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    ticker.add(watch)
    try:
        async with aclosing(frames):
            async for frame in frames:
                yield frame
    finally:
        ticker.discard(watch)


async def _to_frames(parts: Parts, states: AsyncGenerator[Job]) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    async with aclosing(states):
        waiting = asyncio.ensure_future(anext(states))
        said_at = loop.time()
        try:
            while True:
                await asyncio.wait({waiting}, timeout=_LOOK_S)
                if waiting.done():
                    job = waiting.result()
                    waiting = asyncio.ensure_future(anext(states))
                    yield _to_frame(to_response(job))
                    said_at = loop.time()
                elif loop.time() - said_at >= parts.settings.server.keep_alive_s:
                    yield KEEP_ALIVE
                    said_at = loop.time()
                parts.open_answers.check_taken()
        except StopAsyncIteration:
            return
        except RequestError as error:
            yield _to_frame(to_reply(error).body)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})


def _to_frame(content: msgspec.Struct) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
