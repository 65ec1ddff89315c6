"""Redis, for what several processes share: known to be there or not, and never waited for twice."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sitebrook.db.redis_commands import (
    Command,
    CommandRefused,
    RedisFacts,
    Script,
    ScriptCall,
    Value,
)
from sitebrook.errors import RedisAway
from sitebrook.settings import RedisSettings

if TYPE_CHECKING:
    from sitebrook.db.redis_client import Subscription

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.05
# Who was up for this long has recovered; who was not is asked less and less often.
_SETTLED_S: Final = 5.0


class RedisNews(enum.Enum):
    """What has happened to Redis, for those who keep something in it."""

    AWAY = "away"
    """It no longer answers, or takes no writes."""
    BACK = "back"
    """It answers again, or was restarted; what was written last may be missing."""
    EMPTIED = "emptied"
    """As BACK, or without having been away; nothing that was written is left."""


@dataclass(frozen=True, slots=True)
class RedisState:
    """Whether Redis can be used, since when, and if not, why."""

    is_up: bool
    since: datetime
    reason: str | None = None


class RedisConnection:
    """The connection to Redis and what is known of its state.

    While Redis is up every call waits ``timeout_s`` at most. The first that fails makes it down:
    calls are then refused at once, until ``run`` finds it there again. Calls raise RedisAway, or
    CommandRefused when the command is at fault. Keys of one call must share a hash tag, so that
    they are on one node of a cluster: ``key`` makes such.
    """

    def __init__(self, settings: RedisSettings) -> None:
        # Imported only here: most processes have no Redis, and the library is large.
        from sitebrook.db.redis_client import RedisClient

        self._client = RedisClient(settings)
        self._prefix = settings.key_prefix
        self._probe_s = settings.probe_s
        self._timeout_s = settings.timeout_s
        self.state = RedisState(is_up=False, since=datetime.now(UTC), reason="was not asked yet")
        self.faults = 0
        self._listeners: list[Callable[[RedisNews], None]] = []
        self._has_failed = asyncio.Event()
        self._was_asked = False
        self._up_at = 0.0
        self._short_ups = 0
        self._marker: bytes | None = None
        self._run_id: bytes | None = None

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was last asked."""
        return self.state.is_up

    def key(self, kind: str, tag: str, rest: str = "") -> str:
        """A key or channel; those with the same tag are on one node of a cluster."""
        return f"{self._prefix}{kind}:{{{tag}}}{rest}"

    def on_news(self, listener: Callable[[RedisNews], None]) -> None:
        """Calls ``listener`` with whatever happens from now on; it must not raise."""
        self._listeners.append(listener)

    async def execute(self, *command: Value) -> Any:
        """The answer to one command: bytes, a number, None or a list of these."""
        return await self._try(lambda: self._client.execute(command))

    async def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that are run together, by MULTI and EXEC."""
        return await self._try(lambda: self._client.execute_all(commands))

    async def run_script(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """What a Lua script returns for each of the calls, which are sent in one round trip.

        The keys of one call must be on one node of a cluster, those of different calls need not.
        """
        return await self._try(lambda: self._client.run_script(script, calls))

    async def read_facts(self, now: Callable[[], datetime]) -> RedisFacts:
        """What the server says about itself; ``now`` is this machine's clock."""
        return await self._try(lambda: self._client.read_facts(now))

    async def open_subscription(self) -> Subscription:
        """A connection of its own for Pub/Sub, which its caller closes."""
        return await self._try(self._client.open_subscription)

    async def probe(self) -> bool:
        """Whether Redis is there now; asks it, and sets the state."""
        was_asked, self._was_asked = self._was_asked, True
        try:
            marker, run_id = await self._client.probe(f"{self._prefix}marker", secrets.token_hex(8))
        except RedisAway as error:
            self._go_down(error.reason)
            return False
        except CommandRefused as error:
            self._go_down(f"refuses a simple command: {error}")
            return False
        news = self._compare(marker, run_id)
        if not self.is_up:
            self._go_up()
            if news is None and was_asked:
                news = RedisNews.BACK
        if news is not None:
            self._tell(news)
        return True

    async def run(self) -> None:
        """Keeps the state true until it is cancelled."""
        while True:
            if await self.probe():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._probe_s):
                        await self._has_failed.wait()
            if not self.is_up:
                self._client.close()
                await asyncio.sleep(
                    min(self._probe_s, _FIRST_PAUSE_S * 2 ** min(self._short_ups, 10))
                )

    async def aclose(self) -> None:
        """Closes the connection; subscriptions are their callers'."""
        self._client.close()

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        state = self.state
        if not state.is_up:
            raise RedisAway(reason=state.reason or "")
        try:
            return await call()
        except RedisAway as error:
            if self.state is state:  # else it has failed and come back since the call began
                self._go_down(error.reason)
            raise

    def _compare(self, marker: bytes, run_id: bytes | None) -> RedisNews | None:
        """What the marker and the run id tell; the marker is gone when everything else is."""
        known, self._marker = self._marker, marker
        known_run, self._run_id = self._run_id, run_id
        if known not in {None, marker}:
            return RedisNews.EMPTIED
        return RedisNews.BACK if known_run not in {None, run_id} else None

    def _go_up(self) -> None:
        self._up_at = asyncio.get_running_loop().time()
        self.state = RedisState(is_up=True, since=datetime.now(UTC))
        self._has_failed.clear()
        _LOG.info("Redis answers")

    def _go_down(self, reason: str) -> None:
        was_up = self.is_up
        now = asyncio.get_running_loop().time()
        settled = was_up and now - self._up_at >= _SETTLED_S
        self._short_ups = 0 if settled else self._short_ups + 1
        if not was_up and self.state.reason == reason:
            return
        self.state = RedisState(
            is_up=False, since=datetime.now(UTC) if was_up else self.state.since, reason=reason
        )
        self._has_failed.set()
        _LOG.warning("Redis cannot be used, each process goes on by itself", extra={"why": reason})
        if was_up:
            self.faults += 1
            self._tell(RedisNews.AWAY)

    def _tell(self, news: RedisNews) -> None:
        for listener in self._listeners:
            listener(news)
