"""What is sent to Redis, and the answer that is no use to send again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

Value = bytes | str | int | float
Command = Sequence[Value]
# The keys and the arguments of one call of a script.
ScriptCall = tuple[Sequence[str], Sequence[Value]]


class CommandRefused(Exception):
    """Redis refused a command that it will refuse again; ``str()`` is what it said."""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A server as it answered: at ``asked_at`` by this machine's clock, ``told_at`` by its own.

    ``max_bytes`` 0 is no bound of its memory; ``policy`` is what it removes when that is reached.
    """

    version: str
    policy: str
    used_bytes: int
    max_bytes: int
    told_at: datetime
    asked_at: datetime
    answer_ms: float


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; Redis knows it by its hash once it has run."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # Redis's own name for the script, no protection of anything.
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)
