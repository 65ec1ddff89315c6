from __future__ import annotations

import pytest

from sitebrook.providers.protocol import (
    FunctionSpec,
    GenerationOptions,
    PromptMessage,
    ProviderRequest,
    Tool,
)
from sitebrook.providers.tokens import estimate_prompt_tokens, estimate_tokens


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        # from the Universal Declaration of Human Rights, counted with o200k_base
        (
            "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Ve"
            "rnunft und Gewissen begabt und sollen einander im Geist der Brüderlich"
            "keit begegnen. Jeder hat das Recht auf Leben, Freiheit und Sicherheit "
            "der Person.",
            51,
        ),
        (
            "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделе"
            "ны разумом и совестью и должны поступать в отношении друг друга в духе"
            " братства. Каждый человек имеет право на жизнь, на свободу и на личную"
            " неприкосновенность.",
            61,
        ),
        (
            "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعلي"
            "هم أن يعامل بعضهم بعضاً بروح الإخاء. لكل فرد حق في الحياة والحرية وفي "
            "الأمان على شخصه.",
            58,
        ),
        (
            "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。人人有资格享受本宣言所载的一切权利和自由。人人有权享有生命、自由和人身安全。",
            67,
        ),
    ],
)
def test_an_estimate_is_within_a_fifth_of_what_was_counted(text, counted):
    assert estimate_tokens(text) == pytest.approx(counted, rel=0.2)


def test_scripts_that_vocabularies_know_less_cost_more():
    letters = ("a", "я", "न", "ا", "한", "字")
    estimates = [estimate_tokens(letter * 400) for letter in letters]
    assert estimates == sorted(set(estimates))


def test_only_the_empty_text_has_no_tokens():
    assert estimate_tokens("") == 0
    assert estimate_tokens("a") == estimate_tokens("é") == 1


def test_a_prompt_counts_messages_and_tools():
    message = PromptMessage(role="user", content="x" * 40)
    plain = ProviderRequest(model="m", messages=(message, message))
    assert estimate_prompt_tokens(plain) == 2 * (4 + 10)
    tools = (Tool(FunctionSpec("find", "Finds things", {"type": "object"})),)
    assert (
        estimate_prompt_tokens(
            ProviderRequest(
                model="m", messages=(message, message), options=GenerationOptions(tools=tools)
            )
        )
        > 40
    )
