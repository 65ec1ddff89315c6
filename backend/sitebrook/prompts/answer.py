"""The system text of an answer, with the passages in a block that they cannot close."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import msgspec
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


class NumberedPassage(Protocol):
    """A passage as it stands in the prompt."""

    @property
    def number(self) -> int:
        """Its number in the prompt, from 1."""
        ...

    @property
    def title(self) -> str:
        """Title and headings of where it stands."""
        ...

    @property
    def text(self) -> str:
        """Its text."""
        ...


class AnswerPrompt(msgspec.Struct, frozen=True, gc=False):
    """What the system text is made from.

    ``uses_passages`` is False when retrieval is off; ``cites`` is False when markers would break
    the form that the caller wants; ``caller_text`` is the system text of a secret key's caller.
    """

    site_name: str
    language: str
    instructions: str = ""
    caller_text: str = ""
    passages: Sequence[NumberedPassage] = ()
    uses_passages: bool = True
    cites: bool = True


@dataclass(frozen=True, slots=True)
class _SafePassage:
    number: int
    title: str
    text: str


def render_answer_prompt(prompt: AnswerPrompt) -> str:
    """The system text; its boundary is new each time, so no document can hold it."""
    return _render(prompt) if prompt.passages else _render_without_passages(prompt)


@lru_cache(maxsize=64)
def _render_without_passages(prompt: AnswerPrompt) -> str:
    return _render(prompt)


def _render(prompt: AnswerPrompt) -> str:
    passages = [
        _SafePassage(one.number, neutralise(one.title).replace("\n", " "), neutralise(one.text))
        for one in prompt.passages
    ]
    return _TEMPLATE.render(
        site_name=prompt.site_name,
        language=prompt.language,
        instructions=prompt.instructions.strip(),
        caller_text=prompt.caller_text.strip(),
        passages=passages,
        uses_passages=prompt.uses_passages,
        cites=prompt.cites,
        boundary=f"=== {secrets.token_hex(12)} ===",
    ).strip()


def neutralise(text: str) -> str:
    """A passage's text with nothing in it that a model would take for a turn of its own."""
    return _ROLE.sub(_split, break_control_tokens(text))


def break_control_tokens(text: str) -> str:
    """The text with every control token split by a space, so that no tokenizer sees one."""
    return _CONTROL.sub(_split, text)


def _split(found: re.Match[str]) -> str:
    return f"{found[0][0]} {found[0][1:]}"


_TEMPLATE: Final = Environment(
    loader=PackageLoader("sitebrook.prompts"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - a prompt is plain text, not HTML
    keep_trailing_newline=False,
).get_template("answer.md.j2")
