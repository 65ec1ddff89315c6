"""Asking from a program: a session over the parts of this process, and one-shot functions."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncGenerator
from typing import Unpack

from sitebrook.access.choice import choose_site
from sitebrook.chat.answer import Answer
from sitebrook.embed.answers import AnswerStream, WholeAnswer
from sitebrook.embed.options import Asked, Options, to_asked
from sitebrook.ids import new_id
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.telemetry.latency import Timings
from sitebrook.wiring.session import open_parts

_LOG = logging.getLogger(__name__)


class Sitebrook:
    """Asks the sites of one database; connections are kept between questions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ask(self, question: str, **options: Unpack[Options]) -> WholeAnswer:
        """The whole answer."""
        return await self.ask_stream(question, **options).to_whole()

    def ask_stream(self, question: str, **options: Unpack[Options]) -> AnswerStream:
        """The answer as it comes. A wrong option is refused at once."""
        asked = to_asked(question, options)
        return AnswerStream(lambda: self.begin(asked))

    @contextlib.asynccontextmanager
    async def begin(self, asked: Asked) -> AsyncGenerator[Answer]:
        """The answer that the question gets, from its first delta."""
        parts = self._parts
        secret_key = parts.settings.client.secret_key
        site = await choose_site(parts.database, asked.site, secret_key, option="site=")
        question = asked.to_question(site, parts.settings)
        yield await parts.chat.start(question, new_id("ans"), Timings())


@contextlib.asynccontextmanager
async def open(settings: Settings | None = None) -> AsyncGenerator[Sitebrook]:  # noqa: A001 - read as embed.open, like gzip.open
    """A session for the length of a block, with the settings of the environment unless given.

    The database is the one of DATABASE_URL, else the embedded one, which is started or joined.
    Raises StartError when there is none.
    """
    found = Settings.load(os.environ) if settings is None else settings
    async with open_parts(found, _LOG.info) as parts:
        yield Sitebrook(parts)


async def ask(question: str, **options: Unpack[Options]) -> WholeAnswer:
    """The whole answer to one question; opens and ends a session for it."""
    return await ask_stream(question, **options).to_whole()


def ask_stream(question: str, **options: Unpack[Options]) -> AnswerStream:
    """The answer to one question as it comes; the session opened for it ends with it."""
    asked = to_asked(question, options)

    @contextlib.asynccontextmanager
    async def begin() -> AsyncGenerator[Answer]:
        async with open() as sitebrook, sitebrook.begin(asked) as answer:
            yield answer

    return AnswerStream(begin)
