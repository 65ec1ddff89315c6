from __future__ import annotations

from decimal import Decimal

import pytest

from sitebrook.providers.prices import Price, PriceTable
from sitebrook.providers.protocol import Usage
from sitebrook.settings import ModelSettings


def table(*models: ModelSettings) -> PriceTable:
    return PriceTable(models)


def cost(usage: Usage, **prices: float) -> Decimal | None:
    price = table(ModelSettings(id="m", **prices)).find("m", "p", "x")
    assert price is not None
    return price.cost_of(usage)


def test_costs_are_exact_to_the_last_digit():
    assert cost(Usage(3, 7), input_price=0.1, output_price=0.3) == Decimal("0.0000024")
    one = cost(Usage(1, 0), input_price=0.1, output_price=0.0)
    assert one is not None
    assert sum([one] * 1_000_000, Decimal(0)) == Decimal("0.1")
    many = cost(Usage(2**31 - 1, 2**31 - 1), input_price=0.0375, output_price=999_999.9999)
    assert many == (2**31 - 1) * (Decimal("0.0375") + Decimal("999999.9999")) / 1_000_000


def test_cached_tokens_have_a_price_of_their_own_where_one_is_given():
    usage = Usage(100, 10, cached_tokens=40)
    prices = {"input_price": 1.0, "output_price": 2.0}
    assert cost(usage, **prices) == Decimal("0.00012")
    assert cost(usage, **prices, cached_input_price=0.5) == Decimal("0.0001")
    more_than_all = Usage(100, 10, cached_tokens=400)
    assert cost(more_than_all, **prices, cached_input_price=0.5) == Decimal("0.00007")


def test_reasoning_tokens_are_part_of_the_completion():
    usage = Usage(0, 10, reasoning_tokens=8)
    assert cost(usage, input_price=1.0, output_price=2.0) == Decimal("0.00002")


def test_a_cost_is_unknown_when_there_are_tokens_without_a_price():
    assert cost(Usage(5, 5), input_price=1.0) is None
    assert cost(Usage(5, 5), output_price=1.0) is None
    assert cost(Usage(5, 0), input_price=1.0) == Decimal("0.000005")


def test_a_price_of_zero_is_known_and_none_is_not():
    assert cost(Usage(5, 5), input_price=0.0, output_price=0.0) == 0
    assert table(ModelSettings(id="m")).find("m", "p", "x") is None


def test_the_step_that_answered_goes_before_the_model_that_was_asked_for():
    prices = table(
        ModelSettings(id="site-default", input_price=9, output_price=9),
        ModelSettings(id="cheap/small", input_price=1, output_price=2),
        ModelSettings(id="local/free"),
    )
    assert prices.find("site-default", "cheap", "small") == Price(Decimal(1), Decimal(2))
    for provider, model in (("other", "big"), ("local", "free")):
        found = prices.find("site-default", provider, model)
        assert found == Price(Decimal(9), Decimal(9))
    assert prices.find("auto", "other", "big") is None


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", '"free"', "1_000_001"])
def test_a_price_that_is_none_is_refused_at_the_start(value, tmp_path):
    from sitebrook.errors import StartError
    from sitebrook.settings import Settings

    file = tmp_path / "sitebrook.toml"
    row = f'[[models]]\nid = "m"\nroute = ["mock/mock"]\ninput_price = {value}\n'
    file.write_text(row, "utf-8")
    with pytest.raises(StartError, match=r"'m' input_price in the settings file"):
        Settings.load({"SITEBROOK_CONFIG": str(file)})
