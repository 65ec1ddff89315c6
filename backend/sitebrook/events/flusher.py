"""Writes the streams of this process to Redis, all that have changed in one go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import CommandRefused, Value
from sitebrook.errors import RedisAway
from sitebrook.events import entries
from sitebrook.events.log import DELTA, END, LOST, Event
from sitebrook.events.scripts import APPEND, FENCED, HEARD, LAST_SEQ
from sitebrook.events.writer import RingWriter
from sitebrook.settings import EventSettings

_LOG: Final = logging.getLogger(__name__)
# In one call: reading an answer for each stream costs as much as all the rest. Redis does nothing
# else meanwhile, about half a millisecond.
_MOST_STREAMS: Final = 64
_ENDINGS: Final = {END: "end", LOST: "lost"}
_AWAY_PAUSE_S: Final = 0.1
# A stream that no other process reads is written so many times less often.
_UNHEARD_TIMES: Final = 5
_TOUCHES: Final = 4  # a time to live is renewed so many times before it is over


@dataclass(slots=True, eq=False)
class Copy:
    """How much of a writer's stream is in Redis.

    ``written`` is the number of its last event that is there; ``is_begun`` is false when the
    attempt has to be written anew; ``is_heard`` tells whether another process reads it.
    """

    writer: RingWriter
    key: str
    written: int = 0
    is_begun: bool = False
    is_heard: bool = False
    is_finished: bool = False
    entries: int = 0
    summed_at: float = 0.0
    summed_entries: int = 0
    touched_at: float = 0.0
    dirty_at: float = 0.0


class Flusher:
    """Keeps Redis in step with the rings of running streams.

    Each call says which entry must be the last one there, so whatever happened to Redis (emptied,
    restarted from an older state, an answer that got lost) is seen by the next write and mended
    from the ring. ``own`` registers streams before they are first written, ``on_end`` is told when
    a stream is written whole, or fenced.
    """

    def __init__(
        self,
        connection: RedisConnection,
        settings: EventSettings,
        owner: str,
        *,
        own: Callable[[Sequence[str]], Awaitable[None]],
        on_end: Callable[[RingWriter], None],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._owner = owner
        self._own = own
        self._on_end = on_end
        self._touch_s = settings.running_expiry_s / _TOUCHES
        # Longer than its owner keeps a quiet stream, by what a renewal may be late.
        self._lives_ms = int((settings.running_expiry_s + self._touch_s) * 1000)
        self._copies: dict[RingWriter, Copy] = {}
        self._dirty: dict[Copy, None] = {}
        self._in_flight: list[Copy] = []
        self._is_due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = math.inf
        self._is_clean = asyncio.Event()
        self._is_clean.set()
        self._loop = asyncio.get_running_loop()
        self._round_at = 0.0
        self.emitted = 0
        self.written_entries = 0

    @property
    def copies(self) -> list[Copy]:
        """The streams that are kept in step."""
        return list(self._copies.values())

    @property
    def lag_s(self) -> float:
        """The age of the oldest event that is not in Redis."""
        waiting = [copy.dirty_at for copy in (*self._dirty, *self._in_flight)]
        return max(0.0, self._loop.time() - min(waiting)) if waiting else 0.0

    def add(self, writer: RingWriter) -> None:
        """Begins to copy a writer's stream."""
        copy = self._copies[writer] = Copy(writer, self._connection.key("ev", writer.ring.stream))
        writer.ring.held = 0
        self._mark(copy, is_urgent=True)

    def drop(self, writer: RingWriter) -> None:
        """Forgets a stream."""
        copy = self._copies.pop(writer, None)
        if copy is not None:
            self._dirty.pop(copy, None)

    def note(self, writer: RingWriter, event: Event) -> None:
        """An event was added; a delta may wait, the first one and others do not."""
        self.emitted += 1
        self._mark(self._copies[writer], is_urgent=event.kind != DELTA or event.seq == 1)

    def check_all(self) -> None:
        """Looks soon whether Redis still has what was written."""
        for copy in self._copies.values():
            self._mark(copy, is_urgent=True)

    async def clean(self, timeout_s: float) -> bool:
        """Whether everything is in Redis, now or within the time."""
        self._is_due.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_clean.wait()
        return self._is_clean.is_set()

    async def run(self) -> None:
        """Writes what changes: what is urgent at once, the rest with it or every so often."""
        while True:
            await self._is_due.wait()
            if not self._connection.is_up:
                await asyncio.sleep(_AWAY_PAUSE_S)
                continue
            with contextlib.suppress(RedisAway):
                await self._flush()

    def _mark(self, copy: Copy, *, is_urgent: bool) -> None:
        if copy not in self._dirty:
            self._dirty[copy] = None
            copy.dirty_at = self._loop.time()
            self._is_clean.clear()
            times = 1 if copy.is_heard else _UNHEARD_TIMES
            self._plan(self._round_at + times * self._settings.coalesce_s)
        if is_urgent:
            self._is_due.set()

    def _plan(self, due_at: float) -> None:
        if due_at < self._due_at:
            if self._timer is not None:
                self._timer.cancel()
            self._due_at = due_at
            self._timer = self._loop.call_at(due_at, self._is_due.set)

    async def _flush(self) -> None:
        self._round_at = self._loop.time()
        self._due_at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_due.clear()
        dirty, self._dirty = self._dirty, {}
        todo = self._in_flight = list(dirty)
        try:
            while todo:
                await self._write(todo[:_MOST_STREAMS])
                del todo[:_MOST_STREAMS]
        finally:
            self._in_flight = []
            if todo:  # the oldest stay first
                self._dirty = {**dict.fromkeys(todo), **self._dirty}
                self._is_due.set()
        if not self._dirty:
            self._is_clean.set()

    async def _write(self, copies: list[Copy]) -> None:
        """Writes these; what cannot be written alone either is given up."""
        begun = [copy.writer.ring.stream for copy in copies if not copy.is_begun]
        try:
            if begun:
                await self._own(begun)
            results = await self._send(copies)
        except CommandRefused as refusal:
            if len(copies) == 1:
                _LOG.error("a stream cannot be written: %s", refusal)
                self._fence(copies[0])
                return
            for copy in copies:
                await self._write([copy])
            return
        for copy, (last, count, result) in zip(copies, results, strict=True):
            self.written_entries += count
            self._settle(copy, last, result)

    async def _send(self, copies: list[Copy]) -> list[tuple[int, int, bytes]]:
        """For each the last number that was sent, the number of entries, and Redis's answer."""
        now = self._loop.time()
        arguments: list[Value] = [self._owner, self._settings.length, self._lives_ms]
        counts = [self._add_arguments(copy, now, arguments) for copy in copies]
        lasts = [copy.writer.ring.last for copy in copies]
        call = [copy.key for copy in copies], arguments
        (answers,) = await self._connection.run_script(APPEND, [call])
        return list(zip(lasts, counts, answers, strict=True))

    def _add_arguments(self, copy: Copy, now: float, arguments: list[Value]) -> int:
        """How many entries of the copy were added to the script's arguments."""
        writer = copy.writer
        ring = writer.ring
        if ring.first > copy.written + 1:
            # Events left the ring before they were written: only a snapshot can tell of them.
            copy.is_begun, copy.written = False, ring.first - 1
        parts = entries.split(ring.after(copy.written))
        is_known = copy.written and copy.is_begun
        before = f"{writer.attempt}-{copy.written}" if is_known else ""
        arguments += (writer.attempt, before, len(parts))
        for part in parts:
            arguments += (part[-1].position, entries.encode(part))
        snapshot = self._sum_up(copy, len(parts), now)
        lives_ms = self._touch(copy, now, has_ended=ring.ending is not None)
        if snapshot or lives_ms or not copy.is_begun:
            head = b"" if copy.is_begun else ring.head
            ending = "" if ring.ending is None else _ENDINGS[ring.ending.kind]
            arguments += (1, head, snapshot, ending, lives_ms)
        else:
            arguments.append(0)
        return len(parts)

    def _sum_up(self, copy: Copy, new: int, now: float) -> bytes:
        """A snapshot where one is due: Redis lacks the beginning, or soon will."""
        copy.entries += new
        half = self._settings.length // 2
        lacks_beginning = not copy.is_begun and copy.written > 0
        if not lacks_beginning:
            since = copy.entries - copy.summed_entries
            is_old = since > 0 and now - copy.summed_at >= self._settings.snapshot_s
            if copy.entries < half or not (is_old or since >= half):
                return b""
        snapshot = copy.writer.to_snapshot()
        copy.summed_at, copy.summed_entries = now, copy.entries
        return b"" if snapshot is None else entries.encode_snapshot(snapshot)

    def _touch(self, copy: Copy, now: float, *, has_ended: bool) -> int:
        """The milliseconds that the stream lives from now on, 0 to leave them as they are."""
        if has_ended:
            return int(self._settings.closed_expiry_s * 1000)
        if copy.written and copy.is_begun and now - copy.touched_at < self._touch_s:
            return 0
        copy.touched_at = now
        return self._lives_ms

    def _settle(self, copy: Copy, last: int, result: bytes) -> None:
        writer = copy.writer
        if writer.is_fenced:
            return
        if not result or result == HEARD:
            copy.is_begun, copy.is_heard = True, bool(result)
            copy.written = max(copy.written, last)
            writer.ring.held = copy.written
            if writer.is_over and copy.written == writer.ring.last and not copy.is_finished:
                copy.is_finished = True
                self._on_end(writer)
        elif result == FENCED:
            self._fence(copy)
        else:
            self._mend(copy, result)

    def _mend(self, copy: Copy, found: bytes) -> None:
        """Redis has another last entry than it should: goes on behind it, or writes all anew."""
        attempt, seq = map(int, found.split(b"-"))
        ring = copy.writer.ring
        if attempt > copy.writer.attempt or seq == LAST_SEQ:
            self._fence(copy)
            return
        if attempt == copy.writer.attempt and ring.first - 1 <= seq <= ring.last:
            copy.written = seq
        else:
            copy.is_begun, copy.written = False, ring.first - 1
        ring.held = copy.written
        self._mark(copy, is_urgent=True)

    def _fence(self, copy: Copy) -> None:
        copy.writer.fence()
        self.drop(copy.writer)
        self._on_end(copy.writer)
