from __future__ import annotations

import pytest

from sitebrook.chat.citations import MarkerFilter, find_quote

ANSWER = (
    "It streams [3], see `x[0]` and [9] or [1, 3] and a [link](https://example.com) "
    "or [note] [2]\n```\nrow[1]\n```\ndone[2][12"
)
SHOWN = (
    "It streams [1], see `x[0]` and  or [2][1] and a [link](https://example.com) "
    "or [note] [3]\n```\nrow[1]\n```\ndone[3][12"
)


def run(text: str, size: int, passages: int = 3) -> tuple[str, MarkerFilter]:
    marker_filter = MarkerFilter(passages, {})
    shown = [marker_filter.push(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*shown, marker_filter.finish()]), marker_filter


@pytest.mark.parametrize("size", range(1, len(ANSWER) + 1))
def test_markers_are_renumbered_by_first_use_whatever_the_cut(size: int) -> None:
    shown, marker_filter = run(ANSWER, size)
    assert shown == SHOWN
    assert [one.index for one in marker_filter.markers] == [1, 2, 1, 3, 3]
    for marker in marker_filter.markers:
        assert shown[marker.start : marker.end] == f"[{marker.index}]"


def test_at_most_eight_characters_are_held_back() -> None:
    marker_filter = MarkerFilter(99, {})
    text = "a [1, 2, 3, 4, 5, 6] b"
    behind = 0
    sent = 0
    for position, character in enumerate(text):
        sent += len(marker_filter.push(character))
        behind = max(behind, position + 1 - sent)
    assert behind <= 8


def test_markers_without_a_passage_are_dropped() -> None:
    assert run("Yes [4] and [0].", 3)[0] == "Yes  and ."


@pytest.mark.parametrize("size", range(1, 24))
def test_a_long_list_of_markers_is_renumbered_number_by_number(size: int) -> None:
    shown, _ = run("So [3] and [1, 2, 3], [ 10 , 2 ].", size, passages=10)
    assert shown == "So [1] and [2][3][1], [4][3]."


@pytest.mark.parametrize("size", range(1, 12))
def test_what_follows_a_number_without_being_one_is_kept(size: int) -> None:
    assert run("See [1, note] and [2,", size)[0] == "See [1] note] and [2]"


@pytest.mark.parametrize("size", range(1, 9))
def test_without_passages_every_marker_is_dropped(size: int) -> None:
    assert run("Hi [1] there [x].", size, passages=0)[0] == "Hi  there [x]."


def test_indexes_count_code_points() -> None:
    shown, marker_filter = run("\U0001f600\u00e9 [1]", 2)
    marker = marker_filter.markers[0]
    assert shown[marker.start : marker.end] == "[1]"


@pytest.mark.parametrize("size", range(1, 12))
def test_a_stray_backtick_hides_markers_only_to_the_end_of_its_line(size: int) -> None:
    assert run("a ` b [2]\nc [2]", size)[0] == "a ` b [2]\nc [1]"


@pytest.mark.parametrize("size", range(1, 12))
def test_a_backtick_inside_a_word_opens_no_code(size: int) -> None:
    assert run("`x[1]` it`s fine [3] and [1]", size)[0] == "`x[1]` it`s fine [1] and [2]"


def test_choices_share_their_numbers() -> None:
    numbers: dict[int, int] = {}
    first, second = MarkerFilter(3, numbers), MarkerFilter(3, numbers)
    assert first.push("x [3]") == "x [1]"
    assert second.push("y [2] [3]") == "y [2] [1]"


def test_the_quote_is_the_sentence_that_fits_the_answer_and_stands_in_the_passage() -> None:
    passage = "Sitebrook stores answers. The port is 8000 unless set. Another sentence."
    quote = find_quote(passage, "It listens on port 8000 [1].")
    assert quote == "The port is 8000 unless set."


def test_a_long_quote_is_cut_between_words() -> None:
    passage = "word " * 200
    quote = find_quote(passage, "word")
    assert len(quote) <= 300
    assert passage.startswith(quote)
    assert not quote.endswith("wor")
