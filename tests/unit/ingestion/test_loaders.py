from __future__ import annotations

import pytest

from sitebrook.errors import BodyTooLarge, InvalidRequest, UnsupportedBody
from sitebrook.ingestion.kinds import find_kind
from sitebrook.ingestion.loaders import RawDocument, load
from sitebrook.ingestion.sections import LoadedDocument

MARKDOWN = """---
title: "My page"
url: https://x.example/a
---
# My page

Intro with [a link](https://x.example) and ![a picture](y.png "t").

<!-- hidden -->

## Install

1. one
2. two

```sh
# not a heading
pip install x
```

### On Windows

| a | b |
|---|---|
| 1 | 2 |

## Empty

## Last
<b>bold</b> text
"""

HTML = b"""<html><head><meta charset=latin1><title>T - Site</title>
<link rel=canonical href="https://x.example/p"><style>p{}</style></head><body>
<header><nav>menu</nav></header>
<main><h1>Caf\xe9 <a class=headerlink>#</a></h1>
<p>Hello <b>bold</b>   text<br>next line</p><ul><li>one</li><li><p>two</p></li></ul>
<pre><code>def f():
    return 1</code></pre>
<h2>Prices</h2><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>
<div style="display: none">secret</div><p hidden>secret</p>tail<script>x()</script></main>
<footer>foot</footer></body></html>"""


def read(content: bytes | str, source: str = "a.md", **over: str) -> LoadedDocument:
    return load(RawDocument(source, content, **over), max_characters=1_000_000)


def test_markdown_becomes_sections_under_their_headings() -> None:
    loaded = read(MARKDOWN)
    assert (loaded.title, loaded.url) == ("My page", "https://x.example/a")
    assert [
        (section.headings, [(block.text, block.is_whole) for block in section.blocks])
        for section in loaded.sections
    ] == [
        ((), [("Intro with a link and a picture.", False)]),
        (
            ("Install",),
            [
                ("1. one\n2. two", False),
                ("```sh\n# not a heading\npip install x\n```", True),
            ],
        ),
        (("Install", "On Windows"), [("| a | b |\n|---|---|\n| 1 | 2 |", True)]),
        (("Last",), [("<b>bold</b> text", False)]),
    ]


def test_html_is_read_without_the_furniture_of_the_page() -> None:
    loaded = read(HTML, "a.html")
    assert (loaded.title, loaded.url) == ("Café", "https://x.example/p")
    assert loaded.text == (
        "Hello bold text\nnext line\n\n- one\n- two\n\n```\ndef f():\n    return 1\n```\n\n"
        "## Prices\n\nA | B\n1 | 2\n\ntail"
    )


def test_a_page_nested_very_deeply_is_read() -> None:
    assert read("<div>" * 20_000 + "deep" + "</div>" * 20_000, "a.html").text == "deep"


def test_a_page_without_main_loses_header_and_footer() -> None:
    page = "<body><header>top</header><h1>T</h1><p>text</p><footer>end</footer></body>"
    assert read(page, "a.html").text == "text"


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (b"\xef\xbb\xbfna\xc3\xafve", "a.txt"),
        ("naïve".encode("utf-16"), "a.txt"),
        (b"<p>na\xc3\xafve", "a.html"),
        (b"<meta charset='iso-8859-1'><p>na\xefve", "a.html"),
        (b"<p>na\xefve", "a.html"),
        (b"<meta charset=nonsense><p>na\xc3\xafve", "a.html"),
        (b"<meta charset=undefined><p>na\xc3\xafve", "a.html"),
        (b"<meta charset=Punycode><p>na\xc3\xafve", "a.html"),
        ("na\u200bï\u202eve\u200d", "a.txt"),
        ("naïve\x00\x07", "a.txt"),
        ("na\U000e0041\U000e0042ïve\ufeff", "a.txt"),
        ("na\u034fï\u3164ve\uffa0", "a.txt"),
    ],
)
def test_text_is_decoded_and_cleaned(content: bytes | str, source: str) -> None:
    assert read(content, source).text == "naïve"


def test_one_variation_selector_stays_and_a_row_of_them_is_none() -> None:
    assert read("❤\ufe0f x\ufe01\ufe02\ufe03y", "a.txt").text == "❤\ufe0f x\ufe01y"


def test_line_ends_of_every_kind_become_one() -> None:
    assert read("a\r\nb\rc\x0bd\x0ce", "a.txt").text == "a\nb\nc\nd\ne"
    assert read("ä\r\nb\rc\x85d\u2028e", "a.txt").text == "ä\nb\nc\nd\ne"


def test_joiners_stay_where_they_have_a_meaning() -> None:
    text = "\u0645\u06cc\u200c\u062e\u0648 👩\u200d💻"
    assert read(text, "a.txt").text == text


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (RawDocument("a.md", b"a\0b"), InvalidRequest, "NUL"),
        (RawDocument("a.md", b"ab\xff"), InvalidRequest, "byte 2 .* UTF-8; save it as UTF-8"),
        (RawDocument("a.md", b""), InvalidRequest, "it is empty"),
        (RawDocument("a.md", "\u200b \n"), InvalidRequest, "no text"),
        (RawDocument("a.html", "<script>x</script>"), InvalidRequest, "no text"),
        (RawDocument("a.py", b"x"), UnsupportedBody, r"type \.py"),
        (RawDocument("a", b"x", "application/x-tar"), UnsupportedBody, "application/x-tar"),
        (RawDocument("a.txt", "x" * 101), BodyTooLarge, "more than 100 characters"),
    ],
)
def test_what_cannot_be_taken_in_is_refused_with_the_reason(
    raw: RawDocument, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(raw, max_characters=100)


@pytest.mark.parametrize(
    ("source", "media_type", "kind"),
    [
        ("a.MD", None, "markdown"),
        ("a.md", "text/plain; charset=utf-8", "markdown"),
        ("a.md", "text/html", "html"),
        ("a", "text/plain", "text"),
        ("a.pdf", "application/octet-stream", "pdf"),
        ("a.eml", "text/plain", "mail"),
        ("a.docx", "application/zip", "word"),
        ("a", None, None),
        ("a.exe", "application/octet-stream", None),
    ],
)
def test_the_type_is_told_by_media_type_and_name(
    source: str, media_type: str | None, kind: str | None
) -> None:
    assert find_kind(source, media_type) == kind


def test_text_with_the_name_of_a_pdf_was_taken_out_of_it() -> None:
    assert read("some text", "manual.pdf", media_type="text/plain").text == "some text"


@pytest.mark.parametrize("start", ["ID3 tags", "MZ files", "BZhang", "A PDF begins with %PDF-1.7."])
def test_a_text_may_begin_like_another_kind_of_file(start: str) -> None:
    assert read(f"{start} and so on.".encode(), "a.txt").text == f"{start} and so on."


def test_the_title_is_what_was_given_else_the_heading_else_the_name() -> None:
    assert read("# Own\n\ntext", title="Given").title == "Given"
    assert read("# Own\n\ntext").title == "Own"
    assert read("text", "folder/name.txt").title == "name"


def test_nested_furniture_and_tables_are_read_in_one_pass() -> None:
    page = "<nav>" * 300 + "menu" + "</nav>" * 300 + "<table><tr><td>" * 2000 + "deep"
    assert read(page, "a.html").text == "deep"


def test_a_table_that_lays_out_the_page_is_read_as_its_content() -> None:
    page = "<table><tr><td><h1>T</h1><p>Left.</p></td><td><p>Right.</p></td></tr></table>"
    loaded = read(page, "a.html")
    assert (loaded.title, loaded.text) == ("T", "Left.\n\nRight.")
