from __future__ import annotations

import pytest
from tests.fakes.documents import lines, pdf
from tests.unit.ingestion.formats.reading import read, shown

BODY = ("The quick brown fox goes over the lazy dog, again", "and again, until the evening.")
PICTURE = "q 600 0 0 700 0 0 cm /Im1 Do Q "


def test_lines_become_paragraphs_under_the_large_ones() -> None:
    page = (
        lines("The manual", size=24)
        + lines("First steps", size=16, top=660)
        + lines(*BODY, top=620)
        + lines("Another paragraph, apart.", top=560)
    )
    content = pdf([page, lines("Last steps", size=16) + lines(*BODY, top=680)])
    assert read(content).title == "The manual"
    assert shown(content) == [
        (("First steps",), [" ".join(BODY), "Another paragraph, apart."]),
        (("Last steps",), [" ".join(BODY)]),
    ]


def test_divided_words_are_joined() -> None:
    page = lines("This is a divi-", "ded word. " + BODY[0])
    assert shown(pdf([page])) == [((), [f"This is a divided word. {BODY[0]}"])]


def test_what_stands_on_every_page_is_left_out() -> None:
    pages = [
        lines("The manual, version 7", size=9, top=770)
        + lines(f"Text of page {'abcd'[at]}.", top=600)
        + lines(f"Page {at + 1} of 4", size=9, top=30)
        for at in range(4)
    ]
    assert read(pdf(pages)).text.split("\n\n") == [f"Text of page {one}." for one in "abcd"]


@pytest.mark.parametrize(
    "unseen",
    [
        lines("unseen", top=300, extra="3 Tr"),
        lines("unseen", top=300, extra="1 1 1 rg"),
        lines("unseen", top=300, size=1),
        lines("unseen", top=3000),
    ],
    ids=["invisible", "white", "tiny", "off the page"],
)
def test_text_that_nobody_sees_is_left_out(unseen: str) -> None:
    assert read(pdf([lines("seen") + unseen])).text == "seen"


def test_white_text_on_something_drawn_is_seen() -> None:
    page = "0 0 0 rg 0 0 600 700 re f " + lines("on black", extra="1 1 1 rg")
    assert read(pdf([page])).text == "on black"


def test_text_that_was_recognised_over_a_picture_is_read() -> None:
    assert read(pdf([PICTURE + lines("recognised", extra="3 Tr")])).text == "recognised"


def test_bookmarks_are_the_headings_where_there_are_some() -> None:
    extra = [
        b"<< /Type /Outlines /First 11 0 R /Last 12 0 R /Count 2 >>",
        b"<< /Title (1. Setup) /Parent 10 0 R /Next 12 0 R /Dest [14 0 R /Fit] /First 13 0 R "
        b"/Last 13 0 R /Count 1 >>",
        b"<< /Title (Not on the page) /Parent 10 0 R /Prev 11 0 R /Dest [16 0 R /Fit] >>",
        b"<< /Title (Tools) /Parent 11 0 R /Dest [14 0 R /Fit] >>",
    ]
    pages = [
        lines("1. Setup") + lines("Take this.", top=650) + lines("Tools", top=600)
        + lines("A hammer.", top=550),
        lines("The end of it."),
    ]  # fmt: skip
    content = pdf(pages, extra=extra, catalog="/Outlines 10 0 R")
    assert read(content).title == "1. Setup"
    assert shown(content) == [
        ((), ["Take this."]),
        (("Tools",), ["A hammer."]),
        (("Not on the page",), ["The end of it."]),
    ]


@pytest.mark.parametrize(
    ("title", "found"),
    [("The guide", "The guide"), ("Microsoft Word - x.docx", "a"), ("untitled", "a")],
)
def test_a_title_that_only_names_a_file_is_none(title: str, found: str) -> None:
    content = pdf(
        [lines("text")], extra=[f"<< /Title ({title}) >>".encode()], trailer="/Info 10 0 R"
    )
    assert read(content).title == found
