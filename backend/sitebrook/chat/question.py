"""What is asked, after the border has checked it and before anything is looked up."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sitebrook.access.gate import Caller
from sitebrook.providers.protocol import GenerationOptions, PromptMessage
from sitebrook.retrieval.within import Place

MAX_MESSAGES: Final = 200
MAX_MESSAGE_CHARACTERS: Final = 100_000
# PostgreSQL stores no NUL, and UTF-8 has no half of a surrogate pair.
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with U+FFFD for characters that can be neither stored nor sent."""
    return _UNSTORABLE.sub("\ufffd", text)


class RetrievalOptions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How passages are found for one question; None leaves it to the settings.

    ``places`` are searched instead of the site's documents, if there are any.
    """

    is_off: bool = False
    max_passages: int | None = None
    min_score: float | None = None
    places: tuple[Place, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question of one caller.

    ``text`` is the last thing a user said; ``history`` the turns before it and ``turns`` what
    follows it (a tool's calls and results). ``base_url`` is where links to sources begin.
    """

    caller: Caller
    text: str
    message: PromptMessage
    model: str
    base_url: str
    history: tuple[PromptMessage, ...] = ()
    turns: tuple[PromptMessage, ...] = ()
    caller_text: str = ""
    conversation_id: str | None = None
    is_stored: bool = True
    options: GenerationOptions = GenerationOptions()
    retrieval: RetrievalOptions = RetrievalOptions()

    @property
    def cites(self) -> bool:
        """Whether markers fit the form of the answer that the caller wants."""
        wanted = self.options.response_format
        return not self.options.tools and (wanted is None or wanted.type == "text")
