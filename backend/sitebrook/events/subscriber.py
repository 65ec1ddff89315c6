"""The channels that a process hears, over one connection to Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sitebrook.db.redis import RedisConnection
from sitebrook.errors import RedisAway

if TYPE_CHECKING:
    from sitebrook.db.redis_client import Subscription

_AWAY_PAUSE_S: Final = 0.1
_PONG_S: Final = 1.0
# A command names so many channels at most.
_MOST_CHANNELS: Final = 500
# A full buffer holds hundreds of messages; others run in between.
_MESSAGES_AT_ONCE: Final = 50


class Subscriber:
    """Hears channels, again after each loss of the connection.

    ``on_heard`` is called when a channel is heard from now on: what was said before may have been
    missed. ``on_message`` is called with a channel and what is said there.
    """

    def __init__(
        self,
        connection: RedisConnection,
        silence_s: float,
        *,
        on_heard: Callable[[str], None],
        on_message: Callable[[str, bytes], None],
    ) -> None:
        self._connection = connection
        self._silence_s = silence_s
        self._on_heard = on_heard
        self._on_message = on_message
        self._channels: set[str] = set()
        self._changes: dict[str, str] = {}
        self._has_changes = asyncio.Event()

    def hear(self, channel: str) -> None:
        """Begins to hear a channel."""
        self._channels.add(channel)
        self._change(channel, "SUBSCRIBE")

    def leave(self, channel: str) -> None:
        """Hears it no more."""
        self._channels.discard(channel)
        self._change(channel, "UNSUBSCRIBE")

    async def run(self) -> None:
        """Hears what there is to hear until it is cancelled."""
        while True:
            if self._connection.is_up:
                with contextlib.suppress(RedisAway):
                    await self._follow()
            await asyncio.sleep(_AWAY_PAUSE_S)

    def _change(self, channel: str, command: str) -> None:
        self._changes[channel] = command
        self._has_changes.set()

    async def _follow(self) -> None:
        subscription = await self._connection.open_subscription()
        telling = asyncio.create_task(self._tell(subscription))
        try:
            for channel in self._channels:
                self._change(channel, "SUBSCRIBE")
            await self._listen(subscription)
        finally:
            telling.cancel()
            await asyncio.wait({telling})
            await subscription.aclose()

    async def _tell(self, subscription: Subscription) -> None:
        """Sends which channels are to be heard; ends when it cannot, as reading then does."""
        with contextlib.suppress(RedisAway):
            while True:
                await self._has_changes.wait()
                self._has_changes.clear()
                changes, self._changes = self._changes, {}
                for command in ("SUBSCRIBE", "UNSUBSCRIBE"):
                    channels = [name for name, change in changes.items() if change == command]
                    for start in range(0, len(channels), _MOST_CHANNELS):
                        part = channels[start : start + _MOST_CHANNELS]
                        await subscription.send(command, *part)

    async def _listen(self, subscription: Subscription) -> None:
        count = 0
        while True:
            message = await subscription.read(self._silence_s)
            if message is None:
                await subscription.send("PING")
                message = await subscription.read(_PONG_S)
                if message is None:
                    return
            kind = message[0]
            if kind == b"message":
                self._on_message(message[1].decode(), message[2])
            elif kind == b"subscribe":
                self._on_heard(message[1].decode())
            count += 1
            if count % _MESSAGES_AT_ONCE == 0:
                await asyncio.sleep(0)
