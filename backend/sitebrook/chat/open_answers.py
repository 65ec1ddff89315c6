"""The answers that this process is giving, and how they end when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from sitebrook.errors import RequestError, Unavailable

_LOG: Final = logging.getLogger(__name__)
STOPPING: Final = "server_stopping"
# A restart takes a few seconds, and behind a proxy another process answers at once.
_RETRY_AFTER_S: Final = 5.0
# What an ended answer gets to write its error event: 5,000 of them take about half of it.
_LAST_EVENT_S: Final = 1.0


class OpenAnswers:
    """Counts the answers under way; once the process stops it takes no new ones."""

    def __init__(self) -> None:
        self._ends: dict[object, Callable[[RequestError], None]] = {}
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._is_due = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def is_draining(self) -> bool:
        """Whether the process stops: no new work, and not ready."""
        return self._is_draining

    def check_taken(self) -> None:
        """Raises Unavailable when new work is not taken any more."""
        if self._is_draining:
            raise _stopping()

    def enter(self, end: Callable[[RequestError], None]) -> OpenAnswer:
        """Counts an answer as under way during the block of a ``with``.

        ``end`` is called at most once, when the process cannot wait any longer; it must make the
        answer end with that error and must not block. Raises Unavailable while draining.
        """
        return OpenAnswer(self, end)

    def add(self, answer: OpenAnswer) -> None:
        """Counts an answer as under way. Raises Unavailable while draining."""
        self.check_taken()
        self._ends[answer] = answer.end
        self._is_empty.clear()

    def discard(self, answer: OpenAnswer) -> None:
        """Counts it off."""
        del self._ends[answer]
        if not self._ends:
            self._is_empty.set()
            if self._is_draining:
                self._is_due.set()

    def begin_drain(self) -> None:
        """From now on new work is refused; answers under way go on."""
        self._is_draining = True
        if not self._ends:
            self._is_due.set()

    def hurry(self) -> None:
        """Makes ``drain`` end the answers under way now."""
        self.begin_drain()
        self._is_due.set()

    async def drain(self, timeout_s: float) -> None:
        """Returns when no answer is under way: they have ``timeout_s``, then each is ended.

        An answer that cannot even write its error event is given up after another second.
        """
        self.begin_drain()
        await _wait(self._is_due, timeout_s)
        if not self._ends:
            return
        _LOG.warning("answers are ended: the server stops", extra={"answers": len(self)})
        for end in list(self._ends.values()):
            end(_stopping())
        await _wait(self._is_empty, _LAST_EVENT_S)


class OpenAnswer:
    """An answer that is under way during a block."""

    __slots__ = ("_answers", "end")

    def __init__(self, answers: OpenAnswers, end: Callable[[RequestError], None]) -> None:
        self._answers = answers
        self.end = end

    def __enter__(self) -> None:
        self._answers.add(self)

    def __exit__(self, *_: object) -> None:
        self._answers.discard(self)


def _stopping() -> Unavailable:
    return Unavailable(
        "The server is restarting; try again in a few seconds.",
        code=STOPPING,
        retry_after_s=_RETRY_AFTER_S,
    )


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
