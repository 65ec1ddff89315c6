"""Storing the turns of conversations off the path of their streams."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from sitebrook.chat.turns import Turn, TurnStore
from sitebrook.db.pipeline import StatementRefused
from sitebrook.errors import Unavailable

_LOG: Final = logging.getLogger(__name__)
# 10,000 turns: a stop may break off 5,000 answers at once.
_MOST_BATCHES: Final = 100
_BATCH_TURNS: Final = 100
# What nobody waits for is collected this long: a question mostly goes with its answer.
_COLLECT_S: Final = 0.05
# What is waited for goes at once, but no batch sooner than this after the last one: a turn stored
# alone costs this process eight times and PostgreSQL nearly four times what it costs among ten.
_BATCH_PAUSE_S: Final = 0.005
_RETRIES: Final = 30
_RETRY_PAUSE_S: Final = 1.0
# A reader waits this long for its answer to be stored; storing goes on behind it.
_STORE_WAIT_S: Final = 2.0
# A next question waits this long for what its conversation still has to store.
_SETTLE_WAIT_S: Final = 0.5


class _Batch:
    """Turns that are stored together; ``is_due`` once no more are collected.

    One timer serves all who wait for it, since ``asyncio.timeout`` costs as much as storing a turn.
    """

    __slots__ = ("_loop", "_timer", "_waiters", "is_due", "stored", "turns")

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.is_due = False
        self.stored = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def collect(self, until_due: Callable[[_Batch], None]) -> None:
        """Calls back when it was collected long enough, unless somebody waits for it by then."""
        self._timer = self._loop.call_later(_COLLECT_S, until_due, self)

    async def wait(self) -> None:
        """Returns when it is stored, or takes so long that nobody is to wait any more."""
        if not self._waiters:
            self._stop_timer()
            self._timer = self._loop.call_later(_STORE_WAIT_S, self._tell)
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def end(self) -> None:
        """It is stored, or given up."""
        self._stop_timer()
        self.stored.set()
        self._tell()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class TurnWriter:
    """Keeps turns in their order through one task, waiting out a database that is away."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._batches: deque[_Batch] = deque()  # the last one collects
        self._storing: _Batch | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Stores what is put, batch by batch, until cancelled."""
        loop = asyncio.get_running_loop()
        free_at = 0.0
        try:
            while True:
                await self._wait_until_due()
                if (pause_s := free_at - loop.time()) > 0:
                    await asyncio.sleep(pause_s)
                free_at = loop.time() + _BATCH_PAUSE_S
                batch = self._storing = self._batches.popleft()
                try:
                    await self._store_batch(batch.turns)
                finally:
                    self._storing = None
                    batch.end()
        finally:
            await self._store.aclose()

    @property
    def waiting(self) -> int:
        """The turns that are not stored yet."""
        return sum(len(batch.turns) for batch in self._unstored())

    async def drain(self, timeout_s: float) -> None:
        """Returns when everything put so far is stored, or after ``timeout_s``."""
        if not await self._wait_for(self._unstored(), timeout_s):
            _LOG.error("turns not stored at the end", extra={"turns": self.waiting})

    async def settle(self, conversation_id: str) -> None:
        """Returns when what was put for the conversation is stored, or after half a second."""
        behind = [
            batch
            for batch in self._unstored()
            if any(turn.conversation_id == conversation_id for turn in batch.turns)
        ]
        await self._wait_for(behind, _SETTLE_WAIT_S)

    def put(self, turn: Turn | None) -> None:
        """Takes a turn to store soon. None is ignored."""
        if turn is not None:
            self._add(turn)

    async def store(self, turn: Turn | None) -> None:
        """Returns when the turn is stored, or after 2 s while storing goes on."""
        batch = None if turn is None else self._add(turn)
        if batch is None:
            return
        self._end_collecting(batch)
        await batch.wait()
        if not batch.stored.is_set():
            _LOG.warning("storing a turn takes long")

    def _add(self, turn: Turn) -> _Batch | None:
        """The batch that the turn is in, None when too many are waiting."""
        batches = self._batches
        if not batches or len(batches[-1].turns) >= _BATCH_TURNS:
            if len(batches) >= _MOST_BATCHES:
                _LOG.error("turn not stored: too many are waiting", extra={"message_id": turn.id})
                return None
            if batches:
                self._end_collecting(batches[-1])
            batch = _Batch()
            batch.collect(self._end_collecting)
            batches.append(batch)
        batches[-1].turns.append(turn)
        return batches[-1]

    def _end_collecting(self, batch: _Batch) -> None:
        if not batch.is_due:
            batch.is_due = True
            self._changed.set()

    def _unstored(self) -> list[_Batch]:
        return [*([] if self._storing is None else [self._storing]), *self._batches]

    async def _wait_for(self, batches: Iterable[_Batch], timeout_s: float) -> bool:
        """Whether the batches were stored in time; they are stored without collecting more."""
        waiting = list(batches)
        for batch in waiting:
            self._end_collecting(batch)
        try:
            async with asyncio.timeout(timeout_s):
                for batch in waiting:
                    await batch.stored.wait()
        except TimeoutError:
            return False
        return True

    async def _wait_until_due(self) -> None:
        """Returns once the oldest batch is awaited or was collected long enough."""
        while not self._batches or not self._batches[0].is_due:
            self._changed.clear()
            await self._changed.wait()

    async def _store_batch(self, turns: list[Turn]) -> None:
        try:
            await self._store_with_patience(turns)
        except Exception as error:  # noqa: BLE001 - one turn must not end the storing of all others
            if len(turns) == 1:
                # No traceback: an error's text may quote what a visitor wrote.
                refused = str(error) if isinstance(error, StatementRefused) else ""
                reason = refused or type(error).__name__
                _LOG.error("turn not stored: %s", reason, extra=_to_fields(turns))
                return
            for turn in turns:
                await self._store_batch([turn])

    async def _store_with_patience(self, turns: list[Turn]) -> None:
        for _ in range(_RETRIES):
            try:
                await self._store.store(turns)
            except Unavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)
            else:
                return
        _LOG.error("turns not stored: no database", extra=_to_fields(turns))


def _to_fields(turns: list[Turn]) -> dict[str, object]:
    """What the log says of turns, so that they are found by their requests."""
    if len(turns) == 1:
        return {"message_id": turns[0].id, "request_id": turns[0].request_id}
    return {"turns": len(turns), "request_ids": sorted({turn.request_id for turn in turns})}
