"""The earlier turns that fit the model's window."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from sitebrook.providers.protocol import PromptMessage

# Code, which is kept (``items[0]`` is no marker), or a marker.
_CODE_OR_MARKER: Final = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)|\s?\[\d{1,2}\]", re.DOTALL)


def to_window(
    messages: Sequence[PromptMessage], *, max_tokens: int, count: Callable[[str], int]
) -> list[PromptMessage]:
    """The newest messages that together cost at most ``max_tokens``, oldest first.

    The window never begins with an answer or a tool's result whose cause was cut off.
    """
    kept: list[PromptMessage] = []
    left = max_tokens
    for message in reversed(messages):
        left -= count(message.text)
        if left < 0:
            break
        kept.append(message)
    kept.reverse()
    while kept and kept[0].role != "user":
        kept.pop(0)
    return kept


def without_markers(message: PromptMessage) -> PromptMessage:
    """An earlier answer without citation markers: their numbers mean other passages now."""
    if message.role != "assistant" or not isinstance(message.content, str):
        return message
    content = _CODE_OR_MARKER.sub(lambda found: found[1] or "", message.content)
    return msgspec.structs.replace(message, content=content)
