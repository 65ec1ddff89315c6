"""The system text of an answer, with the passages in a block that they cannot close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from sitebrook.prompts.material import TEMPLATES, neutralise, new_boundary


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
        boundary=new_boundary(),
    ).strip()


_TEMPLATE: Final = TEMPLATES.get_template("answer.md.j2")
