"""The figures of several worker processes as one: each keeps its own in a file, all read them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from sitebrook.telemetry.families import FAMILIES
from sitebrook.telemetry.series import Snapshot

METRICS_FOLDER: Final = "metrics"  # in the data folder
_WRITE_S: Final = 1.0
# What a worker that is gone, or stuck, held open does not count any more.
_STALE_S: Final = 5.0
_GAUGES: Final = frozenset(one.name for one in FAMILIES if one.kind == "gauge")
_SUFFIX: Final = ".metrics"


def clear_peers(folder: Path) -> None:
    """Forgets the figures of an earlier start; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


class WorkerPeers:
    """The files of the workers of one server; others' figures are a second old at most.

    What the worker before under the same index has counted goes on counting, so that the sum never
    falls.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder
        self._path = folder / f"{index}{_SUFFIX}"
        self._before = _without_gauges(_read(self._path))

    def read(self) -> Iterator[Snapshot]:
        """What the worker before and all others have counted."""
        yield self._before
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path != self._path:
                yield _read(path) if _is_fresh(path) else _without_gauges(_read(path))

    async def run(self, snapshot: Callable[[], Snapshot]) -> None:
        """Writes what ``snapshot`` gives every second, until cancelled; then once more."""
        try:
            while True:
                await asyncio.to_thread(self._write, snapshot())
                await asyncio.sleep(_WRITE_S)
        finally:
            self._write(snapshot())

    def _write(self, snapshot: Snapshot) -> None:
        snapshot.add(self._before)
        draft = self._path.with_suffix(".draft")
        with contextlib.suppress(OSError):  # a full disk must not end a worker
            draft.write_bytes(msgspec.msgpack.encode(snapshot))
            draft.replace(self._path)


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < _STALE_S
    except OSError:
        return False


def _read(path: Path) -> Snapshot:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return Snapshot()


def _without_gauges(snapshot: Snapshot) -> Snapshot:
    values = {name: one for name, one in snapshot.values.items() if name not in _GAUGES}
    return Snapshot(values, snapshot.counts)
