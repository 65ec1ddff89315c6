"""The wire of answers in flight."""

from __future__ import annotations

import msgspec


class CancelledAnswer(msgspec.Struct, frozen=True):
    """``was_running`` is false when the answer had ended by itself."""

    id: str
    was_running: bool
