"""Answers whose process was killed: what they said so far is kept as interrupted."""

from __future__ import annotations

import asyncio
from typing import Final

from sitebrook.chat.answer_log import KIND, Begun, from_log
from sitebrook.chat.turns import NewAnswer
from sitebrook.chat.writer import TurnWriter
from sitebrook.errors import NotFound, Unavailable
from sitebrook.events.log import SNAPSHOT, EventLog, LostStream
from sitebrook.providers.protocol import Delta

_READ_S: Final = 10.0


class LostAnswers:
    """Stores lost answers; hand ``settle`` to ``EventLog.on_lost``."""

    def __init__(self, log: EventLog, writer: TurnWriter) -> None:
        self._log = log
        self._writer = writer

    async def settle(self, lost: LostStream) -> None:
        """Stores the answer as interrupted, unless it is no answer or was stored meanwhile.

        Raises Unavailable when it cannot be read now.
        """
        _, kind, _ = lost.name.split(":")
        if kind != KIND:
            return
        try:
            async with asyncio.timeout(_READ_S):
                begun, text = await self._read(lost.name)
        except NotFound:
            return
        except TimeoutError:
            raise Unavailable("A lost answer cannot be read now.") from None
        if begun is not None and begun.conversation_id is not None:
            answer = NewAnswer(
                id=begun.id,
                conversation_id=begun.conversation_id,
                content=text,
                status="interrupted",
                model=begun.model,
                provider=begun.provider,
                upstream_model=begun.upstream_model,
            )
            await self._writer.store(answer)

    async def _read(self, stream: str) -> tuple[Begun | None, str]:
        """How the answer began and the text of its first choice."""
        begun: Begun | None = None
        pieces: list[str] = []
        async with self._log.read(stream) as reader:
            async for event in reader:
                if event.kind == SNAPSHOT:
                    pieces.clear()
                for told in from_log(event):
                    if isinstance(told, Begun):
                        begun = told
                    elif isinstance(told, Delta) and told.index == 0:
                        pieces.append(told.content)
        return begun, "".join(pieces)
