from __future__ import annotations

import sys
import time
from types import FrameType

import pytest

from sitebrook.ingestion.markdown import read_markdown
from sitebrook.ingestion.sections import Outline

# What made the parser of links, or one of the patterns, look at the rest again and again.
PIECES = {
    "links without an end": "[a](",
    "brackets without an end": "[",
    "images without an end": "![",
    "brackets in brackets": "[[a]",
    "titles without an end": '[a](b "',
    "lines that open a bracket": "[a\n",
    "emphasis": "*a **",
    "lines of quotes": "> a\n",
    "definitions": "[a]: /b\n",
    "links in a heading": "# [a](",
}


def _read(text: str) -> str:
    outline = Outline()
    read_markdown(text, outline)
    return "\n".join(block.text for section in outline.sections for block in section.blocks)


def _calls(text: str) -> int:
    """How many functions run to read the text."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        read_markdown(text, Outline())
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_a_text_twice_as_long_takes_at_most_twice_the_work(piece: str) -> None:
    _calls(piece)
    assert _calls(piece * 2000) <= _calls(piece * 1000) * 2.2


def test_links_in_a_paragraph_are_no_work_for_the_parser() -> None:
    assert _calls("[a](" * 20_000) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "a " + "<!--" * 100_000,
        "[a\n" * 100_000,
        "a " + '[a](b "' * 100_000,
        "a [a](b" + " " * 200_000 + "c",
        "---\ntitle: a" + " " * 200_000 + "b\n---\ntext",
        "# " + "[a](" * 100_000 + "\n\ntext",
    ],
    ids=lambda text: text[:12],
)
def test_the_patterns_go_over_a_long_text_once(text: str) -> None:
    started = time.process_time()
    assert _read(text)
    # Once over it takes 0.1 to 2 s; again from every place it would take minutes.
    assert time.process_time() - started < 20


def test_comments_are_left_out_and_one_without_an_end_is_text() -> None:
    assert _read("a <!-- x -->b<!--y\nz--> c <!-- d") == "a b c <!-- d"


def test_a_heading_is_what_it_says() -> None:
    outline = Outline()
    read_markdown("# A [l] `c` \\* &amp; *b* [x](y)\n\nOne\ntwo\n===\n\ntext\n\n[l]: /u\n", outline)
    assert outline.title == "A l c * & b x"
    assert outline.sections[0].headings == ("One two",)


def test_the_fields_of_the_front_matter_lose_their_quotes() -> None:
    outline = Outline()
    url = read_markdown('---\ntitle:  "A b"  \nurl = https://x.example/\n---\ntext', outline)
    assert (outline.title, url) == ("A b", "https://x.example/")
