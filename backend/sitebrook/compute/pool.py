"""Child processes for heavy work, started when there is some and used again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import threading
import time
from collections.abc import Sequence
from typing import Final, TypeVar

from sitebrook import errors
from sitebrook.compute.frames import (
    BrokenFrame,
    Buffer,
    Done,
    Refused,
    Reply,
    decode,
    encode,
)
from sitebrook.compute.process import ChildProcess
from sitebrook.compute.work import Limits, Work
from sitebrook.errors import RequestError, Unavailable, WorkFailed
from sitebrook.settings import ComputeSettings

AskedT = TypeVar("AskedT")
GivenT = TypeVar("GivenT")

_RETRY_AFTER_S: Final = 5.0
_MAX_CHILDREN: Final = 8  # unless more are asked for: each may take its bound of memory
_REFUSALS: Final[dict[str, type[RequestError]]] = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RequestError)
}


class ComputePool:
    """Runs work in child processes, each on one call at a time; the event loop goes on meanwhile.

    A child that is killed, breaks or dies takes only its own call with it. Each busy child has a
    thread that writes to it, reads from it and watches it. Use a pool from one event loop.
    """

    def __init__(self, settings: ComputeSettings) -> None:
        self._settings = settings
        self._children = settings.children or _default_children()
        self._threads = concurrent.futures.ThreadPoolExecutor(
            self._children, thread_name_prefix="compute"
        )
        self._claims: set[_Claim] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()  # of what follows, which threads use too
        self._idle: list[ChildProcess] = []
        self._is_closed = False

    async def run(
        self, work: Work[AskedT, GivenT], asked: AskedT, limits: Limits | None = None
    ) -> GivenT:
        """What the work gives for ``asked``. A caller that is cancelled kills the child.

        Raises the work's own RequestError; WorkFailed, whose ``cause`` says what ended it;
        Unavailable when as many calls wait as may.
        """
        if self._is_closed:
            raise _closing()
        if len(self._claims) >= self._children + self._settings.waiting:
            raise Unavailable(
                f"{self._settings.waiting:,} pieces of work are waiting already "
                "(SITEBROOK_COMPUTE_WAITING); try again later.",
                retry_after_s=_RETRY_AFTER_S,
            )
        claim = _Claim()
        self._claims.add(claim)
        running = self._threads.submit(self._run, claim, work, asked, limits or Limits())
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            claim.stop(WorkFailed("Nobody waits for the work any more.", cause="cancelled"))
            raise
        finally:
            self._claims.discard(claim)
            self._expire_later()

    async def aclose(self) -> None:
        """Ends all children; what they are working on fails."""
        with self._lock:
            self._is_closed = True
        for claim in self._claims:
            claim.stop(_closing())
        if self._expiry is not None:
            self._expiry.cancel()
        await asyncio.to_thread(self._end_all)

    def _run(
        self, claim: _Claim, work: Work[AskedT, GivenT], asked: AskedT, limits: Limits
    ) -> GivenT:
        """One call, in a thread of its own."""
        buffers = encode(asked)
        child = self._take()
        is_whole = False
        try:
            claim.hold(child)
            time_s = limits.time_s or self._settings.time_s
            reply, result = child.ask(
                work.target, buffers, time_s, time_s * limits.threads, limits.answer_bytes
            )
            given = _to_given(work, reply, result)
            is_whole = True
        except RequestError as error:
            is_whole = not isinstance(error, WorkFailed) or error.cause == "error"
            raise
        finally:
            claim.leave()
            self._give_back(child, is_whole=is_whole)
        return given

    def _take(self) -> ChildProcess:
        """A child that waits for a call, the last used one first."""
        while True:
            with self._lock:
                if self._is_closed:
                    raise _closing()
                child = self._idle.pop() if self._idle else None
            if child is None:
                return ChildProcess(self._settings.memory_bytes)
            if child.is_ready:
                return child
            child.end(is_waiting=False)

    def _give_back(self, child: ChildProcess, *, is_whole: bool) -> None:
        """Keeps the child for a next call, or ends it."""
        with self._lock:
            if is_whole and not self._is_closed and child.calls < self._settings.calls_per_child:
                child.idle_since = time.monotonic()
                self._idle.append(child)
                return
        child.end(is_waiting=is_whole)

    def _expire_later(self) -> None:
        if self._expiry is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(self._settings.idle_s, self._expire)

    def _expire(self) -> None:
        """Ends children that had nothing to do for long; looks again while there are others."""
        self._expiry = None
        since = time.monotonic() - self._settings.idle_s
        with self._lock:
            if self._is_closed:
                return
            expired = [child for child in self._idle if child.idle_since <= since]
            self._idle = [child for child in self._idle if child.idle_since > since]
            has_others = bool(self._idle)
        for child in expired:
            self._threads.submit(child.end, is_waiting=True)
        if has_others:
            self._expire_later()

    def _end_all(self) -> None:
        self._threads.shutdown(wait=True)
        for child in self._idle:
            child.end(is_waiting=True)
        self._idle.clear()


class _Claim:
    """A caller's hold on a child: the thread takes and leaves it, the event loop may kill it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._stopped_for: WorkFailed | None = None

    def hold(self, child: ChildProcess) -> None:
        with self._lock:
            if self._stopped_for is not None:
                raise self._stopped_for
            self._child = child

    def leave(self) -> None:
        """From here on the child is another caller's."""
        with self._lock:
            self._child = None

    def stop(self, reason: WorkFailed) -> None:
        with self._lock:
            self._stopped_for = reason
            if self._child is not None:
                self._child.kill(reason)


def _to_given(work: Work[AskedT, GivenT], reply: Reply, result: Sequence[Buffer]) -> GivenT:
    if isinstance(reply, Done):
        try:
            return decode(result, work.given)
        except BrokenFrame as error:
            raise WorkFailed(f"The child's answer is refused: {error}.", cause="answer") from None
    if isinstance(reply, Refused):
        refusal = _REFUSALS.get(reply.kind, errors.InvalidRequest)
        raise refusal(reply.message, param=reply.param, code=reply.code)
    raise WorkFailed(
        f"The work failed with {reply.kind}.",
        cause="error",
        detail=f"{reply.kind}: {reply.message}",
    )


def _closing() -> WorkFailed:
    return WorkFailed("The process is ending and does no more work.", cause="closed")


def count_cores() -> int:
    """The cores that this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def _default_children() -> int:
    """One less than there are cores, so that the event loop has one."""
    return min(max(count_cores() - 1, 1), _MAX_CHILDREN)
