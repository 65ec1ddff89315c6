"""What the mock answers: from the passages, from a tool's result, or by itself."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from sitebrook.providers.mock.excerpts import additions, best_excerpt
from sitebrook.providers.mock.ranking import Ranking
from sitebrook.providers.mock.wording import language_of, small_talk, wording_of
from sitebrook.providers.protocol import PromptMessage, PromptPassage, ProviderRequest

_LEAST_COVERAGE: Final = 0.25  # below this the passages speak of something else
_SHOWN_TOOL_LINES: Final = 20


def question_of(messages: tuple[PromptMessage, ...]) -> str:
    """The text of the last user message."""
    return next((one.text for one in reversed(messages) if one.role == "user"), "")


def compose(request: ProviderRequest, variant: int) -> str:
    """The answer in Markdown; ``variant`` chooses between wordings of the same."""
    question = question_of(request.messages)
    language = language_of(question, request.language)
    wording = wording_of(language)
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "tool":
        lead = wording.tool_result.format(name=_name_of_tool(request.messages, last))
        return f"{lead}\n\n{_shown_result(last.text)}"
    talk = small_talk(question, language)
    if talk is not None:
        return talk
    if request.passages:
        found = _from_passages(question, request.passages, request.language, variant)
        return wording.not_found if found is None else found
    if request.uses_passages:
        return wording.not_found
    return f"{wording.plain}\n\n{_quoted(question)}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n"))


def _from_passages(
    question: str, passages: tuple[PromptPassage, ...], default: str, variant: int
) -> str | None:
    """An answer quoted from the passages; None when none of them speaks of it.

    It is in the language of the question or, where its words do not tell, of the first passage.
    """
    language = language_of(question, "") or language_of(passages[0].text, default)
    ranking = Ranking(question, passages, language)
    if ranking.coverage() < _LEAST_COVERAGE:
        return None
    found = best_excerpt(ranking)
    if found is None:
        return None
    wording = wording_of(language)
    lead = wording.leads[variant % len(wording.leads)]
    also = wording.also[variant % len(wording.also)]
    parts = [lead, *found.parts] if lead else found.parts
    added = additions(ranking, found)
    return "\n\n".join([*parts, also, "\n".join(added)] if added else parts)


def _name_of_tool(messages: tuple[PromptMessage, ...], result: PromptMessage) -> str:
    calls = (call for message in messages for call in message.tool_calls)
    named = (call.function.name for call in calls if call.id == result.tool_call_id)
    return next(named, result.name or "tool")


def _shown_result(text: str) -> str:
    """A tool's result as a list, where it is a JSON object, else as it is."""
    try:
        parsed = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text.strip()
    if not isinstance(parsed, dict):
        return text.strip()
    rows = list(cast("dict[str, Any]", parsed).items())[:_SHOWN_TOOL_LINES]
    return "\n".join(f"- {key}: {_shown_value(value)}" for key, value in rows)


def _shown_value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
