"""A provider that gives a bounded number of answers at once, so that a slow one cannot take all."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from sitebrook.providers import faults
from sitebrook.providers.protocol import Provider, ProviderRequest, ProviderStream, StreamEnd
from sitebrook.providers.wrapper import ProviderWrapper


class Slots:
    """A number of slots and a queue, in order of arrival, of at most as many who wait for one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def free(self) -> int:
        """How many can be taken at once."""
        return self._free

    async def take(self, wait_s: float) -> bool:
        """Whether a slot was had within the time; who had one must ``give_back`` it once."""
        if self._free:
            self._free -= 1
            return True
        if wait_s <= 0 or len(self._waiting) >= self._count:
            return False
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(wait_s, _give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # The slot may have come in the same turn of the loop as the cancellation.
            if not waiter.cancelled() and waiter.result():
                self.give_back()
            raise
        finally:
            timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def give_back(self) -> None:
        """The slot is the next one's who waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                return
        self._free += 1


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class BoundedProvider(ProviderWrapper):
    """At most ``max_concurrency`` streams at once; a slot is free again when its stream is over."""

    def __init__(self, provider: Provider, *, max_concurrency: int, queue_timeout_s: float) -> None:
        super().__init__(provider)
        self._slots = Slots(max_concurrency)
        self._queue_timeout_s = queue_timeout_s

    async def open(self, request: ProviderRequest) -> ProviderStream:
        """A stream of the provider; see ``Provider.open``.

        Raises ProviderNotAsked when no slot becomes free in time.
        """
        wait_s = min(self._queue_timeout_s, request.start_by - time.monotonic())
        if not await self._slots.take(wait_s):
            raise faults.busy(self.name)
        try:
            stream = await self._provider.open(request)
        except BaseException:
            self._slots.give_back()
            raise
        stream.on_end(self._free)
        return stream

    def _free(self, _: StreamEnd) -> None:
        self._slots.give_back()
