from __future__ import annotations

import re

import pytest

from sitebrook.prompts.answer import AnswerPrompt, render_answer_prompt
from sitebrook.prompts.material import neutralise
from sitebrook.providers.protocol import PromptPassage


def render(**over: object) -> str:
    return render_answer_prompt(AnswerPrompt(**{"site_name": "Docs", "language": "en", **over}))


def test_passages_stand_numbered_between_two_random_lines() -> None:
    passages = [PromptPassage(1, "Guide > Start", "Run it."), PromptPassage(2, "API", "Call it.")]
    first, second = render(passages=passages), render(passages=passages)
    boundaries = re.findall(r"^=== [0-9a-f]{24} ===$", first, re.MULTILINE)
    assert len(boundaries) == 2
    block = first.split(boundaries[0])[2]
    assert "[1] Guide > Start\nRun it." in block
    assert "[2] API\nCall it." in block
    assert boundaries[0] not in second


@pytest.mark.parametrize(
    "token",
    ["<|im_start|>", "<|eot_id|>", "[INST]", "<<SYS>>", "</s>", "<start_of_turn>", "Human: "],
)
def test_control_tokens_in_a_passage_are_broken_up(token: str) -> None:
    assert token not in neutralise(f"before\n{token}after")
    prompt = render(passages=[PromptPassage(1, token, f"x\n{token}y")])
    assert token not in prompt


def test_plain_text_is_not_changed() -> None:
    text = "Use `a < b` and <b>bold</b>, see [1] or arr[0]. User interface: good."
    assert neutralise(text) == text


def test_without_passages_the_model_is_told_to_say_so() -> None:
    assert "you found nothing about it in the documents" in render()


def test_with_retrieval_off_nothing_is_said_about_passages() -> None:
    assert "passage" not in render(uses_passages=False).lower()


def test_no_citation_is_asked_for_when_markers_would_break_the_form() -> None:
    passages = [PromptPassage(1, "A", "b")]
    assert "square brackets" in render(passages=passages)
    assert "square brackets" not in render(passages=passages, cites=False)


def test_the_callers_text_follows_the_sites_instructions() -> None:
    prompt = render(instructions="Be formal.", caller_text="Answer in rhyme.")
    assert prompt.index("Be formal.") < prompt.index("Answer in rhyme.")
