from __future__ import annotations

import tracemalloc

import pytest

from sitebrook.chat.markers import BEFORE_CHARACTERS, FindIndex, MarkerFilter

ANSWER = (
    "It streams [3], see `x[0]` and [9] or [1, 3] and a [link](https://example.com) "
    "or [note] [2]\n```\nrow[1]\n```\ndone[2][12"
)
SHOWN = (
    "It streams [1], see `x[0]` and  or [2][1] and a [link](https://example.com) "
    "or [note] [3]\n```\nrow[1]\n```\ndone[3][12"
)


def numbering(passages: int) -> FindIndex:
    """Numbers by first use, of so many passages."""
    indexes: dict[int, int] = {}

    def find_index(number: int, _before: str) -> int | None:
        if not 1 <= number <= passages:
            return None
        return indexes.setdefault(number, len(indexes) + 1)

    return find_index


def run(text: str, size: int, passages: int = 3) -> tuple[str, MarkerFilter]:
    return run_with(numbering(passages), text, size)


def run_with(find_index: FindIndex, text: str, size: int) -> tuple[str, MarkerFilter]:
    shown: list[str] = []
    marker_filter = MarkerFilter(find_index, shown)
    for at in range(0, len(text), size):
        piece = marker_filter.push(text[at : at + size])
        shown.append(piece)
    return "".join([*shown, marker_filter.finish()]), marker_filter


@pytest.mark.parametrize("size", range(1, len(ANSWER) + 1))
def test_markers_are_renumbered_by_first_use_whatever_the_cut(size: int) -> None:
    shown, marker_filter = run(ANSWER, size)
    assert shown == SHOWN
    assert [one.index for one in marker_filter.markers] == [1, 2, 1, 3, 3]
    for marker in marker_filter.markers:
        assert shown[marker.start : marker.end] == f"[{marker.index}]"


def test_at_most_eight_characters_are_held_back() -> None:
    marker_filter = MarkerFilter(numbering(99), [])
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
    find_index = numbering(3)
    first, second = MarkerFilter(find_index, []), MarkerFilter(find_index, [])
    assert first.push("x [3]") == "x [1]"
    assert second.push("y [2] [3]") == "y [2] [1]"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_marker_is_judged_by_the_shown_text_before_it(size: int) -> None:
    seen: list[str] = []

    def find_index(number: int, before: str) -> int | None:
        seen.append(before)
        return number + 4 if number < 9 else None

    shown, _ = run_with(find_index, "One [1], two [9][2, 3].", size)
    assert shown == "One [5], two [6][7]."
    assert seen == ["One ", "One [5], two ", "One [5], two ", "One [5], two [6]"]


@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_only_the_end_of_the_text_is_looked_back_at(size: int) -> None:
    seen: list[str] = []

    def find_index(_number: int, before: str) -> int | None:
        seen.append(before)
        return None

    text = "".join(f"word{number} " for number in range(300))
    run_with(find_index, f"{text}[1]", size)
    assert seen == [text[-BEFORE_CHARACTERS:]]


@pytest.mark.parametrize("is_earlier", [True, False], ids=["earlier", "same push"])
def test_a_marker_costs_no_copy_of_what_stands_before_it(*, is_earlier: bool) -> None:
    long = "word " * 400_000
    peaks: list[int] = []

    def find_index(_number: int, _before: str) -> int:
        now, peak = tracemalloc.get_traced_memory()
        peaks.append(peak - now)
        tracemalloc.reset_peak()
        return 1

    marker_filter = MarkerFilter(find_index, [long] if is_earlier else [])
    text = ("" if is_earlier else long) + "[1] and" * 5
    tracemalloc.start()
    try:
        marker_filter.push(text)
    finally:
        tracemalloc.stop()
    assert len(peaks) == 5
    assert max(peaks[1:]) < 100_000


def test_the_text_before_a_marker_goes_back_over_pushes_and_dropped_markers() -> None:
    seen: list[str] = []

    def find_index(number: int, before: str) -> int | None:
        seen.append(before)
        return 1 if number == 1 else None

    told = "".join(chr(ord("a") + at % 26) for at in range(2 * BEFORE_CHARACTERS))
    for size in (1, 7, 5_000):
        seen.clear()
        run_with(find_index, f"{told}[1] x[9][9][1]", size)
        ends = [told, f"{told}[1] x", f"{told}[1] x", f"{told}[1] x"]
        assert seen == [end[-BEFORE_CHARACTERS:] for end in ends]
