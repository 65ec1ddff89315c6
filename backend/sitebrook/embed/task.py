"""A question put together step by step; each step gives a new one and leaves the old as it was."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from sitebrook.embed import session, sync
from sitebrook.embed.answers import AnswerStream, WholeAnswer
from sitebrook.embed.options import Options, Turn
from sitebrook.embed.session import Sitebrook
from sitebrook.embed.sync import SyncAnswerStream, SyncSitebrook
from sitebrook.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Task:
    """What to ask and how; made by ``task()``, asked any number of times.

    The last four methods ask: through an open session, or through one of their own. Wrong options
    are refused there.
    """

    _options: Options = field(default_factory=Options)
    _messages: tuple[Turn, ...] = ()

    def system(self, text: str) -> Self:
        """With instructions that follow the site's own."""
        return replace(self, _options={**self._options, "system": text})

    def message(self, content: str, *, role: Literal["user", "assistant"] = "user") -> Self:
        """With one more message; the last one is the question, those before it are its history."""
        return replace(self, _messages=(*self._messages, Turn(role, content)))

    def site(self, name: str) -> Self:
        """To the site of that name or id."""
        return replace(self, _options={**self._options, "site": name})

    def model(self, name: str) -> Self:
        """Answered by this model."""
        return replace(self, _options={**self._options, "model": name})

    def temperature(self, value: float) -> Self:
        """With this temperature, 0 to 2."""
        return replace(self, _options={**self._options, "temperature": value})

    def max_tokens(self, tokens: int) -> Self:
        """With at most this many tokens in the answer."""
        return replace(self, _options={**self._options, "max_tokens": tokens})

    def without_retrieval(self) -> Self:
        """Answered without the site's documents."""
        return replace(self, _options={**self._options, "retrieval": False})

    async def ask(self, sitebrook: Sitebrook | None = None) -> WholeAnswer:
        """The whole answer."""
        return await self.stream(sitebrook).to_whole()

    def stream(self, sitebrook: Sitebrook | None = None) -> AnswerStream:
        """The answer as it comes."""
        question, options = self._to_call()
        ask_stream = session.ask_stream if sitebrook is None else sitebrook.ask_stream
        return ask_stream(question, **options)

    def ask_sync(self, sitebrook: SyncSitebrook | None = None) -> WholeAnswer:
        """As ``ask``, without an event loop of the caller's."""
        question, options = self._to_call()
        ask = sync.ask_sync if sitebrook is None else sitebrook.ask
        return ask(question, **options)

    def stream_sync(self, sitebrook: SyncSitebrook | None = None) -> SyncAnswerStream:
        """As ``stream``, for a plain ``for``."""
        question, options = self._to_call()
        ask_stream = sync.ask_stream_sync if sitebrook is None else sitebrook.ask_stream
        return ask_stream(question, **options)

    def _to_call(self) -> tuple[str, Options]:
        if not self._messages or self._messages[-1].role != "user":
            raise InvalidRequest(
                "The last message must be the user's: it is the question.", param="message"
            )
        *history, asked = self._messages
        return asked.content, {**self._options, "history": history}


def task() -> Task:
    """A task with nothing in it yet."""
    return Task()
