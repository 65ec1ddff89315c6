from __future__ import annotations

from sitebrook.retrieval.searched import MAX_SEARCHED_CHARACTERS, to_searched


def test_a_question_of_ordinary_length_is_searched_as_it_is() -> None:
    for question in ("", "When do you open?", "x" * MAX_SEARCHED_CHARACTERS):
        assert to_searched(question) == question


def test_of_a_long_one_the_beginning_and_the_end_are_searched() -> None:
    question = f"What is wrong here? {'at line 5 ' * 10_000} How do I mend it?"
    searched = to_searched(question)
    assert searched.startswith("What is wrong here? at line 5")
    assert searched.endswith("at line 5  How do I mend it?")
    assert len(searched) <= MAX_SEARCHED_CHARACTERS + 1
