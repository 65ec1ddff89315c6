"""From a question to an answer that has begun."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from sitebrook.chat.accounts import AnswerAccount
from sitebrook.chat.answer import Answer, AnswerOrigin
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.history import to_window, without_markers
from sitebrook.chat.question import Question
from sitebrook.chat.sources import LinkedPassage, Sources
from sitebrook.chat.standalone import FOUND_NOTHING, FollowUps, Standalone
from sitebrook.chat.turns import NewQuestion
from sitebrook.chat.writer import TurnWriter
from sitebrook.ids import new_id
from sitebrook.prompts.answer import AnswerPrompt, render_answer_prompt
from sitebrook.prompts.material import break_control_tokens
from sitebrook.providers.prices import PriceTable
from sitebrook.providers.protocol import PromptMessage, PromptPassage, ProviderRequest
from sitebrook.providers.router import Router
from sitebrook.providers.tokens import estimate_tokens
from sitebrook.retrieval.search import Passage, Searcher
from sitebrook.retrieval.within import Place
from sitebrook.settings import LimitSettings
from sitebrook.telemetry.latency import Timings

SignSource = Callable[[str], Awaitable[str]]
_TITLE_SEPARATOR: Final = " > "


@dataclass(frozen=True, slots=True)
class ChatParts:
    """What the pipeline works with; ``sign_source`` signs the link to a document by its id."""

    searcher: Searcher
    follow_ups: FollowUps
    router: Router
    conversations: Conversations
    writer: TurnWriter
    sign_source: SignSource
    limits: LimitSettings
    prices: PriceTable


class ChatService:
    """Answers questions from a site's knowledge."""

    def __init__(self, parts: ChatParts) -> None:
        self._parts = parts

    async def start(self, question: Question, answer_id: str, timings: Timings) -> Answer:
        """An answer whose first delta has arrived.

        Everything that can be refused is refused here: raises NotFound, InvalidRequest,
        ProviderError, Unavailable.
        """
        parts = self._parts
        model = parts.router.find_model(question.model)
        timings.model, timings.answer_id = model, answer_id
        history = list(question.history)
        if question.conversation_id is not None:
            await parts.writer.settle(question.conversation_id)
            history = await parts.conversations.load_history(
                question.caller, question.conversation_id
            )
            # A question to a known conversation is kept whatever becomes of it.
            self._keep(question, question.conversation_id)
        searched, passages = await self._search(question, history, timings)
        linked = [
            LinkedPassage(passage, await self._link(question, passage)) for passage in passages
        ]
        request = self._to_request(question, history, passages)
        since = time.perf_counter()
        opened = await parts.router.open(model, request)
        timings.note_phase("provider", since)
        timings.provider = opened.provider
        conversation_id, keep = question.conversation_id, None
        if conversation_id is None and question.is_stored:
            # Not before: a caller that is refused never learns the id of a new conversation.
            conversation_id = new_id("conv")
            keep = functools.partial(self._keep, question, conversation_id)
        origin = AnswerOrigin(
            id=answer_id,
            conversation_id=conversation_id,
            model=model,
            provider=opened.provider,
            upstream_model=opened.upstream_model,
            account=AnswerAccount(
                request=request,
                price=parts.prices.find(model, opened.provider, opened.upstream_model),
                timings=timings,
                shows_cost=question.caller.has_secret_key,
                before=searched.usage,
            ),
        )
        cites = question.cites and not question.retrieval.is_off
        sources = Sources(linked, question.text) if cites else None
        return Answer(origin, opened.stream, sources, parts.writer, keep)

    def _keep(self, question: Question, conversation_id: str) -> None:
        caller = question.caller
        if not question.is_stored:
            return
        self._parts.writer.put(
            NewQuestion(
                id=new_id("msg"),
                conversation_id=conversation_id,
                begins=question.conversation_id is None,
                content=question.text,
                site_id=caller.site.id,
                visitor_id=caller.visitor_id,
                origin=caller.origin or "",
            )
        )

    async def _search(
        self, question: Question, history: list[PromptMessage], timings: Timings
    ) -> tuple[Standalone, Sequence[Passage]]:
        """The question as it was searched, and what was found."""
        searched = Standalone(text=question.text)
        if question.retrieval.is_off:
            return searched, ()
        earlier = _without_repeat(history, question.text)
        searched = await self._to_standalone(question, earlier, timings)
        since = time.perf_counter()
        passages = await self._find(question, searched.text)
        if not passages and earlier and searched.made_by == "question":
            # "How long does it take to get there?" may still mean something after what was asked.
            searched = await self._to_standalone(question, earlier, timings, why=FOUND_NOTHING)
            if searched.made_by != "question":
                passages = await self._find(question, searched.text)
        elif not passages and searched.made_by != "question":
            passages = await self._find(question, question.text)
        timings.note_phase("retrieval", since)
        timings.searched_by = searched.made_by
        return searched, passages

    async def _to_standalone(
        self, question: Question, earlier: list[PromptMessage], timings: Timings, *, why: str = ""
    ) -> Standalone:
        since = time.perf_counter()
        made = await self._parts.follow_ups.to_standalone(question.text, earlier, why=why)
        if made.usage is not None or made.failure:
            timings.note_phase("follow_up", since)
        return made

    async def _find(self, question: Question, text: str) -> Sequence[Passage]:
        places = question.retrieval.places or (Place(question.caller.site.id),)
        found = [await self._find_in(place, question, text) for place in places]
        # Of several places together as many as of one.
        best = sorted((one for passages in found for one in passages), key=lambda one: -one.score)
        return best[: max(map(len, found))]

    async def _find_in(self, place: Place, question: Question, text: str) -> Sequence[Passage]:
        wanted = question.retrieval
        found = await self._parts.searcher.find(
            place.holder_id,
            text,
            limit=wanted.max_passages,
            min_score=wanted.min_score,
            document_ids=place.document_ids,
        )
        if place.select_held is None:
            return found.passages
        held = await place.select_held([one.document_id for one in found.passages])
        return [one for one in found.passages if one.document_id in held]

    def _to_request(
        self, question: Question, history: list[PromptMessage], passages: Sequence[Passage]
    ) -> ProviderRequest:
        site = question.caller.site
        numbered = tuple(
            PromptPassage(number, _TITLE_SEPARATOR.join((one.title, *one.headings)), one.text)
            for number, one in enumerate(passages, start=1)
        )
        system = render_answer_prompt(
            AnswerPrompt(
                site_name=site.name,
                language=site.language,
                instructions=site.instructions,
                caller_text=question.caller_text,
                passages=numbered,
                uses_passages=not question.retrieval.is_off,
                cites=question.cites,
            )
        )
        window = to_window(
            _without_repeat(history, question.text),
            max_tokens=self._parts.limits.history_tokens,
            count=estimate_tokens,
        )
        return ProviderRequest(
            model="",
            messages=(
                PromptMessage(role="system", content=system),
                *self._to_turns(question, window),
            ),
            options=question.options,
            passages=numbered,
            language=site.language,
            uses_passages=not question.retrieval.is_off,
        )

    @staticmethod
    def _to_turns(question: Question, window: list[PromptMessage]) -> list[PromptMessage]:
        turns = [*(without_markers(turn) for turn in window), question.message, *question.turns]
        if question.caller.has_secret_key:
            return turns
        # What a visitor writes must not open a turn of its own in the model's chat format.
        return [
            msgspec.structs.replace(turn, content=break_control_tokens(turn.text)) for turn in turns
        ]

    async def _link(self, question: Question, passage: Passage) -> str:
        if passage.url:
            return passage.url
        signature = await self._parts.sign_source(passage.document_id)
        return f"{question.base_url}/sources/{passage.document_id}?signature={signature}"


def _without_repeat(history: list[PromptMessage], text: str) -> list[PromptMessage]:
    """The history without a last question that got no answer and is asked again now."""
    if history and history[-1].role == "user" and history[-1].text == text:
        return history[:-1]
    return history
