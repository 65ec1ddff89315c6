"""Text of strangers inside a prompt: material that cannot pose as anything else."""

from __future__ import annotations

import re
import secrets
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

# Control tokens of common model families; in a text they are only text.
_CONTROL: Final = re.compile(
    r"<\|[^<>|\n]{1,64}\|>"  # <|im_start|>, <|eot_id|>
    r"|<\uff5c[^<>\n]{1,64}\uff5c>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>",
    re.IGNORECASE,
)
# How a transcript marks who speaks; a passage that begins a line so reads like a new turn.
_ROLE: Final = re.compile(r"^(?:Human|Assistant|System|User):(?=\s)", re.IGNORECASE | re.MULTILINE)
TEMPLATES: Final = Environment(
    loader=PackageLoader("sitebrook.prompts"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - a prompt is plain text, not HTML
    keep_trailing_newline=False,
)


def new_boundary() -> str:
    """A line around material, new each time, so that no document can hold it."""
    return f"=== {secrets.token_hex(12)} ==="


def neutralise(text: str) -> str:
    """A passage's text with nothing in it that a model would take for a turn of its own."""
    return _ROLE.sub(_split, break_control_tokens(text))


def break_control_tokens(text: str) -> str:
    """The text with every control token split by a space, so that no tokenizer sees one."""
    return _CONTROL.sub(_split, text)


def _split(found: re.Match[str]) -> str:
    return f"{found[0][0]} {found[0][1:]}"
