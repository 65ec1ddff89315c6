"""The parts of a process for as long as a block runs, over a database that is there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TypeVar

from sitebrook.db import embedded
from sitebrook.db.migrate import migrate
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring import build_parts

T = TypeVar("T")
Notify = Callable[[str], object]


@dataclasses.dataclass(frozen=True, slots=True)
class HeldDatabase:
    """A database that this process uses; ``leave_unwaited`` is for one that ends in the block."""

    url: str
    leave_unwaited: Callable[[], None] = lambda: None


@contextlib.contextmanager
def hold_database(settings: Settings, notify: Notify) -> Generator[HeldDatabase]:
    """The configured database, or the embedded one, which is started if need be.

    An embedded one that this process started ends with the block, unless others use it by then.
    ``notify`` takes a line for the operator.
    """
    if settings.database.url:
        yield HeldDatabase(settings.database.url)
        return
    server = embedded.start(settings.server.data_dir)
    try:
        if server.notice:
            notify(server.notice)
        yield HeldDatabase(server.url, server.leave_unwaited)
    finally:
        server.leave(settings.server.data_dir)


@contextlib.contextmanager
def open_database(settings: Settings, notify: Notify) -> Generator[str]:
    """The address of the database of ``hold_database``."""
    with hold_database(settings, notify) as held:
        yield held.url


@contextlib.asynccontextmanager
async def open_parts(settings: Settings, notify: Notify) -> AsyncGenerator[Parts]:
    """The parts of this process over a migrated database; the running loop is never blocked."""
    with contextlib.ExitStack() as undo:
        database = open_database(settings, notify)
        try:
            url = await _in_thread(lambda: undo.enter_context(database))
            await _in_thread(lambda: migrate(url))
            found = dataclasses.replace(settings.database, url=url)
            parts = build_parts(dataclasses.replace(settings, database=found))
            async with parts.running():
                yield parts
        finally:
            await _in_thread(undo.close)


async def _in_thread(work: Callable[[], T]) -> T:
    """The result of work that blocks; who is cancelled still waits for its end."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
