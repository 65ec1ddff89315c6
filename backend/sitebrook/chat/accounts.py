"""What one answer used and what that cost, known when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
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
    ``before`` is what another model used for the question, which is counted with it.
    """

    request: ProviderRequest = ProviderRequest(model="", messages=())
    price: Price | None = None
    timings: Timings = msgspec.field(default_factory=Timings)
    shows_cost: bool = False
    before: Usage | None = None

    def settle(
        self, told: Usage | None, texts: Sequence[str], beside: Sequence[Delta] = ()
    ) -> Usage:
        """The answer's tokens and their cost, which the timings of the request get too.

        ``told`` is what the provider counted. Without it, or where it cannot be true, tokens are
        estimated from the prompt, the ``texts`` so far and what came ``beside`` them.
        """
        usage = told if told is not None and _is_possible(told) else self._estimate(texts, beside)
        cost = None if self.price is None else self.price.cost_of(usage)
        usage = msgspec.structs.replace(usage, cost=cost)
        if self.before is not None:
            usage = _add(self.before, usage)
        timings = self.timings
        timings.prompt_tokens = usage.prompt_tokens
        timings.completion_tokens = usage.completion_tokens
        timings.cost = float(usage.cost) if isinstance(usage.cost, Decimal) else None
        return usage

    def to_shown(self, usage: Usage) -> Usage:
        """The usage as the caller may see it."""
        return usage if self.shows_cost else msgspec.structs.replace(usage, cost=msgspec.UNSET)

    def _estimate(self, texts: Sequence[str], beside: Sequence[Delta]) -> Usage:
        generated = "".join((*texts, *map(text_beside, beside)))
        prompt = estimate_prompt_tokens(self.request)
        return Usage(prompt, estimate_tokens(generated), is_estimated=True)


def _add(first: Usage, second: Usage) -> Usage:
    """Both; what one did not tell is as if it had none, but money that is unknown stays so."""
    costs = [one.cost for one in (first, second) if isinstance(one.cost, Decimal)]
    return Usage(
        first.prompt_tokens + second.prompt_tokens,
        first.completion_tokens + second.completion_tokens,
        is_estimated=first.is_estimated or second.is_estimated,
        cached_tokens=_add_told(first.cached_tokens, second.cached_tokens),
        reasoning_tokens=_add_told(first.reasoning_tokens, second.reasoning_tokens),
        cost=sum(costs, Decimal(0)) if len(costs) == 2 else None,
    )


def _add_told(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _is_possible(usage: Usage) -> bool:
    counts = (usage.prompt_tokens, usage.completion_tokens)
    details = (usage.cached_tokens or 0, usage.reasoning_tokens or 0)
    return all(0 <= count <= _MOST_TOKENS for count in (*counts, *details))
