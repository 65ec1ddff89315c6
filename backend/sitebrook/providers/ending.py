"""Telling once how a stream ended, without a cost for each of its events."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context

from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import StreamEnd


class Ending:
    """The end of one stream, and who is to be told of it.

    Each listener is called in the context in which it listened: the end may be found by a read of
    the event loop, and those run in the context of whoever opened the connection first.
    """

    __slots__ = ("_end", "_listeners")

    def __init__(self) -> None:
        self._end: StreamEnd | None = None
        self._listeners: list[tuple[Context, Callable[[StreamEnd], None]]] = []

    def on_end(self, listener: Callable[[StreamEnd], None]) -> None:
        """See ``ProviderStream.on_end``."""
        if self._end is None:
            self._listeners.append((copy_context(), listener))
        else:
            listener(self._end)

    def tell(self, *, is_whole: bool = False, failure: ProviderError | None = None) -> None:
        """The stream is over; only the first word counts."""
        if self._end is not None:
            return
        self._end = end = StreamEnd(is_whole, failure)
        listeners, self._listeners = self._listeners, []
        for context, listener in listeners:
            context.run(listener, end)
