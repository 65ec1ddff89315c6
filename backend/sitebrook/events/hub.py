"""Streams that other processes write, each read once for all readers of this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from sitebrook.db.redis import RedisConnection, RedisNews
from sitebrook.db.redis_commands import CommandRefused
from sitebrook.errors import RedisAway
from sitebrook.events import entries
from sitebrook.events.log import END, Event, Position, unknown_stream
from sitebrook.events.replica import PAGE, Replica, to_missing
from sitebrook.events.ring import Ring
from sitebrook.events.scripts import fields_of, snapshot_of
from sitebrook.events.subscriber import Subscriber
from sitebrook.settings import EventSettings

_LOG: Final = logging.getLogger(__name__)
_RETRY_S: Final = 0.1
# A first read takes a few milliseconds; with a thousand others at once, a part of a second.
_LOAD_S: Final = 3.0
# A replica without readers is kept for clients that come back at once.
_LINGER_S: Final = 5.0
_LOADS_AT_ONCE: Final = 8
# Redis keeps entries, of which each has one event or several.
_EVENTS_OF_AN_ENTRY: Final = 10
# After a fault owners are given their lease and half of it again to write what is missing.
_LEASES: Final = 1.5
_META: Final = ("attempt", "owner", "head", "ending")


class Hub:
    """Keeps a replica of each stream that is read here, for as long as it is.

    Messages carry whole entries; what was missed is read from the stream. What comes on the
    channel ``control`` is handed to ``on_control``.
    """

    def __init__(
        self,
        connection: RedisConnection,
        settings: EventSettings,
        control: str,
        on_control: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._control = control
        self._on_control = on_control
        self._loop = asyncio.get_running_loop()
        self._subscriber = Subscriber(
            connection, settings.silence_s, on_heard=self._note_heard, on_message=self._note_message
        )
        self._subscriber.hear(control)
        self._replicas: dict[str, Replica] = {}
        self._channels: dict[str, Replica] = {}
        self._stale: dict[Replica, None] = {}
        self._has_stale = asyncio.Event()
        self._settled_at = 0.0
        self._away_at: float | None = None
        connection.on_news(self._take_news)

    @property
    def owners(self) -> set[str]:
        """The owners of streams that are followed and have not ended."""
        return {one.owner for one in self._replicas.values() if one.ring.ending is None} - {""}

    @property
    def readers(self) -> int:
        """Readers of all streams that are followed."""
        return sum(one.ring.readers for one in self._replicas.values())

    def running_of(self, owner: str) -> list[str]:
        """The streams of an owner that are followed and have not ended."""
        return [
            stream
            for stream, one in self._replicas.items()
            if one.owner == owner and one.ring.ending is None
        ]

    def find(self, stream: str) -> Ring | None:
        """The ring of a stream that is followed."""
        replica = self._replicas.get(stream)
        return None if replica is None else replica.ring

    def adopt(self, ring: Ring) -> None:
        """Follows a stream that was written here, and now may be elsewhere."""
        ring.held = float("inf")
        self._open(ring, Position(ring.attempt, ring.last)).is_there = True

    def release(self, stream: str) -> Ring | None:
        """The ring of a stream that from now on is written here, if it was followed."""
        replica = self._replicas.get(stream)
        if replica is not None:
            self._close(replica)
        return None if replica is None else replica.ring

    async def attach(self, stream: str, position: Position, *, waits: bool) -> Ring:
        """The ring of a stream, with what is behind the position; counts a reader of it.

        It is empty when a reader that ``waits`` is there before the stream. Raises NotFound,
        RedisAway, InvalidRequest for a position that is not reached in time.
        """
        replica = self._replicas.get(stream)
        if replica is None:
            length = self._settings.length * _EVENTS_OF_AN_ENTRY
            replica = self._open(Ring(stream, length), position)
        elif not replica.loaded.is_set():
            replica.base = min(replica.base, position)
        ring = replica.ring
        ring.readers += 1
        try:
            await self._wait_until_there(replica, waits=waits)
            if replica.is_there:
                await self._reach_back(replica, position)
                await self._reach(ring, position)
        except BaseException:
            ring.readers -= 1
            if not replica.is_there and not ring.readers:
                self._close(replica)
            raise
        return ring

    async def wait_settled(self) -> bool:
        """Whether Redis may lack what its owners will write again; waits a moment if so.

        Raises RedisAway.
        """
        # An emptied Redis looks like one in which the stream never was.
        if not await self._connection.probe():
            raise RedisAway(reason=self._connection.state.reason or "")
        if self._loop.time() >= self._settled_at:
            return False
        await asyncio.sleep(_RETRY_S)
        return True

    async def run(self) -> None:
        """Follows what is to be followed, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscriber.run())
            group.create_task(self._load_stale())
            group.create_task(self._tick())

    def _open(self, ring: Ring, base: Position) -> Replica:
        channel = self._connection.key("ev", ring.stream)
        replica = Replica(ring, channel, base)

        async def take_snapshot() -> Event | None:
            return await self._read_snapshot(replica)

        ring.take_snapshot = take_snapshot
        self._replicas[ring.stream] = self._channels[channel] = replica
        self._subscriber.hear(channel)
        return replica

    def _close(self, replica: Replica) -> None:
        self._subscriber.leave(replica.channel)
        self._replicas.pop(replica.ring.stream, None)
        self._channels.pop(replica.channel, None)
        self._stale.pop(replica, None)

    def _note_heard(self, channel: str) -> None:
        replica = self._channels.get(channel)
        if replica is not None:
            self._mark_stale(replica)

    def _note_message(self, channel: str, message: bytes) -> None:
        if channel == self._control:
            self._on_control(message.decode())
            return
        replica = self._channels.get(channel)
        if replica is not None:
            self._take(replica, lambda: replica.hear(message))

    def _take(self, replica: Replica, hear: Callable[[], bool]) -> None:
        """Lets the replica take messages; what does not continue it has to be read."""
        try:
            continues = hear()
        except msgspec.DecodeError as error:
            _LOG.error("a message cannot be read: %s", error)
            return
        if not continues:
            self._mark_stale(replica)

    def _mark_stale(self, replica: Replica) -> None:
        self._stale[replica] = None
        self._has_stale.set()

    def _take_news(self, news: RedisNews) -> None:
        now = self._loop.time()
        if news is RedisNews.AWAY:
            self._away_at = now
            for replica in self._replicas.values():
                replica.loaded.set()  # whoever waits for the first load need not
            return
        self._away_at = None
        self._settled_at = now + _LEASES * self._settings.lease_s
        for replica in self._replicas.values():
            self._mark_stale(replica)

    async def _wait_until_there(self, replica: Replica, *, waits: bool) -> None:
        if not self._connection.is_up and not replica.is_there:
            raise RedisAway(reason=self._connection.state.reason or "")
        try:
            async with asyncio.timeout(_LOAD_S):
                await replica.loaded.wait()
        except TimeoutError:
            raise RedisAway(
                reason=self._connection.state.reason or "did not tell of a stream"
            ) from None
        if not self._connection.is_up and not replica.is_there:
            raise RedisAway(reason=self._connection.state.reason or "")
        while not replica.is_there and not waits:
            if not await self.wait_settled():
                raise unknown_stream()
            self._mark_stale(replica)

    async def _reach_back(self, replica: Replica, position: Position) -> None:
        """Reads what lies between an earlier position and the first event that is here."""
        ring = replica.ring
        seq = position.seq if position.attempt == ring.attempt else 0
        if position.attempt not in {0, ring.attempt} or seq >= ring.first - 1:
            return
        attempt, first = ring.attempt, ring.first
        start, page = f"({attempt}-{seq}", [None]
        pages: list[Any] = []
        while page and not (pages and _seq_of(pages[-1]) >= first - 1):
            page = await self._read_page(replica, start)
            pages += page
            start = f"({pages[-1][0].decode()}" if pages else start
        if ring.attempt == attempt and (missing := to_missing(pages, seq, ring)):
            ring.prepend(missing)

    async def _reach(self, ring: Ring, position: Position) -> None:
        """Waits until the stream has come to the position, as far as it is allowed to be behind.

        A reader may come from the owner's process, which is ahead of what it has written to Redis.
        """

        def is_reached() -> bool:
            return position <= (ring.attempt, ring.last) or ring.ending is not None

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEASES * self._settings.lease_s):
                while not is_reached():
                    await ring.changed()
        has_ended = ring.ending is not None and ring.ending.kind == END
        if not is_reached() or has_ended or position.attempt > ring.attempt:
            ring.check_reached(position)

    async def _load_stale(self) -> None:
        while True:
            await self._has_stale.wait()
            batch = list(self._stale)[:_LOADS_AT_ONCE]
            for replica in batch:
                del self._stale[replica]
            if not self._stale:
                self._has_stale.clear()
            await asyncio.gather(*map(self._load, batch))

    async def _load(self, replica: Replica) -> None:
        """Reads what a replica has missed; when Redis is away, it is told to when it is back."""
        key = replica.channel
        replica.begin_loading()
        try:
            has_more = True
            while has_more:
                meta, last, page = await self._connection.execute_all(
                    [
                        ("HMGET", fields_of(key), *_META),
                        ("XREVRANGE", key, "+", "-", "COUNT", 1),
                        ("XRANGE", key, replica.start, "+", "COUNT", PAGE),
                    ]
                )
                has_more = replica.take(meta, last, page)
        except RedisAway:
            return
        except (CommandRefused, msgspec.DecodeError) as error:
            _LOG.error("a stream cannot be read: %s", error)
            replica.is_there = False
        finally:
            self._take(replica, replica.end_loading)
        replica.gone_at = None if replica.is_there else replica.gone_at or self._loop.time()
        replica.loaded.set()

    async def _read_page(self, replica: Replica, start: str) -> list[Any]:
        command = ("XRANGE", replica.channel, start, "+", "COUNT", PAGE)
        return cast("list[Any]", await self._connection.execute(*command))

    async def _read_snapshot(self, replica: Replica) -> Event | None:
        """What stands for all that is gone here, None when its writer never told."""
        while True:
            found = await self._connection.execute("GET", snapshot_of(replica.channel))
            snapshot = None if found is None else entries.decode_snapshot(found)
            if snapshot is not None and snapshot.seq >= replica.ring.first - 1:
                return snapshot
            if not await self.wait_settled():
                return None

    async def _tick(self) -> None:
        while True:
            now = self._loop.time()
            for replica in tuple(self._replicas.values()):
                self._look_after(replica, now)
            await asyncio.sleep(self._settings.lease_s / 5)

    def _look_after(self, replica: Replica, now: float) -> None:
        ring = replica.ring
        if ring.readers:
            replica.idle_at = None
        elif replica.idle_at is None:
            replica.idle_at = now
        elif now - replica.idle_at > _LINGER_S:
            self._close(replica)
            return
        if self._away_at is not None:
            if now - self._away_at > self._settings.outage_s:
                ring.fail(RedisAway(reason=self._connection.state.reason or ""))
                self._close(replica)
        elif replica.gone_at is not None and ring.attempt:
            if now - max(replica.gone_at, self._settled_at) > _LEASES * self._settings.lease_s:
                replica.lose()
                self._close(replica)
            else:
                self._mark_stale(replica)


def _seq_of(entry: Any) -> int:
    return int(entry[0].rpartition(b"-")[2])
