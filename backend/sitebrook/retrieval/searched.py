"""What of a long question is searched."""

from __future__ import annotations

from typing import Final

MAX_SEARCHED_CHARACTERS: Final = 4_000
_HALF: Final = MAX_SEARCHED_CHARACTERS // 2


def to_searched(question: str) -> str:
    """The question, or the first and the last 2,000 characters of one that has more than 4,000.

    Who pastes a long text asks before or behind it; words from its middle would outweigh the
    question.
    """
    if len(question) <= MAX_SEARCHED_CHARACTERS:
        return question
    return f"{question[:_HALF]}\n{question[-_HALF:]}"
