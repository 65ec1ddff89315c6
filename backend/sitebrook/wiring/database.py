"""The database that a process uses, for as long as a block runs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator

from sitebrook.db import embedded
from sitebrook.settings import Settings

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


def is_there(settings: Settings) -> bool:
    """Whether there is a database: one is configured, or the data folder has one already."""
    return bool(settings.database.url) or embedded.is_made(settings.server.data_dir)


@contextlib.contextmanager
def open_database(settings: Settings, notify: Notify) -> Generator[str]:
    """The address of the database of ``hold_database``."""
    with hold_database(settings, notify) as held:
        yield held.url
