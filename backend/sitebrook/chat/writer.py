"""Storing the turns of conversations off the path of their streams."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sitebrook.chat.turns import Turn, TurnStore
from sitebrook.db.direct import StatementRefused
from sitebrook.errors import Unavailable

_LOG: Final = logging.getLogger(__name__)
# 10,000 turns: a stop may break off 5,000 answers at once.
_MOST_BATCHES: Final = 100
_BATCH_TURNS: Final = 100
# What nobody waits for is collected this long: a question mostly goes with its answer.
_COLLECT_S: Final = 0.05
_RETRIES: Final = 30
_RETRY_PAUSE_S: Final = 1.0
# A reader waits this long for its answer to be stored; storing goes on behind it.
_STORE_WAIT_S: Final = 2.0
# A next question waits this long for what its conversation still has to store.
_SETTLE_WAIT_S: Final = 0.5


@dataclass(slots=True)
class _Batch:
    """Turns that are stored together; ``is_awaited`` when someone waits for that."""

    turns: list[Turn] = field(default_factory=list[Turn])
    is_awaited: bool = False
    stored: asyncio.Event = field(default_factory=asyncio.Event)


class TurnWriter:
    """Keeps turns in their order through one task, waiting out a database that is away."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._batches: deque[_Batch] = deque()  # the last one collects
        self._storing: _Batch | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Stores what is put, batch by batch, until cancelled."""
        try:
            while True:
                batch = self._storing = await self._next()
                try:
                    await self._store_batch(batch.turns)
                finally:
                    self._storing = None
                    batch.stored.set()
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
        if batch is not None and not await self._wait_for([batch], _STORE_WAIT_S):
            _LOG.warning("storing a turn takes long")

    def _add(self, turn: Turn) -> _Batch | None:
        """The batch that the turn is in, None when too many are waiting."""
        if not self._batches or len(self._batches[-1].turns) >= _BATCH_TURNS:
            if len(self._batches) >= _MOST_BATCHES:
                _LOG.error("turn not stored: too many are waiting", extra={"message_id": turn.id})
                return None
            self._batches.append(_Batch())
            self._changed.set()
        batch = self._batches[-1]
        batch.turns.append(turn)
        return batch

    def _unstored(self) -> list[_Batch]:
        return [*([] if self._storing is None else [self._storing]), *self._batches]

    async def _wait_for(self, batches: Iterable[_Batch], timeout_s: float) -> bool:
        """Whether the batches were stored in time; they are stored without collecting more."""
        waiting = list(batches)
        for batch in waiting:
            batch.is_awaited = True
        self._changed.set()
        try:
            async with asyncio.timeout(timeout_s):
                for batch in waiting:
                    await batch.stored.wait()
        except TimeoutError:
            return False
        return True

    async def _next(self) -> _Batch:
        """The oldest batch, once it is awaited or was collected long enough."""
        while not self._batches:
            self._changed.clear()
            await self._changed.wait()
        batch = self._batches[0]
        try:
            async with asyncio.timeout(_COLLECT_S):
                while not batch.is_awaited and len(self._batches) == 1:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self._batches.popleft()

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
