"""The event log that processes share through Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import msgspec

from sitebrook.db.redis import RedisConnection, RedisNews
from sitebrook.db.redis_commands import CommandRefused
from sitebrook.errors import RedisAway
from sitebrook.events.flusher import Flusher
from sitebrook.events.hub import Hub
from sitebrook.events.leases import RENEWALS, Lease, LostListener, Registry, Watch
from sitebrook.events.log import (
    END,
    Event,
    check_stream,
    to_position,
    unknown_stream,
)
from sitebrook.events.ring import Ring, RingReader
from sitebrook.events.rings import Rings
from sitebrook.events.scripts import fields_of
from sitebrook.events.writer import RingWriter
from sitebrook.settings import EventSettings
from sitebrook.telemetry.metrics import EventFigures

_LOG: Final = logging.getLogger(__name__)
_STREAMS_AT_ONCE: Final = 500


class RedisLog:
    """An ``EventLog`` for any number of processes.

    What is written here is in this process's memory first, and its readers here read it there; it
    reaches Redis behind that, and through it the readers of other processes. While Redis is away
    only they wait. Make it inside the event loop that uses it; ``connection`` is kept up by others.
    """

    def __init__(self, connection: RedisConnection, settings: EventSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        owner = secrets.token_hex(8)
        self._registry = Registry(connection)
        self._rings = Rings(settings.length, settings.memory_bytes)
        self._writers: dict[str, RingWriter] = {}
        self._ended: list[str] = []
        self._is_registered = True
        self._lease = Lease(
            connection,
            owner,
            settings.lease_s,
            on_forgotten=self._check_all,
            on_cancel=self._cancel_own,
        )
        self._flusher = Flusher(connection, settings, owner, own=self._lease.add, on_end=self._end)
        self._hub = Hub(connection, settings, self._registry.cancels(owner), self._cancel_own)
        self._watch = Watch(connection, settings, owner, self._hub)
        connection.on_news(self._take_news)

    def writer(self, stream: str, attempt: int = 1, head: object = None) -> RingWriter:
        """Opens an attempt of a stream, in place of lower ones."""
        check_stream(stream)
        known = self._rings.find(stream) or self._hub.find(stream)
        if known is not None and known.attempt >= attempt:
            writer = RingWriter(known, attempt, self._flusher)
            writer.fence()
            return writer
        self._close_writer(stream)
        ring = self._rings.open(stream, self._hub.release(stream))
        ring.begin(attempt, msgspec.json.encode(head))
        writer = self._writers[stream] = RingWriter(ring, attempt, self._flusher)

        async def take_snapshot() -> Event | None:
            return writer.to_snapshot()

        ring.take_snapshot = take_snapshot
        self._flusher.add(writer)
        return writer

    @contextlib.asynccontextmanager
    async def read(
        self, stream: str, after: str | None = None, *, follows: bool = False
    ) -> AsyncGenerator[RingReader]:
        """The events behind a position. Raises NotFound, InvalidRequest, RedisAway."""
        position = to_position(after)
        check_stream(stream)
        ring = await self._find_here(stream)
        if ring is None:
            ring = await self._hub.attach(stream, position, waits=follows)
        else:
            ring.check_reached(position)
            ring.readers += 1
        try:
            yield RingReader(ring, position, follows=follows)
        finally:
            ring.readers -= 1

    async def cancel(self, stream: str) -> bool:
        """Whether the stream was running; its owner hears of it. Raises NotFound, RedisAway."""
        check_stream(stream)
        ring = await self._find_here(stream)
        if ring is not None:
            self._cancel_own(stream)
            return ring.ending is None
        key = fields_of(self._connection.key("ev", stream))
        owner, ending = await self._connection.execute("HMGET", key, "owner", "ending")
        while owner is None:
            if not await self._hub.wait_settled():
                raise unknown_stream()
            owner, ending = await self._connection.execute("HMGET", key, "owner", "ending")
        if ending is None:
            await self._lease.ask(owner.decode(), stream)
        return ending is None

    def on_lost(self, listener: LostListener) -> None:
        """Calls ``listener`` for streams whose process is gone, in one process at least once."""
        self._watch.on_lost(listener)

    def figures(self) -> EventFigures:
        """What has been done in this process, and how it is."""
        return EventFigures(
            emitted=self._flusher.emitted,
            entries=self._flusher.written_entries,
            streams=sum(not writer.is_over for writer in self._writers.values()),
            readers=self._rings.readers + self._hub.readers,
            lag_s=self._flusher.lag_s,
            is_degraded=not self._connection.is_up,
        )

    async def run(self) -> None:
        """Keeps Redis and this process in step until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._flusher.run())
            group.create_task(self._hub.run())
            group.create_task(self._keep_lease())
            group.create_task(self._keep_watch())

    async def drain(self, timeout_s: float) -> None:
        """Ends what is running; returns when Redis has it all, or after ``timeout_s``."""
        for writer in tuple(self._writers.values()):
            writer.abandon()
        if await self._flusher.clean(timeout_s):
            with contextlib.suppress(RedisAway):
                await self._lease.give_back()

    async def _find_here(self, stream: str) -> Ring | None:
        """The ring of a stream that is written here, or ended here as its last attempt."""
        ring = self._rings.find(stream)
        if ring is None or ring.ending is None or not self._connection.is_up:
            return ring
        key = fields_of(self._connection.key("ev", stream))
        with contextlib.suppress(RedisAway):
            attempt = await self._connection.execute("HGET", key, "attempt")
            if attempt is not None and int(attempt) > ring.attempt:
                self._move_out(ring)
        return self._rings.find(stream)

    def _close_writer(self, stream: str) -> None:
        writer = self._writers.pop(stream, None)
        if writer is not None:
            writer.fence()
            self._flusher.drop(writer)

    def _end(self, writer: RingWriter) -> None:
        """A writer's stream is in Redis to its end, or belongs to another process now."""
        ring = writer.ring
        if self._writers.get(ring.stream) is not writer:
            return
        del self._writers[ring.stream]
        self._ended.append(ring.stream)
        if not writer.is_fenced and ring.ending is not None and ring.ending.kind == END:
            self._rings.retire(ring, self._loop.time() + self._settings.closed_expiry_s)
        else:
            self._flusher.drop(writer)
            self._move_out(ring)

    def _move_out(self, ring: Ring) -> None:
        """What comes of this stream is written elsewhere."""
        self._rings.drop(ring.stream)
        if ring.readers:
            self._hub.adopt(ring)

    def _cancel_own(self, stream: str) -> None:
        writer = self._writers.get(stream)
        if writer is not None and not writer.is_over:
            writer.cancel()

    def _check_all(self) -> None:
        self._is_registered = False
        self._flusher.check_all()

    def _take_news(self, news: RedisNews) -> None:
        self._watch.forget()
        if news is not RedisNews.AWAY:
            self._check_all()

    async def _keep_lease(self) -> None:
        while True:
            await self._try(self._register)
            self._clean_up()
            await asyncio.sleep(self._settings.lease_s / RENEWALS)

    async def _keep_watch(self) -> None:
        """Looks after others; apart from the lease, since dealing with what they left may take."""
        while True:
            if not await self._try(self._watch.look):
                self._watch.forget()
            await asyncio.sleep(self._settings.lease_s / RENEWALS)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        if not self._connection.is_up:
            return False
        try:
            await work()
        except RedisAway:
            return False
        except CommandRefused as refusal:
            _LOG.error("Redis refuses what keeps streams: %s", refusal)
            return False
        return True

    async def _register(self) -> None:
        await self._lease.renew()
        if not self._is_registered:
            self._is_registered = True
            streams = list(self._writers)
            for start in range(0, len(streams), _STREAMS_AT_ONCE):
                await self._lease.add(streams[start : start + _STREAMS_AT_ONCE])
        ended, self._ended = self._ended, []
        try:
            await self._lease.remove([name for name in ended if name not in self._writers])
        except RedisAway:
            self._ended += ended
            raise

    def _clean_up(self) -> None:
        """Forgets what ended long ago, and gives up what was not heard of for long."""
        now = self._loop.time()
        self._rings.sweep(now)
        quiet_since = now - self._settings.running_expiry_s
        for copy in self._flusher.copies:
            writer = copy.writer
            if copy.is_finished and self._rings.find(writer.ring.stream) is not writer.ring:
                self._flusher.drop(writer)
            elif not writer.is_over and copy.dirty_at < quiet_since:
                writer.abandon()
