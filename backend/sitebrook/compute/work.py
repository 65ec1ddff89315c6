"""What children can be asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

AskedT = TypeVar("AskedT")
GivenT = TypeVar("GivenT")

_ANSWER_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Work(Generic[AskedT, GivenT]):
    """A function of one argument that children run.

    ``target`` is ``package.module:function``; only children import it. ``asked`` and ``given`` are
    types that msgspec can decode, as the function's annotations have them. NumPy arrays stand in
    their fields as such and travel as they lie in memory.
    """

    target: str
    asked: type[AskedT]
    given: type[GivenT]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call; without ``time_s`` it is the pool's. Waiting for a child is not in it.

    Work that computes in several ``threads`` uses so much processor time at once.
    """

    time_s: float | None = None
    threads: int = 1
    answer_bytes: int = _ANSWER_BYTES
