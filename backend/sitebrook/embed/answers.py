"""Answers as programs read them: delta by delta, or whole."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sitebrook.chat.answer import Answer, AnswerEvent, Cited
from sitebrook.chat.citations import Citation
from sitebrook.providers.protocol import Delta, Finish, Usage

Begin = Callable[[], AbstractAsyncContextManager[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeAnswer:
    """A whole answer; ``citations`` are the passages that ``text`` names or uses."""

    text: str
    citations: tuple[Citation, ...]
    usage: Usage | None
    model: str
    provider: str
    finish_reason: str


class AnswerStream:
    """The deltas of one answer, to be iterated once.

    The question is asked when the iteration begins; what refuses it is raised then. Leaving the
    iteration early closes the upstream: soon after a ``break``, and before the end of the block
    when the stream is used with ``async with``. The attributes are filled as the answer comes;
    ``citations``, ``usage`` and ``finish_reason`` at its end.
    """

    def __init__(self, begin: Begin) -> None:
        self.text = ""
        self.citations: tuple[Citation, ...] = ()
        self.usage: Usage | None = None
        self.model = ""
        self.provider = ""
        self.finish_reason = ""
        self._begin = begin
        self._has_begun = False
        self._ended = asyncio.Event()
        self._deltas: weakref.ref[AsyncGenerator[str]] | None = None

    def __aiter__(self) -> AsyncGenerator[str]:
        """The deltas.

        Raises RuntimeError the second time.
        """
        if self._deltas is not None:
            raise RuntimeError("An answer is read once; ask again for another one.")
        deltas = self._read()
        # Only the loop that reads holds it: Python then closes it at a break.
        self._deltas = weakref.ref(deltas)
        return deltas

    async def __aenter__(self) -> Self:
        """The stream itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the answer and closes the upstream; harmless when it has ended."""
        deltas = None if self._deltas is None else self._deltas()
        if deltas is not None:
            await deltas.aclose()
        elif self._has_begun:
            await self._ended.wait()

    async def to_whole(self) -> WholeAnswer:
        """The whole answer, read to its end."""
        async for _ in self:
            pass
        return WholeAnswer(
            text=self.text,
            citations=self.citations,
            usage=self.usage,
            model=self.model,
            provider=self.provider,
            finish_reason=self.finish_reason,
        )

    async def _read(self) -> AsyncGenerator[str]:
        self._has_begun = True
        try:
            async with self._begin() as answer:
                self.model, self.provider = answer.origin.model, answer.origin.provider
                async with contextlib.aclosing(answer.events()) as events:
                    async for event in events:
                        shown = self._take(event)
                        if shown:
                            yield shown
        finally:
            self._ended.set()

    def _take(self, event: AnswerEvent) -> str:
        """Keeps what the event tells; gives the text that it adds."""
        if isinstance(event, Delta):
            shown = event.content or event.refusal
            self.text += shown
            return shown
        if isinstance(event, Cited):
            self.citations = event.citations
        elif isinstance(event, Finish):
            self.finish_reason = event.reason
        else:
            self.usage = event
        return ""
