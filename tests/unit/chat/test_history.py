from __future__ import annotations

from sitebrook.chat.history import to_window, without_markers
from sitebrook.providers.protocol import PromptMessage


def message(role: str, content: str) -> PromptMessage:
    return PromptMessage(role=role, content=content)


def test_the_newest_turns_that_fit_are_kept_in_order() -> None:
    turns = [message("user", "aaaa"), message("assistant", "bbbb"), message("user", "cc")]
    assert to_window(turns, max_tokens=10, count=len) == turns
    assert to_window(turns, max_tokens=5, count=len) == turns[2:]
    assert to_window(turns, max_tokens=1, count=len) == []


def test_a_window_never_begins_with_an_answer() -> None:
    turns = [message("user", "aaaaaaaa"), message("assistant", "b"), message("user", "c")]
    assert to_window(turns, max_tokens=4, count=len) == turns[2:]


def test_earlier_answers_lose_their_markers() -> None:
    assert without_markers(message("assistant", "Yes [1][2].")).content == "Yes."
    assert without_markers(message("user", "What is [1]?")).content == "What is [1]?"


def test_brackets_in_the_code_of_an_earlier_answer_stay() -> None:
    text = "Take `items[0]` [1]:\n```python\nx = items[1]\n```\nDone [2]."
    kept = "Take `items[0]`:\n```python\nx = items[1]\n```\nDone."
    assert without_markers(message("assistant", text)).content == kept
