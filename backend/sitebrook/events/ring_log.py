"""The event log of one process, in its memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import msgspec

from sitebrook.events.log import (
    Event,
    LostStream,
    check_stream,
    to_position,
    unknown_stream,
)
from sitebrook.events.ring import Ring, RingReader
from sitebrook.events.rings import Rings
from sitebrook.events.writer import RingWriter
from sitebrook.settings import EventSettings
from sitebrook.telemetry.metrics import EventFigures

_SWEEP_S: Final = 1.0


class RingLog:
    """An ``EventLog`` whose streams end with the process."""

    def __init__(
        self, settings: EventSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rings = Rings(settings.length, settings.memory_bytes)
        self._writers: dict[str, RingWriter] = {}
        self._heard_at: dict[str, float] = {}
        self._emitted = 0

    def writer(self, stream: str, attempt: int = 1, head: object = None) -> RingWriter:
        """Opens an attempt of a stream, in place of lower ones."""
        check_stream(stream)
        ring = self._rings.find(stream)
        if ring is not None and ring.attempt >= attempt:
            writer = RingWriter(ring, attempt, self)
            writer.fence()
            return writer
        before = self._writers.get(stream)
        if before is not None:
            before.fence()
        ring = self._rings.open(stream)
        ring.begin(attempt, msgspec.json.encode(head))
        writer = self._writers[stream] = RingWriter(ring, attempt, self)
        self._heard_at[stream] = self._clock()

        async def take_snapshot() -> Event | None:
            return writer.to_snapshot()

        ring.take_snapshot = take_snapshot
        return writer

    @contextlib.asynccontextmanager
    async def read(
        self, stream: str, after: str | None = None, *, follows: bool = False
    ) -> AsyncGenerator[RingReader]:
        """The events behind a position. Raises NotFound, InvalidRequest."""
        position = to_position(after)
        ring = self._find(stream, may_begin=follows)
        if ring.attempt:
            ring.check_reached(position)
        ring.readers += 1
        try:
            yield RingReader(ring, position, follows=follows)
        finally:
            ring.readers -= 1
            if not ring.attempt and not ring.readers:
                self._rings.drop(stream)

    async def cancel(self, stream: str) -> bool:
        """Whether the stream was running and its writer was told. Raises NotFound."""
        ring = self._find(stream)
        if ring.ending is None:
            self._writers[stream].cancel()
        return ring.ending is None

    def on_lost(self, listener: Callable[[LostStream], Awaitable[None]]) -> None:
        """Nothing: streams go with the process that writes them."""

    def figures(self) -> EventFigures:
        """What has been done."""
        return EventFigures(
            emitted=self._emitted, streams=len(self._writers), readers=self._rings.readers
        )

    def note(self, writer: RingWriter, event: Event) -> None:
        """Counts an event of a writer."""
        self._emitted += 1
        self._heard_at[writer.ring.stream] = self._clock()
        if event.is_last:
            self._writers.pop(writer.ring.stream, None)
            self._heard_at.pop(writer.ring.stream, None)
            self._rings.retire(writer.ring, self._clock() + self._settings.closed_expiry_s)

    async def run(self) -> None:
        """Forgets streams in time, until it is cancelled."""
        while True:
            self.sweep()
            await asyncio.sleep(_SWEEP_S)

    async def drain(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends what is running; nothing has to be written."""
        for writer in tuple(self._writers.values()):
            writer.abandon()

    def sweep(self) -> None:
        """Forgets what ended long ago, and gives up what was not heard of for long."""
        now = self._clock()
        self._rings.sweep(now)
        quiet_since = now - self._settings.running_expiry_s
        for stream, heard_at in tuple(self._heard_at.items()):
            if heard_at < quiet_since:
                self._writers[stream].abandon()

    def _find(self, stream: str, *, may_begin: bool = False) -> Ring:
        check_stream(stream)
        ring = self._rings.find(stream)
        if ring is None and may_begin:
            return self._rings.open(stream)
        if ring is None or not (ring.attempt or may_begin):
            raise unknown_stream()
        return ring
