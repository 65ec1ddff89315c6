"""The rings of a process: those of running streams, and for a while those of ended ones."""

from __future__ import annotations

from collections.abc import Iterator

from sitebrook.events.ring import Ring


class Rings:
    """Finds rings by the names of their streams. What has ended stays within time and memory."""

    def __init__(self, length: int, most_bytes: int) -> None:
        self._length = length
        self._most_bytes = most_bytes
        self._rings: dict[str, Ring] = {}
        self._ended: dict[str, tuple[float, int]] = {}  # the oldest first
        self._ended_bytes = 0

    def __iter__(self) -> Iterator[Ring]:
        return iter(tuple(self._rings.values()))

    @property
    def readers(self) -> int:
        """Readers of all streams."""
        return sum(ring.readers for ring in self._rings.values())

    def find(self, stream: str) -> Ring | None:
        """The ring of a stream, None when there is none."""
        return self._rings.get(stream)

    def open(self, stream: str, other: Ring | None = None) -> Ring:
        """The ring of a stream that is running: the one that is here, the other, or a new one."""
        ring = self._rings.get(stream)
        if ring is None:
            ring = self._rings[stream] = other or Ring(stream, self._length)
        self._revive(stream)
        return ring

    def retire(self, ring: Ring, until: float) -> None:
        """Keeps the ring of an ended stream until then, unless later ones need its memory."""
        self._revive(ring.stream)
        self._ended[ring.stream] = until, ring.size_bytes
        self._ended_bytes += ring.size_bytes
        while self._ended_bytes > self._most_bytes:
            self.drop(next(iter(self._ended)))

    def drop(self, stream: str) -> None:
        """Forgets a stream; readers that hold its ring go on with it."""
        self._revive(stream)
        self._rings.pop(stream, None)

    def sweep(self, now: float) -> None:
        """Forgets the ended streams whose time has come."""
        while self._ended:
            stream, (until, _) = next(iter(self._ended.items()))
            if until > now:
                return
            self.drop(stream)

    def _revive(self, stream: str) -> None:
        _, size_bytes = self._ended.pop(stream, (0.0, 0))
        self._ended_bytes -= size_bytes
