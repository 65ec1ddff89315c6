"""The parts of a process for as long as a block runs, over a database that is there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from sitebrook.db.migrate import migrate
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring.database import Notify, open_database
from sitebrook.wiring.process import build_parts

T = TypeVar("T")


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
