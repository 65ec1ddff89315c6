"""Telling once how a stream ended, without a cost for each of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context

from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import StreamEnd


class Ending:
    """The end of one stream, and who is to be told of it.

    Listeners are called in the context in which this was made, that of the request: the end may be
    found by a read of the event loop, and those run in the context of whoever opened the
    connection first.
    """

    __slots__ = ("_context", "_end", "_listeners")

    def __init__(self) -> None:
        self._context = copy_context()
        self._end: StreamEnd | None = None
        self._listeners: list[Callable[[StreamEnd], None]] = []

    def on_end(self, listener: Callable[[StreamEnd], None]) -> None:
        """See ``ProviderStream.on_end``."""
        self._listeners.append(listener)
        if self._end is not None and len(self._listeners) == 1:
            # A short answer: what is noted of its end must not hold up its beginning.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._tell_all, self._end, context=self._context)

    def tell(self, *, is_whole: bool = False, failure: ProviderError | None = None) -> None:
        """The stream is over; only the first word counts."""
        if self._end is None:
            self._end = StreamEnd(is_whole, failure)
            self._context.run(self._tell_all, self._end)

    def _tell_all(self, end: StreamEnd) -> None:
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(end)
