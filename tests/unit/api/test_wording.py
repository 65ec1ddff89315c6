from __future__ import annotations

import pytest

from sitebrook.api.wording import to_message


@pytest.mark.parametrize(
    ("text", "param", "message"),
    [
        (
            "Expected `int | null`, got `str`",
            "max_tokens",
            "max_tokens must be a whole number or null, not text.",
        ),
        (
            "Expected `str | array | null`, got `int`",
            "stop",
            "stop must be text or a list or null, not a whole number.",
        ),
        ("Expected `object`, got `array`", None, "The body must be an object, not a list."),
        (
            "Expected `bool | null`, got `str`",
            "stream",
            "stream must be true or false or null, not text.",
        ),
    ],
)
def test_a_value_of_a_wrong_kind_is_told_by_the_name_of_its_field(
    text: str, param: str | None, message: str
) -> None:
    assert to_message(text, param, None) == message
