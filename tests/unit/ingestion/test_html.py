"""What of a page its readers see."""

from __future__ import annotations

import pytest

from sitebrook.ingestion.html import html_to_text, read_html
from sitebrook.ingestion.sections import Outline


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : None !important",
        "visibility:hidden",
        "opacity:0",
        "opacity: 0.0",
        "font-size:0",
        "font-size:1px",
        "transform:scale(0)",
        "height:0;overflow:hidden",
        "max-height:0px; overflow-y:x; overflow: hidden scroll",
        "width:1px;height:1px;overflow:hidden",
        "text-indent:-9999px",
        "position:absolute;left:-5000px",
        "position:absolute;top:-100em",
        "position:absolute;clip:rect(0,0,0,0)",
        "position:fixed;clip-path:inset(50%)",
        "color:#fff",
        "color:WHITE",
        "color:#fefefe",
        "color:rgb(255, 255, 255)",
        "color:rgba(0,0,0,0)",
        "color:transparent",
        "color:#12345600",
        "color:#333;background:#333",
        "color:black;background-color:rgb(5,5,5)",
    ],
)
def test_text_that_its_style_hides_is_left_out(style: str) -> None:
    assert html_to_text(f'<p>seen <span style="{style}">hidden</span></p>') == "seen"


@pytest.mark.parametrize(
    "page",
    [
        '<p style="color:#eee;background:#111">text</p>',
        '<div style="background:#000"><p style="color:white">text</p></div>',
        '<div style="background:url(a.png)"><p style="color:white">text</p></div>',
        '<link rel="stylesheet" href="a.css"><p class="hero" style="color:white">text</p>',
        '<table><tr><td bgcolor="#000080"><font color="#ffffff">text</font></table>',
        '<p style="font-size:0.8em;opacity:0.9;position:absolute;left:-5px">text</p>',
        '<p style="height:1px">text</p>',
        '<p style="font-size:1.2.3px;color:#ggg;opacity:abc">text</p>',
    ],
)
def test_text_that_can_be_seen_stays(page: str) -> None:
    assert html_to_text(page) == "text"


@pytest.mark.parametrize(
    "furniture",
    [
        "<div hidden>x</div>",
        '<div aria-hidden="true">x</div>',
        '<div id="onetrust-consent-sdk">We use cookies</div>',
        '<div class="site-cookie-banner">We use cookies</div>',
        '<section id="cookieConsent"><p>We use cookies</p></section>',
        '<div role="dialog"><p>Subscribe!</p></div>',
        '<div class="breadcrumbs">Home</div>',
        '<ul class="nav main"><li>Home</ul>',
        '<div id="footer">Imprint</div>',
        '<form action="/search"><label>Search</label><input></form>',
        "<font color=#ffffff>x</font>",
        "<font size=0>x</font>",
    ],
)
def test_furniture_is_left_out(furniture: str) -> None:
    page = f"<html><body>{furniture}<h1>Title</h1><p>text</p></body></html>"
    assert html_to_text(page) == "text"


def test_a_page_about_cookies_and_a_page_in_a_form_are_read() -> None:
    assert html_to_text('<div class="cookie-policy"><p>Our cookies</p></div>') == "Our cookies"
    assert html_to_text("<form id=aspnetForm><div><p>text</p></div></form>") == "text"


def test_the_first_row_of_headings_is_the_header_of_a_table() -> None:
    outline = Outline()
    read_html(
        "<table><caption>Prices<tr><th>Item<th>Price<tr><td>Tea<td>2</table>"
        "<table><tr><th>Tea<td>2<tr><th>Pot<td>3</table>",
        outline,
    )
    assert [(block.text, block.header) for block in outline.sections[0].blocks] == [
        ("Prices", ""),
        ("Item | Price\nTea | 2", "Item | Price"),
        ("Tea | 2\nPot | 3", ""),
    ]


def test_a_text_written_as_a_heading_is_text() -> None:
    outline = Outline()
    read_html(f"<h1>Title</h1><h2>{'word ' * 100}</h2><p>more</p>", outline)
    (section,) = outline.sections
    assert (section.headings, len(section.blocks)) == ((), 2)
