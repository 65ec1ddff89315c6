"""What is searched for a question: the question, or one made of it and the turns before it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from sitebrook.chat.accounts import AnswerAccount
from sitebrook.chat.follow_ups import join_earlier, why_follow_up
from sitebrook.chat.history import to_window, without_markers
from sitebrook.errors import RequestError
from sitebrook.prompts.follow_up import Turn, render_follow_up_prompt
from sitebrook.providers.prices import PriceTable
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    GenerationOptions,
    PromptMessage,
    ProviderRequest,
    Usage,
)
from sitebrook.providers.router import OpenedRoute, Router
from sitebrook.providers.tokens import estimate_tokens
from sitebrook.settings import FollowUpSettings

_LOG: Final = logging.getLogger(__name__)
_WINDOW_TOKENS: Final = 1_500
_MOST_TURNS: Final = 6
_ANSWER_TOKENS: Final = 200
_MOST_CHARACTERS: Final = 600
FOUND_NOTHING: Final = "nothing was found for it alone"


class Standalone(msgspec.Struct, frozen=True, kw_only=True):
    """The question as it is searched.

    ``made_by`` says who made it of the turns before, ``why`` what for. ``failure`` says why a
    model that is set did not make it. ``usage`` is what the model used, with its cost.
    """

    text: str
    made_by: Literal["question", "rule", "model"] = "question"
    why: str = ""
    failure: str = ""
    usage: Usage | None = None


class FollowUps:
    """Makes follow-up questions whole, by a rule, or by a model when one is set."""

    def __init__(self, router: Router, prices: PriceTable, settings: FollowUpSettings) -> None:
        self._router = router
        self._prices = prices
        self._settings = settings

    async def to_standalone(
        self, question: str, history: Sequence[PromptMessage], *, why: str = ""
    ) -> Standalone:
        """The question to search for after the turns of ``history``, oldest first.

        It is the question itself unless the rule, or ``why``, says that it needs them. A model that
        fails or takes too long leaves it to the rule.
        """
        earlier = [turn.text for turn in history if turn.role == "user" and turn.text.strip()]
        why = why or (why_follow_up(question) if earlier else "")
        if not earlier or not why:
            return Standalone(text=question)
        by_rule = Standalone(text=join_earlier(question, earlier), made_by="rule", why=why)
        if self._settings.model is None:
            return by_rule
        made, text = _Made(), ""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                text = await self._ask(self._settings.model, question, history, made)
        except TimeoutError:
            failure = f"the model did not answer within {self._settings.timeout_s:g} s"
        except RequestError as error:
            failure = f"the model failed: {error.message}"
        else:
            failure = "" if text else "the model gave no question"
        usage = made.settle()
        if failure:
            _LOG.warning("a follow-up question is made whole by the rule: %s", failure)
            return msgspec.structs.replace(by_rule, failure=failure, usage=usage)
        return Standalone(text=text, made_by="model", why=why, usage=usage)

    async def _ask(
        self, model: str, question: str, history: Sequence[PromptMessage], made: _Made
    ) -> str:
        """The model's question; empty when what it said is none."""
        turns = [without_markers(turn) for turn in history if turn.role in {"user", "assistant"}]
        window = to_window(turns[-_MOST_TURNS:], max_tokens=_WINDOW_TOKENS, count=estimate_tokens)
        prompt = render_follow_up_prompt([Turn(one.role, one.text) for one in window], question)
        request = ProviderRequest(
            model="",
            messages=(PromptMessage(role="user", content=prompt),),
            options=GenerationOptions(max_tokens=_ANSWER_TOKENS),
            uses_passages=False,
        )
        model = self._router.find_model(model)
        opened = await self._router.open(model, request)
        price = self._prices.find(model, opened.provider, opened.upstream_model)
        made.begin(AnswerAccount(request=request, price=price))
        return await made.read(opened)


class _Made:
    """What a model says, and what it used, also when it is broken off."""

    def __init__(self) -> None:
        self._account: AnswerAccount | None = None
        self._pieces: list[str] = []
        self._told: Usage | None = None

    def begin(self, account: AnswerAccount) -> None:
        """The model has begun; from now on it counts."""
        self._account = account

    async def read(self, opened: OpenedRoute) -> str:
        """One line of text that ended by itself; empty otherwise."""
        is_whole = False
        async with contextlib.aclosing(opened.stream) as stream:
            async for event in stream:
                if isinstance(event, Delta):
                    self._pieces.append(event.content)
                elif isinstance(event, Finish):
                    is_whole = event.reason == "stop"
                else:
                    self._told = event
        text = "".join(self._pieces).strip().strip("\"'\u201c\u201d\u00ab\u00bb ")
        is_line = "\n" not in text and len(text) <= _MOST_CHARACTERS
        return text if is_whole and is_line else ""

    def settle(self) -> Usage | None:
        """The tokens and their cost; None when no model began."""
        return None if self._account is None else self._account.settle(self._told, self._pieces)
