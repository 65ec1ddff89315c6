"""The same for programs without an event loop: one runs in a thread beside theirs.

These functions block their own thread, so inside a running event loop they stop it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar, Unpack

from sitebrook.chat.citations import Citation
from sitebrook.embed import session
from sitebrook.embed.answers import AnswerStream, WholeAnswer
from sitebrook.embed.options import Options
from sitebrook.providers.protocol import Usage
from sitebrook.settings import Settings

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own for the length of a block."""

    def __init__(self) -> None:
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._ended = asyncio.Event()
        # A program that forgets to end it must still be able to exit.
        self._thread = threading.Thread(target=self._run, name="sitebrook", daemon=True)

    def __enter__(self) -> Self:
        """Starts the loop."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the loop once everything in it has ended."""
        self._loop.result().call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work in the loop gives; an interrupted wait for it cancels it."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop.result())
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def _run(self) -> None:
        asyncio.run(self._hold())

    async def _hold(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._ended.wait()


class SyncAnswerStream:
    """The deltas of one answer, to be iterated once; ``AnswerStream`` for a plain ``for``.

    Leaving the iteration early closes the upstream at once.
    """

    def __init__(
        self, stream: AnswerStream, opening: Callable[[], AbstractContextManager[LoopThread]]
    ) -> None:
        self._stream = stream
        self._opening = opening

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The passages that the answer names, known at its end."""
        return self._stream.citations

    @property
    def usage(self) -> Usage | None:
        """Its tokens, known at its end."""
        return self._stream.usage

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._stream.model

    @property
    def provider(self) -> str:
        """The provider that answers."""
        return self._stream.provider

    @property
    def finish_reason(self) -> str:
        """Why it ended, known at its end."""
        return self._stream.finish_reason

    def __iter__(self) -> Generator[str]:
        """The deltas.

        Raises RuntimeError the second time.
        """
        return self._read(aiter(self._stream))

    def _read(self, deltas: AsyncGenerator[str]) -> Generator[str]:
        # An interrupted wait may still be ending when the deltas are to be closed.
        reading = asyncio.Lock()

        async def read() -> str | None:
            async with reading:
                return await anext(deltas, None)

        async def close() -> None:
            async with reading:
                await deltas.aclose()

        with self._opening() as loop:
            try:
                while (delta := loop.run(read())) is not None:
                    yield delta
            finally:
                loop.run(close())


class SyncSitebrook:
    """``Sitebrook`` without an event loop of the caller's."""

    def __init__(self, sitebrook: session.Sitebrook, loop: LoopThread) -> None:
        self._sitebrook = sitebrook
        self._loop = loop

    def ask(self, question: str, **options: Unpack[Options]) -> WholeAnswer:
        """The whole answer."""
        return self._loop.run(self._sitebrook.ask(question, **options))

    def ask_stream(self, question: str, **options: Unpack[Options]) -> SyncAnswerStream:
        """The answer as it comes. A wrong option is refused at once."""
        stream = self._sitebrook.ask_stream(question, **options)
        return SyncAnswerStream(stream, lambda: contextlib.nullcontext(self._loop))


@contextlib.contextmanager
def open_sync(settings: Settings | None = None) -> Generator[SyncSitebrook]:
    """As ``open``, for a plain ``with``."""
    with LoopThread() as loop:
        opening = session.open(settings)
        sitebrook = loop.run(_enter(opening))
        try:
            yield SyncSitebrook(sitebrook, loop)
        finally:
            loop.run(_leave(opening))


def ask_sync(question: str, **options: Unpack[Options]) -> WholeAnswer:
    """As ``ask``, without an event loop of the caller's."""
    with LoopThread() as loop:
        return loop.run(session.ask(question, **options))


def ask_stream_sync(question: str, **options: Unpack[Options]) -> SyncAnswerStream:
    """As ``ask_stream``, for a plain ``for``."""
    return SyncAnswerStream(session.ask_stream(question, **options), LoopThread)


async def _enter(opening: contextlib.AbstractAsyncContextManager[T]) -> T:
    return await opening.__aenter__()


async def _leave(opening: contextlib.AbstractAsyncContextManager[object]) -> None:
    await opening.__aexit__(None, None, None)
