"""What one answer used and what that cost, known when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sitebrook.providers.prices import Price
from sitebrook.providers.protocol import Delta, ProviderRequest, Usage
from sitebrook.providers.tokens import estimate_prompt_tokens, estimate_tokens, text_beside
from sitebrook.telemetry.latency import Timings

_MOST_TOKENS: Final = 2**31 - 1  # of a column; no answer has them


class AnswerAccount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Counts one answer: by the provider's word, else by an estimate; and prices it.

    ``price`` None is unknown. ``shows_cost`` is False where the caller must not see money.
    """

    request: ProviderRequest = ProviderRequest(model="", messages=())
    price: Price | None = None
    timings: Timings = msgspec.field(default_factory=Timings)
    shows_cost: bool = False

    def settle(
        self, told: Usage | None, texts: Sequence[str], beside: Sequence[Delta] = ()
    ) -> Usage:
        """The answer's tokens and their cost, which the timings of the request get too.

        ``told`` is what the provider counted. Without it, or where it cannot be true, tokens are
        estimated from the prompt, the ``texts`` so far and what came ``beside`` them.
        """
        usage = told if told is not None and _is_possible(told) else self._estimate(texts, beside)
        cost = None if self.price is None else self.price.cost_of(usage)
        timings = self.timings
        timings.prompt_tokens = usage.prompt_tokens
        timings.completion_tokens = usage.completion_tokens
        timings.cost = None if cost is None else float(cost)
        return msgspec.structs.replace(usage, cost=cost)

    def to_shown(self, usage: Usage) -> Usage:
        """The usage as the caller may see it."""
        return usage if self.shows_cost else msgspec.structs.replace(usage, cost=msgspec.UNSET)

    def _estimate(self, texts: Sequence[str], beside: Sequence[Delta]) -> Usage:
        generated = "".join((*texts, *map(text_beside, beside)))
        prompt = estimate_prompt_tokens(self.request)
        return Usage(prompt, estimate_tokens(generated), is_estimated=True)


def _is_possible(usage: Usage) -> bool:
    counts = (usage.prompt_tokens, usage.completion_tokens)
    details = (usage.cached_tokens or 0, usage.reasoning_tokens or 0)
    return all(0 <= count <= _MOST_TOKENS for count in (*counts, *details))
