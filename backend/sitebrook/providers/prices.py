"""What an answer costs: the operator's prices times its tokens, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Final

import msgspec

from sitebrook.providers.protocol import Usage
from sitebrook.settings import ModelSettings

# Wide enough that no product or sum of tokens and prices is ever rounded.
_EXACT: Final = Context(prec=100)
_PER_TOKENS: Final = -6  # prices are per million


class Price(msgspec.Struct, frozen=True):
    """Money per million tokens; None is unknown. Cached input costs as other input when unknown."""

    input: Decimal | None
    output: Decimal | None
    cached_input: Decimal | None = None

    def cost_of(self, usage: Usage) -> Decimal | None:
        """The money for the tokens; None when there are tokens whose price is unknown."""
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        rows = (
            (usage.prompt_tokens - cached, self.input),
            (cached, self.input if self.cached_input is None else self.cached_input),
            (usage.completion_tokens, self.output),
        )
        cost = Decimal(0)
        for tokens, price in rows:
            if tokens and price is None:
                return None
            cost = _EXACT.fma(Decimal(tokens), price or Decimal(0), cost)
        return _EXACT.scaleb(cost, _PER_TOKENS)


class PriceTable:
    """The prices of the catalogue."""

    def __init__(self, models: Iterable[ModelSettings]) -> None:
        prices = ((model.id, _to_price(model)) for model in models)
        self._prices = {model_id: price for model_id, price in prices if price is not None}

    def find(self, model_id: str, provider: str, upstream_model: str) -> Price | None:
        """What an answer costs that the provider gave for ``model_id``; None is unknown.

        The price of the route's step, a model with the id ``provider/upstream_model``, goes before
        the one of the model that was asked for.
        """
        step = self._prices.get(f"{provider}/{upstream_model}")
        return step or self._prices.get(model_id)


def _to_price(model: ModelSettings) -> Price | None:
    given = (model.input_price, model.output_price, model.cached_input_price)
    if all(price is None for price in given):
        return None
    # Through its shortest text, a price is the decimal that the operator wrote.
    exact = [None if price is None else Decimal(repr(price)) for price in given]
    return Price(*exact)
