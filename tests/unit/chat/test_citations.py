from __future__ import annotations

import random

import pytest
from tests.unit.chat.passages import FakePassage, answer

from sitebrook.chat.citations import find_quote

_HOURS = FakePassage(
    "The library opens at nine on weekdays. On Sundays it opens at noon. Dogs stay outside.",
    title="Hours",
)
_FEES = FakePassage(
    "A card costs twelve euros a year. Lost cards are replaced for three euros.", title="Fees"
)


def test_the_quote_is_the_sentence_that_fits_the_answer_and_stands_in_the_passage() -> None:
    passage = "Sitebrook stores answers. The port is 8000 unless set. Another sentence."
    quote = find_quote(passage, "It listens on port 8000.", "en")
    assert quote == "The port is 8000 unless set."


def test_a_long_quote_is_cut_between_words() -> None:
    passage = "word " * 200
    quote = find_quote(passage, "word", "en")
    assert len(quote) <= 300
    assert passage.startswith(quote)
    assert not quote.endswith("wor")


@pytest.mark.parametrize(
    ("language", "passage", "statement", "quote"),
    [
        (
            "zh",
            "图书馆周一至周五九点开门。周日中午开门。狗不能进入。",
            "周日它在中午开门。",
            "周日中午开门。",
        ),
        (
            "ja",
            "図書館は平日九時に開きます。日曜日は正午に開きます。犬は入れません。",
            "日曜日には正午に開館します。",
            "日曜日は正午に開きます。",
        ),
        (
            "ar",
            "تفتح المكتبة في التاسعة أيام الأسبوع. هل تفتح يوم الأحد؟ نعم، تفتح ظهرا يوم الأحد.",
            "يوم الأحد تفتح ظهرا.",
            "نعم، تفتح ظهرا يوم الأحد.",
        ),
        (
            "de",
            "Die Bücherei öffnet um neun. Sonntags öffnet sie mittags. Hunde bleiben draußen.",
            "An Sonntagen wird mittags geöffnet.",
            "Sonntags öffnet sie mittags.",
        ),
    ],
)
def test_the_quote_is_a_sentence_in_every_script(
    language: str, passage: str, statement: str, quote: str
) -> None:
    assert find_quote(passage, statement, language) == quote


def test_each_quote_fits_the_statement_that_its_marker_stands_behind() -> None:
    text = "A card costs twelve euros [2]. On Sundays the doors open at noon. [1] Bring your dog."
    answered = answer(text, [_HOURS, _FEES])
    assert [(one.title, one.quote) for one in answered.citations] == [
        ("Fees", "A card costs twelve euros a year."),
        ("Hours", "On Sundays it opens at noon."),
    ]


def test_a_quote_always_stands_in_its_passage() -> None:
    chance = random.Random(7)
    pieces = [
        "Noon. ",
        "nine\n\n",
        "周日中午开门。",
        "| a | b |\n",
        "`x[0]` ",
        "\u2026 ",
        "![i](u) ",
    ]
    for _ in range(200):
        texts = ["".join(chance.choices(pieces, k=chance.randrange(1, 90))) for _ in range(2)]
        text = "".join(chance.choices([*pieces, "[1]", "[2] ", " [3]"], k=20))
        passages = [FakePassage(one, language="") for one in texts]
        answered = answer(text, passages)
        for citation in answered.citations:
            assert 0 < len(citation.quote) <= 300
            assert any(citation.quote in one for one in texts)


@pytest.mark.parametrize(
    "quoted",
    [
        'They say "On Sundays it opens at noon."',
        "They say \u201con Sundays  it opens at NOON\u201d,",
        "They say \u00abOn Sundays \u2026 opens at noon\u00bb",
        'They say *"On Sundays it opens at noon"*',
    ],
)
def test_a_marker_behind_a_quotation_names_the_passage_that_has_it(quoted: str) -> None:
    answered = answer(f"{quoted} [2].", [_HOURS, _FEES])
    assert answered.titles == ["Hours"]
    assert answered.text == f"{quoted} [1]."


@pytest.mark.parametrize(
    "quoted",
    [
        'They say "On Sundays it opens at midnight"',
        "They say \u201eA card costs thirty euros a year\u201c",
        "They say \u300c\u5468\u65e5\u4e0b\u5348\u4e09\u70b9\u95ed\u9986\u300d",
        'They say "opens at noon \u2026 on Sundays it is"',
    ],
)
def test_a_marker_behind_a_quotation_that_no_passage_has_is_dropped(quoted: str) -> None:
    answered = answer(f"{quoted} [1].", [_HOURS, _FEES])
    assert answered.text == f"{quoted} ."
    assert answered.citations == ()


@pytest.mark.parametrize(
    "text",
    [
        'The "Sunday rule" [1].',
        'A 5" shelf and some more that is said about it and a 6" [1].',
        '"On Mondays nobody is here at all", said nobody, but cards are sold [1].',
        "Don't take 'what is not a quotation of anything' [1].",
        'Set `title = "not from any of the passages"` first, then ask [1].',
    ],
)
def test_what_is_no_quotation_right_before_the_marker_is_not_checked(text: str) -> None:
    assert answer(text, [_HOURS, _FEES]).text == text


def test_a_quotation_may_be_of_the_heading_and_across_markup() -> None:
    passage = FakePassage(
        "Please **ask** the [front desk](https://example.com/desk) for a card.",
        headings=("How to become a member of the library",),
    )
    for quotation in ("Please ask the front desk for a card", "how to become a member of the"):
        assert answer(f'It says "{quotation}" [1].', [passage]).text.endswith(" [1].")


def test_far_behind_the_beginning_a_citation_quotes_for_what_stands_by_its_marker() -> None:
    talk = "The library opens at nine on weekdays. " + "So it has always been. " * 3_000
    found = answer(f"{talk}Leave your dogs outside [1].", [_HOURS])
    assert found.markers[0].start > 50_000
    assert [one.quote for one in found.citations] == ["Dogs stay outside."]
