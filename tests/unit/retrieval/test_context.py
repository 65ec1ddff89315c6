from __future__ import annotations

from sitebrook.retrieval.context import join_texts


def test_what_the_second_text_repeats_stands_once() -> None:
    first = "The shop opens at nine. It closes at five on weekdays."
    assert join_texts(first, "It closes at five on weekdays. On Sundays it rests.") == (
        f"{first} On Sundays it rests."
    )


def test_texts_without_repetition_are_paragraphs() -> None:
    assert join_texts("one two three", "four five six") == "one two three\n\nfour five six"
    assert join_texts("it ends in a", "a new one") == "it ends in a\n\na new one"


def test_the_longest_repetition_counts() -> None:
    assert join_texts("na na na na batman", "na na na batman returns") == (
        "na na na na batman returns"
    )
