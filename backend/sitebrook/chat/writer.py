"""Storing the turns of conversations off the path of their streams."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sitebrook.chat.conversations import Conversations, NewAnswer, NewQuestion
from sitebrook.errors import Unavailable

_LOG: Final = logging.getLogger(__name__)
_QUEUE_TURNS: Final = 1000
_BATCH_TURNS: Final = 100
_RETRIES: Final = 30
_RETRY_PAUSE_S: Final = 1.0
# A reader waits this long for its answer to be stored; storing goes on behind it.
_STORE_WAIT_S: Final = 2.0


_Turn = NewQuestion | NewAnswer


class TurnWriter:
    """Keeps turns in their order through one task, waiting out a database that is away."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._queue: asyncio.Queue[tuple[_Turn, asyncio.Event]] = asyncio.Queue(_QUEUE_TURNS)

    async def run(self) -> None:
        """Stores what is put, everything that waits at once, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < _BATCH_TURNS:
                batch.append(self._queue.get_nowait())
            try:
                await self._store([turn for turn, _ in batch])
            finally:
                for _, stored in batch:
                    stored.set()
                    self._queue.task_done()

    async def drain(self, timeout_s: float) -> None:
        """Returns when everything put so far is stored, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._queue.join()
        except TimeoutError:
            _LOG.error("turns not stored at the end", extra={"turns": self._queue.qsize()})

    def put(self, turn: _Turn | None) -> asyncio.Event | None:
        """Takes a turn to store soon; the event is set when that is done. None is ignored."""
        if turn is None:
            return None
        stored = asyncio.Event()
        try:
            self._queue.put_nowait((turn, stored))
        except asyncio.QueueFull:
            _LOG.error("turn not stored: too many are waiting", extra={"message_id": turn.id})
            stored.set()
        return stored

    async def store(self, turn: _Turn | None) -> None:
        """Returns when the turn is stored, or after 2 s while storing goes on."""
        stored = self.put(turn)
        if stored is None:
            return
        try:
            async with asyncio.timeout(_STORE_WAIT_S):
                await stored.wait()
        except TimeoutError:
            _LOG.warning("storing a turn takes long")

    async def _store(self, turns: list[_Turn]) -> None:
        try:
            await self._store_with_patience(turns)
        except Exception:  # noqa: BLE001 - one turn must not end the storing of all others
            if len(turns) == 1:
                _LOG.exception("turn not stored", extra={"message_id": turns[0].id})
                return
            for turn in turns:
                await self._store([turn])

    async def _store_with_patience(self, turns: list[_Turn]) -> None:
        for _ in range(_RETRIES):
            try:
                await self._conversations.store(turns)
            except Unavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)
            else:
                return
        _LOG.error("turns not stored: no database", extra={"turns": len(turns)})
