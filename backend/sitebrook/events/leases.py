"""Who owns running streams, and what becomes of those whose owner is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from sitebrook.db.redis import RedisConnection
from sitebrook.errors import RedisAway, SitebrookError, Unavailable
from sitebrook.events.log import LostStream
from sitebrook.events.scripts import HOLD, LAST_SEQ, MARK_LOST
from sitebrook.settings import EventSettings

_LOG: Final = logging.getLogger(__name__)
RENEWALS: Final = 5
"""A lease is renewed so many times before it is over."""
# Its key lives for this share of it; for the rest the owner has to stay away as well, so that one
# look at a moment when keys were lost does not count.
_KEY_SHARE: Final = 0.6
_REGISTER_S: Final = 86_400
_PAGE: Final = 100
_CANCELS_AT_ONCE: Final = 100
_ASKED_S: Final = 60
_SWEEP_LOCK_S: Final = 10

LostListener = Callable[[LostStream], Awaitable[None]]


class Registry:
    """The keys about owners; they share a hash tag, so that one call may take several."""

    def __init__(self, connection: RedisConnection) -> None:
        self.owners = connection.key("ev", "owners")
        self.sweep = connection.key("ev", "owners", ":sweep")

    def lease(self, owner: str) -> str:
        """Lives as long as its owner."""
        return f"{self.owners}:{owner}"

    def streams(self, owner: str) -> str:
        """The set of streams that an owner has running."""
        return f"{self.owners}:{owner}:streams"

    def cancels(self, owner: str) -> str:
        """The list of streams that are to end; also the channel on which that is said."""
        return f"{self.owners}:{owner}:cancel"


class Lease:
    """What tells others that this process lives.

    ``on_forgotten`` is called when Redis no longer knew it; ``on_cancel`` with the names of streams
    that are to end.
    """

    def __init__(
        self,
        connection: RedisConnection,
        owner: str,
        lease_s: float,
        *,
        on_forgotten: Callable[[], None],
        on_cancel: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._lives_ms = max(1, int(lease_s * _KEY_SHARE * 1000))
        self._registry = Registry(connection)
        self._on_forgotten = on_forgotten
        self._on_cancel = on_cancel
        self._is_known = False
        self._is_given_back = False
        self._renewing = asyncio.Lock()

    async def renew(self) -> None:
        """Says that the owner lives, and hears what it is asked. Raises RedisAway."""
        async with self._renewing:
            if self._is_given_back:
                return
            before, cancels = await self._renew()
        was_known, self._is_known = self._is_known, True
        if before is None and was_known:
            self._on_forgotten()
        for stream in cancels or ():
            self._on_cancel(stream.decode())

    async def _renew(self) -> tuple[bytes | None, list[bytes] | None]:
        """The lease that there was, and the streams that are to end."""
        registry, owner = self._registry, self._owner
        before, _, _, cancels = await self._connection.execute_all(
            [
                ("SET", registry.lease(owner), 1, "PX", self._lives_ms, "GET"),
                ("SADD", registry.owners, owner),
                ("EXPIRE", registry.owners, _REGISTER_S),
                ("LPOP", registry.cancels(owner), _CANCELS_AT_ONCE),
            ]
        )
        return before, cancels

    async def add(self, streams: Sequence[str]) -> None:
        """Registers streams that this owner begins. Raises RedisAway."""
        key = self._registry.streams(self._owner)
        await self._connection.execute_all([("SADD", key, *streams), ("EXPIRE", key, _REGISTER_S)])

    async def remove(self, streams: Sequence[str]) -> None:
        """Takes out streams that have ended. Raises RedisAway."""
        if streams:
            await self._connection.execute("SREM", self._registry.streams(self._owner), *streams)

    async def ask(self, owner: str, stream: str) -> None:
        """Asks another owner to end a stream; it hears that with its next renewal at the latest."""
        key = self._registry.cancels(owner)
        await self._connection.execute_all(
            [("RPUSH", key, stream), ("EXPIRE", key, _ASKED_S), ("PUBLISH", key, stream)]
        )

    async def give_back(self) -> None:
        """Leaves nothing behind for others to find, now or later. Raises RedisAway."""
        registry, owner = self._registry, self._owner
        keys = registry.lease(owner), registry.streams(owner), registry.cancels(owner)
        async with self._renewing:  # one under way would register the owner again
            self._is_given_back = True
            await self._connection.execute_all(
                [
                    ("DEL", *keys),
                    ("SREM", registry.owners, owner),
                ]
            )


class Followed(Protocol):
    """The streams of other processes that are read here."""

    @property
    def owners(self) -> set[str]:
        """The owners of those that have not ended."""
        ...

    def running_of(self, owner: str) -> list[str]:
        """The streams of an owner that have not ended."""
        ...


class Watch:
    """Finds owners that are gone, and ends what they left behind."""

    def __init__(
        self,
        connection: RedisConnection,
        settings: EventSettings,
        own: str,
        followed: Followed,
    ) -> None:
        self._connection = connection
        self._registry = Registry(connection)
        self._own = own
        self._followed = followed
        self._confirm_s = settings.lease_s * (1 - _KEY_SHARE)
        self._lives_ms = int(settings.closed_expiry_s * 1000)
        self._absent: dict[str, float] = {}
        self._listeners: list[LostListener] = []
        self._loop = asyncio.get_running_loop()

    def on_lost(self, listener: LostListener) -> None:
        """Calls ``listener`` with streams whose owner is gone."""
        self._listeners.append(listener)

    def forget(self) -> None:
        """Begins anew to watch: what Redis held may have been lost."""
        self._absent.clear()

    async def look(self) -> None:
        """Ends what owners left behind that were absent for long enough. Raises RedisAway."""
        registered = await self._connection.execute("SMEMBERS", self._registry.owners)
        found = {one.decode() for one in registered} | self._followed.owners
        owners = sorted(found - {self._own})
        if not owners:
            return
        leases = await self._connection.execute("MGET", *map(self._registry.lease, owners))
        now = self._loop.time()
        absent = [owner for owner, lease in zip(owners, leases, strict=True) if lease is None]
        self._absent = {owner: self._absent.get(owner, now) for owner in absent}
        for owner, since in tuple(self._absent.items()):
            if now - since < self._confirm_s:
                continue
            # Dealing with the one before may have taken a while.
            if await self._connection.execute("GET", self._registry.lease(owner)) is None:
                await self._sweep(owner)

    async def _sweep(self, owner: str) -> None:
        for stream in self._followed.running_of(owner):
            await self._mark(owner, stream)
        if not self._listeners:
            return  # others are told what is lost, and do something about it
        lock = ("SET", self._registry.sweep, self._own, "NX", "EX", _SWEEP_LOCK_S)
        if not await self._connection.execute(*lock):
            return
        key = self._registry.streams(owner)
        try:
            is_left = False
            while not is_left and (
                page := await self._connection.execute("SRANDMEMBER", key, _PAGE)
            ):
                done = [name for name in page if await self._lose(owner, name.decode())]
                is_left = not done
                if done:
                    await self._connection.execute("SREM", key, *done)
                if not await self._hold_sweep(_SWEEP_LOCK_S):
                    return  # it took so long that another process goes on
            if not is_left:
                await self._connection.execute("SREM", self._registry.owners, owner)
                _LOG.warning("a process is gone, its streams were ended", extra={"owner": owner})
        finally:
            with contextlib.suppress(RedisAway):
                await self._hold_sweep(0)

    async def _hold_sweep(self, seconds: int) -> bool:
        """Whether the lock was still this process's; it stays so long from now on."""
        call = [self._registry.sweep], [self._own, seconds]
        (held,) = await self._connection.run_script(HOLD, [call])
        return bool(held)

    async def _lose(self, owner: str, stream: str) -> bool:
        """Whether everyone who has to do something about the stream has done it."""
        lost = await self._mark(owner, stream)
        if lost is None:
            return True
        try:
            for listener in self._listeners:
                await listener(lost)
        except Unavailable as error:
            _LOG.warning("a lost stream waits to be dealt with: %s", error)
            return False
        except SitebrookError as error:
            _LOG.error("a lost stream cannot be dealt with: %s", error)
        return True

    async def _mark(self, owner: str, stream: str) -> LostStream | None:
        call = [self._connection.key("ev", stream)], (owner, LAST_SEQ, self._lives_ms)
        found: list[Any] | None
        (found,) = await self._connection.run_script(MARK_LOST, [call])
        if found is None:
            return None
        return LostStream(stream, int(found[0]), msgspec.json.decode(found[1]))
