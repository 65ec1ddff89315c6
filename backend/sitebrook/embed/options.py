"""What a program may ask with, checked as the HTTP API checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypedDict, cast

import msgspec

from sitebrook.access.gate import Caller
from sitebrook.access.sites import Site
from sitebrook.chat.question import (
    MAX_MESSAGE_CHARACTERS,
    MAX_MESSAGES,
    Question,
    RetrievalOptions,
    clean_text,
)
from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import GenerationOptions, PromptMessage
from sitebrook.settings import Settings

_AT_PATH: Final = re.compile(r" - at `\$\.([^`]*)`$")

Text = Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_CHARACTERS)]


class Turn(msgspec.Struct, frozen=True):
    """An earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: Text


class Options(TypedDict, total=False):
    """Keywords of every way to ask; each may be left out.

    ``site`` is a name or an id; without it SITEBROOK_SECRET_KEY names the site, or there is only
    one. ``history`` holds earlier turns, oldest first, as ``Turn`` or as mappings with ``role``
    (user or assistant) and ``content``. ``system`` follows the site's own instructions.
    ``retrieval=False`` answers without the site's documents.
    """

    site: str | None
    model: str | None
    retrieval: bool
    system: str | None
    history: Sequence[Turn | Mapping[str, str]]
    temperature: float | None
    max_tokens: int | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its options, checked."""

    question: Text
    site: str | None = None
    model: str | None = None
    retrieval: bool = True
    system: Text | None = None
    history: Annotated[tuple[Turn, ...], msgspec.Meta(max_length=MAX_MESSAGES)] = ()
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def to_question(self, site: Site, settings: Settings) -> Question:
        """The question to ``site``; nothing of it is stored."""
        text = clean_text(self.question).strip()
        base_url = settings.client.url or settings.server.url
        return Question(
            caller=Caller(site, "", "site", None),
            text=text,
            message=PromptMessage(role="user", content=text),
            model=self.model or settings.client.model or site.model,
            base_url=base_url.rstrip("/"),
            history=tuple(
                PromptMessage(role=turn.role, content=clean_text(turn.content))
                for turn in self.history
            ),
            caller_text=clean_text(self.system or ""),
            is_stored=False,
            options=GenerationOptions(max_tokens=self.max_tokens, temperature=self.temperature),
            retrieval=RetrievalOptions(is_off=not self.retrieval),
        )


def to_asked(question: str, options: Mapping[str, Any]) -> Asked:
    """The question with its options.

    Raises InvalidRequest that names the wrong one, TypeError for an option that does not exist.
    """
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"There is no option '{min(unknown)}'. Known: {known}.")
    given = {**options, "question": question}
    if isinstance(history := options.get("history"), list | tuple):
        # A struct that is one already would be taken unchecked.
        given["history"] = [_to_mapping(turn) for turn in cast("Sequence[object]", history)]
    try:
        asked = msgspec.convert(given, Asked)
    except msgspec.ValidationError as error:
        found = _AT_PATH.search(str(error))
        param = found[1] if found else None
        message = f"{param or 'An option'} is wrong: {_AT_PATH.sub('', str(error))}."
        raise InvalidRequest(message, param=param, code="invalid_value") from None
    if not clean_text(asked.question).strip():
        raise InvalidRequest("The question is empty.", param="question")
    return asked


def _to_mapping(turn: object) -> object:
    return msgspec.structs.asdict(turn) if isinstance(turn, Turn) else turn
