"""What a model is told that makes a follow-up question whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sitebrook.prompts.material import TEMPLATES, neutralise, new_boundary

_TEMPLATE: Final = TEMPLATES.get_template("follow_up.md.j2")


class Turn(NamedTuple):
    """An earlier turn; ``role`` is ``user`` or that of an answer."""

    role: str
    text: str


def render_follow_up_prompt(turns: Sequence[Turn], question: str) -> str:
    """The text that asks for the question alone, after the turns before it, oldest first."""
    safe = [Turn(one.role, _to_line(one.text)) for one in turns]
    return _TEMPLATE.render(turns=safe, question=_to_line(question), boundary=new_boundary())


def _to_line(text: str) -> str:
    return neutralise(" ".join(text.split()))
