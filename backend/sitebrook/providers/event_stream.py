"""One streamed answer of any upstream that sends events: its bytes, its clocks, its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.deadlines import Deadlines, Slot
from sitebrook.providers.ending import Ending
from sitebrook.providers.http_connection import HttpError, Response
from sitebrook.providers.protocol import Delta, ProviderEvent, StreamEnd
from sitebrook.providers.sse import EventTooLarge, SseDecoder
from sitebrook.settings import ProviderSettings

_CLOSE_AFTER_S: Final = 0.5  # how long the end of the body may take after the answer is whole


class WireReader(Protocol):
    """What one upstream's events mean; made for one answer and read to its end once.

    ``ready`` holds the events to give, in order. ``has_begun`` says whether the upstream has begun
    to answer, ``is_over`` whether the answer is whole; then the Usage, if the upstream told it, is
    the last of ``ready``.
    """

    ready: deque[ProviderEvent]
    has_begun: bool
    is_over: bool

    def read(self, payload: bytes) -> None:
        """Takes the data of one event; not called any more once ``is_over``.

        Raises ProviderError for what ends the stream; what was ready before is still given.
        """
        ...

    def end(self) -> None:
        """Completes the answer if it is whole although nothing said so: no more is read.

        Leaves ``is_over`` False when it is not; raises ProviderError where more can be said.
        """
        ...


class EventStream:
    """The events of one upstream response, as ``reader`` makes them; it owns the response.

    The idle and the total clock are one deadline that is moved on only when it comes: setting one
    for every read would cost more than decoding the read. The total clock began at ``began_at``.
    """

    __slots__ = (
        "_deadlines",
        "_decoder",
        "_ending",
        "_ends_at",
        "_expired",
        "_failure",
        "_first_by",
        "_is_over",
        "_listener",
        "_loop",
        "_reader",
        "_ready",
        "_response",
        "_settings",
        "_slot",
        "_waits_since",
    )

    def __init__(
        self,
        settings: ProviderSettings,
        reader: WireReader,
        response: Response,
        deadlines: Deadlines,
        began_at: float,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._ready = reader.ready
        self._response = response
        self._decoder = SseDecoder()
        self._failure: ProviderError | None = None
        self._is_over = False
        self._ending = Ending()
        self._listener: Callable[[], None] | None = None
        self._loop = deadlines.loop
        self._deadlines = deadlines
        self._slot: Slot | None = None
        self._ends_at = began_at + settings.total_timeout_s
        self._first_by: float | None = None
        self._waits_since: float | None = None
        self._expired: ProviderError | None = None

    @property
    def has_ready(self) -> bool:
        """Whether the next event has arrived already."""
        return bool(self._ready)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """See ``ProviderStream.on_ready``."""
        if not self._is_over:
            self._listener = listener
            self._response.tap = self._take_at_once

    def take_deltas(self) -> list[Delta]:
        """See ``ProviderStream.take_deltas``."""
        ready = self._ready
        deltas: list[Delta] = []
        while ready and isinstance(ready[0], Delta):
            deltas.append(ready.popleft())  # pyright: ignore[reportArgumentType] - just looked at
        return deltas

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> ProviderEvent:
        ready = self._ready
        while not ready:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                raise StopAsyncIteration
            await self._read()
        return ready.popleft()

    async def wait_for_first(self, by: float) -> None:
        """Returns once there is an event to give.

        Raises ProviderError when there never will be, or is none ``by`` that time of the loop.
        """
        self._take_bytes()  # mostly it came with the head
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self._slot is None:
                self._first_by = by
                self._slot = self._deadlines.add(self, by)
            await self._read()
        self._first_by = None
        self._leave_slot()
        self._arm()

    def on_end(self, listener: Callable[[StreamEnd], None]) -> None:
        """See ``ProviderStream.on_end``."""
        self._ending.on_end(listener)

    async def aclose(self) -> None:
        """Closes the upstream connection, unless the answer is whole and it can serve the next."""
        self.close()

    def close(self) -> None:
        """What ``aclose`` does, where nothing can be awaited."""
        if not self._is_over:
            self._end()
            self._response.close()
            self._ending.tell()

    async def _read(self) -> None:
        self._waits_since = self._loop.time()
        await self._response.wait()
        self._waits_since = None
        if not self._ready and not self._is_over:
            self._take_bytes()

    def _take_bytes(self) -> None:
        try:
            chunk = self._response.take()
        except HttpError:
            self._end_of_bytes(is_cut=True)
            return
        if not chunk:
            if self._response.is_over:
                self._end_of_bytes(is_cut=False)
            return
        try:
            payloads = self._decoder.feed(chunk)
        except EventTooLarge:
            self._stop(faults.malformed(self._settings.name, "sent an event without an end"))
            return
        self._take_all(payloads)

    def _take_at_once(self) -> bool:
        """Gives what came to the listener; whether the reader may wait on."""
        listener = self._listener
        self._waits_since = self._loop.time()
        self._take_bytes()
        if self._ready and listener is not None:
            listener()
        return not self._ready and not self._is_over

    def _take_all(self, payloads: list[bytes]) -> None:
        reader = self._reader
        try:
            for payload in payloads:
                reader.read(payload)
                if reader.is_over:
                    self._complete()
                    return
        except ProviderError as failure:
            self._stop(failure)

    def _end_of_bytes(self, *, is_cut: bool) -> None:
        if not is_cut:
            self._take_all(self._decoder.end())
        if not self._is_over:
            self._stop(self._expired)

    def _stop(self, failure: ProviderError | None) -> None:
        """Ends the answer; a fault behind all of it does not unmake what was shown as whole."""
        reader, provider = self._reader, self._settings.name
        try:
            reader.end()
        except ProviderError as said:
            failure = failure or said
        if reader.is_over:
            self._complete()
        elif failure is not None:
            self._fail(failure)
        elif reader.has_begun:
            self._fail(faults.broken_off(provider))
        else:
            self._fail(faults.malformed(provider, "ended the stream without an answer"))

    def _complete(self) -> None:
        self._end()
        self._response.close_after(_CLOSE_AFTER_S)
        self._ending.tell(is_whole=True)

    def _fail(self, failure: ProviderError) -> None:
        self._failure = failure
        self._end()
        self._response.close()
        self._ending.tell(failure=failure)

    def _end(self) -> None:
        self._is_over = True
        # Both lead back to this object, which would else wait for the garbage collector.
        self._response.tap = self._listener = None
        self._leave_slot()

    def _leave_slot(self) -> None:
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None

    def _arm(self) -> None:
        if self._is_over:
            return
        since = self._loop.time() if self._waits_since is None else self._waits_since
        at = min(self._ends_at, since + self._settings.idle_timeout_s)
        self._slot = self._deadlines.add(self, at)

    def expire(self) -> None:
        """Looks at the clocks; the response is closed when one of them has run out."""
        now, settings = self._loop.time(), self._settings
        if self._first_by is not None:
            within_s = min(settings.first_delta_timeout_s, settings.total_timeout_s)
            self._expired = faults.did_not_start(settings.name, within_s)
        elif now >= self._ends_at:
            self._expired = faults.did_not_end(settings.name, settings.total_timeout_s)
        elif self._waits_since is not None and now >= self._waits_since + settings.idle_timeout_s:
            self._expired = faults.fell_silent(settings.name, settings.idle_timeout_s)
        else:
            self._arm()
            return
        self._response.close()  # wakes the reader
