from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from sitebrook.chat.accounts import AnswerAccount
from sitebrook.providers.prices import Price
from sitebrook.providers.protocol import (
    Delta,
    FunctionDelta,
    PromptMessage,
    ProviderRequest,
    ToolCallDelta,
    Usage,
)
from sitebrook.telemetry.latency import Timings

_REQUEST = ProviderRequest(model="m", messages=(PromptMessage(role="user", content="x" * 41),))
_PRICE = Price(Decimal(1), Decimal(2))


def account(**over: object) -> AnswerAccount:
    return AnswerAccount(**{"request": _REQUEST, "price": _PRICE, **over})


def test_what_the_provider_counted_is_taken_and_priced():
    timings = Timings()
    usage = account(timings=timings).settle(Usage(7, 5), ["other", "text"])
    assert usage == Usage(7, 5, cost=Decimal("0.000017"))
    assert (timings.prompt_tokens, timings.completion_tokens, timings.cost) == (7, 5, 0.000017)


def test_without_a_count_everything_generated_is_estimated_and_still_priced():
    call = ToolCallDelta(index=0, function=FunctionDelta(name="f" * 20, arguments="a" * 21))
    beside = [Delta(reasoning_content="r" * 41), Delta(tool_calls=(call,)), Delta(refusal="n" * 41)]
    usage = account().settle(None, ["a" * 41, "b" * 41], beside)
    assert usage == Usage(14, 50, is_estimated=True, cost=Decimal("0.000114"))


def test_an_answer_without_any_text_costs_its_prompt():
    usage = account().settle(None, [])
    assert usage == Usage(14, 0, is_estimated=True, cost=Decimal("0.000014"))


def test_an_unknown_price_is_none_and_not_zero():
    timings = Timings()
    assert account(price=None, timings=timings).settle(Usage(7, 5), []).cost is None
    assert timings.cost is None


@pytest.mark.parametrize("told", [Usage(-1, 5), Usage(7, 2**31), Usage(7, 5, cached_tokens=-1)])
def test_counts_that_cannot_be_true_are_estimated_instead(told):
    assert account().settle(told, ["a" * 41]).prompt_tokens == 14
    assert account().settle(told, ["a" * 41]).is_estimated


def test_only_who_may_see_money_sees_it():
    usage = Usage(7, 5, cost=Decimal(1))
    assert account(shows_cost=True).to_shown(usage) == usage
    assert account().to_shown(usage).cost is msgspec.UNSET


def test_what_another_model_used_for_the_question_is_counted_with_the_answer():
    timings = Timings()
    before = Usage(10, 2, is_estimated=True, cached_tokens=3, cost=Decimal("0.5"))
    usage = account(before=before, timings=timings).settle(Usage(7, 5), [])
    assert usage == Usage(17, 7, is_estimated=True, cached_tokens=3, cost=Decimal("0.500017"))
    assert (timings.prompt_tokens, timings.cost) == (17, 0.500017)
    for one in (msgspec.structs.replace(before, cost=None), before):
        price = None if one is before else _PRICE
        assert account(before=one, price=price).settle(Usage(7, 5), []).cost is None
