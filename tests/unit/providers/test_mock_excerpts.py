from __future__ import annotations

import re

import pytest

from sitebrook.providers.mock.answers import compose
from sitebrook.providers.protocol import PromptMessage, PromptPassage, ProviderRequest

HOURS = "We are open Monday to Friday from 9 to 18. On Saturday we close at 13."
TOUR = "The tour starts at 10. Groups have up to 25."
NGINX = (
    "Copy the file to the folder of nginx and replace the names. Then run:\n\n"
    "```sh\nnginx -s reload\n```\n\nThe logs stay."
)


def answer(question: str, *passages: tuple[str, str]) -> str:
    numbered = tuple(PromptPassage(at, *one) for at, one in enumerate(passages, 1))
    messages = (PromptMessage(role="user", content=question),)
    request = ProviderRequest(model="mock", messages=messages, passages=numbered, language="en")
    return compose(request, 0)


def wrapped(text: str, width: int) -> str:
    """The text with line breaks, also where a line then begins with a number."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


@pytest.mark.parametrize("width", range(4, 80))
@pytest.mark.parametrize(
    ("question", "text"), [("When are you open on Monday?", HOURS), ("When does it start?", TOUR)]
)
def test_a_number_at_the_end_of_a_sentence_stays_there(question, text, width):
    said = re.sub(r" \[1\]", "", answer(question, ("Visit", wrapped(text, width))))
    assert said in {text, text[: text.index(". ") + 1]}


def test_a_passage_that_begins_inside_a_sentence_keeps_its_number():
    assert "18. On Saturday" in answer("Saturday?", ("Hours", "18. On Saturday we close at 13."))


@pytest.mark.parametrize("mark", ["…", ".", "?", "… A"])
def test_a_code_span_stays_whole(mark):
    text = f"- `The disk of {mark} Is full`: free space.\n- `Other`: wait."
    said = answer("The disk is full", ("Problems", text))
    assert said == f"`The disk of {mark} Is full`: free space [1]."


def test_a_backtick_without_partner_is_left_out():
    said = answer("Is the disk full?", ("Problems", "is full`: the disk needs space."))
    assert said == "is full: the disk needs space [1]."


def test_the_head_of_a_table_is_no_sentence():
    table = "These can be added:\n\n| file names | read as |\n|---|---|\n| `.md` | Markdown |"
    said = answer("What can be added?", ("Formats", table))
    assert said == "These can be added [1]:\n\n`.md` — Markdown [1]."


@pytest.mark.parametrize("mark", ["#", "##"])
def test_a_heading_is_no_sentence(mark):
    for heading in (f"{mark} Costs", "Costs"):
        said = answer("What are the costs?", ("Shop", f"{heading}\n\nA parcel costs 5 euros."))
        assert said == "A parcel costs 5 euros [1]."


def test_steps_stay_a_numbered_list_behind_what_announces_them():
    text = "To return a parcel:\n\n1. Print the label.\n2. Pack it.\n3. Send it."
    assert answer("How do I return a parcel?", ("Shop > Return a parcel", text)) == (
        "To return a parcel [1]:\n\n1. Print the label [1].\n2. Pack it [1].\n3. Send it [1]."
    )


def test_nothing_is_announced_that_does_not_follow():
    text = "Delivery takes two days. Delivery abroad is listed here:"
    said = answer("How long does delivery take?", ("Shop", text))
    assert said == "Delivery takes two days [1]."
    assert answer("Delivery abroad?", ("Shop", "Delivery abroad:")) == "Delivery abroad [1]."


def test_a_section_whose_heading_fits_is_quoted_from_its_beginning_with_its_code():
    said = answer(
        "How do I run it behind nginx?",
        ("Production > Put nginx in front", NGINX),
        ("Settings > Limits", "A folder is relative to where the command runs."),
        ("Problems", "Behind the port there is nothing."),
    )
    assert said.startswith("Copy the file to the folder of nginx")
    assert said.endswith("Then run [1]:\n\n```sh\nnginx -s reload\n```")


def test_another_passage_adds_only_what_the_first_leaves_open():
    shop = ("Shop", "A parcel costs 5 euros.")
    hours = ("Hours", "We open at nine. We like cats.")
    assert answer("What does a parcel cost?", shop, hours) == "A parcel costs 5 euros [1]."
    said = answer("What does it cost, and when do you open?", shop, hours)
    assert said == "A parcel costs 5 euros [1].\n\nAlso:\n\n- We open at nine [2]."


def test_a_definition_wins_over_a_mention():
    said = answer(
        "What is a passage?",
        ("Start > Commands", "`search` shows the passages of a question.\n\n```sh\npassage\n```"),
        ("Words", "- **Chunk**: a piece.\n- **Passage**: a chunk that was found."),
    )
    assert said == "**Passage**: a chunk that was found [2]."


@pytest.mark.parametrize("order", [1, -1])
def test_the_passage_in_the_language_of_the_question_answers(order):
    english = ("Start", "You need Linux and Python. No Docker is needed for the server.")
    italian = ("Avvio", "Servono Linux e Python per il server. Docker non è necessario.")
    passages = [english, italian][::order]
    assert "No Docker" in answer("Do you need Docker on the server?", *passages)
    assert "necessario" in answer("Che cosa è necessario: Docker?", *passages)
    first = "No Docker" if order == 1 else "necessario"
    assert first in answer("Docker?", *passages)


def test_a_sentence_that_points_back_comes_with_the_one_before():
    text = "The token goes into the header. It is valid for a day. Cats sleep."
    assert answer("How long is it valid?", ("Keys", text)) == (
        "The token goes into the header [1]. It is valid for a day [1]."
    )
