"""CSV, JSON, JSON Lines, e-mail and books."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from tests.fakes.documents import epub
from tests.unit.ingestion.formats.reading import read, shown


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_are_told_by_what_divides_most_lines(delimiter: str) -> None:
    rows = [["name", "says"], ["Ann", '"yes, and\nno; a|b\tc"'], ["Bo", "ok"], ["Cy", "x"]]
    content = "\r\n".join(delimiter.join(row) for row in rows)
    assert shown(content.encode(), "a.csv") == [
        ((), ["name | says\nAnn | yes, and no; a|b c\nBo | ok\nCy | x"])
    ]
    assert read(content, "a.csv").sections[0].blocks[0].header == "name | says"


def test_a_csv_of_numbers_has_no_header() -> None:
    assert read(b"1,2\n3,4\n", "a.csv").sections[0].blocks[0].header == ""


def test_records_are_sections_under_what_they_are_about() -> None:
    content = (
        b'[{"question":"What?","answer":"That.","tags":["a","b"],"more":{"x":1,"y":null}},'
        b'{"question":"Why?","answer":"Because\\nof this."}, "text", 7]'
    )
    assert shown(content, "faq.json") == [
        (("What?",), ["answer: That.\ntags: a, b"]),
        (("What?", "more"), ["x: 1"]),
        (("Why?",), ["answer:\nBecause\nof this."]),
        ((), ["text"]),
        ((), ["7"]),
    ]


def test_an_object_is_lines_with_sections_for_what_is_inside() -> None:
    content = b'{"name":"Shop","open":true,"at":{"street":"Main","geo":{"lat":1.5}},"no":null}'
    assert read(content, "a.json").title == "Shop"
    assert shown(content, "a.json") == [
        ((), ["name: Shop\nopen: true"]),
        (("at",), ["street: Main"]),
        (("at", "geo"), ["lat: 1.5"]),
    ]


def test_each_line_of_json_lines_is_a_section() -> None:
    content = b'{"title":"A","text":"x"}\n\n{"text":"y"}\n'
    assert shown(content, "a.jsonl") == [(("A",), ["text: x"]), ((), ["text: y"])]


def test_what_escapes_and_entities_stand_for_is_cleaned_too() -> None:
    assert read(b'{"a":"x\\u200b\\u202ey"}', "a.json").text == "a: xy"
    assert read("<h1>T&#x202e;</h1><p>a&#8203;b&#xE0041;</p>", "a.html").text == "ab"


def mail(text: str = "Plain.\n\nSecond.") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message["From"] = "Ann <a@x.example>"
    message["To"] = "b@x.example"
    message.set_content(text)
    return message


def test_a_mail_says_who_wrote_what() -> None:
    message = mail()
    message.add_alternative("<p>rich</p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="f\u202e.pdf")
    content = message.as_bytes()
    assert read(content, "a.eml").title == "Grüße"
    assert shown(content, "a.eml") == [
        ((), ["From: Ann <a@x.example>\nTo: b@x.example", "Plain.", "Second.",
              "Attachments: f.pdf"]),
    ]  # fmt: skip


def test_a_mail_without_plain_text_is_read_as_its_page() -> None:
    message = EmailMessage()
    message["Subject"] = "News"
    message.set_content("<h2>Offer</h2><p>Tea</p><p style='display:none'>x</p>", subtype="html")
    assert shown(message.as_bytes(), "a.eml") == [(("Offer",), ["Tea"])]


def test_a_forwarded_mail_is_a_section() -> None:
    message = mail()
    message.add_attachment(mail("Inner text."))
    assert shown(message.as_bytes(), "a.eml")[1] == (
        ("Grüße",), ["From: Ann <a@x.example>\nTo: b@x.example", "Inner text."]
    )  # fmt: skip


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    pages = {
        "b%20c.xhtml": "<h1>Two</h1><p>Second</p>",
        "a.xhtml": "<!DOCTYPE html><html><head><title>x</title></head><h1>One</h1><p>First</p>",
    }
    content = epub(
        {name.replace("%20", " "): page for name, page in pages.items()},
        spine=["a.xhtml", "b c.xhtml"],
        title="The book",
    )
    assert read(content).title == "The book"
    assert shown(content) == [(("One",), ["First"]), (("Two",), ["Second"])]
