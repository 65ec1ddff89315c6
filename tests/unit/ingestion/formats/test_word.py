from __future__ import annotations

from typing import Any

import pytest
from docx.shared import Pt, RGBColor
from tests.fakes.documents import raw_word, relationships, word
from tests.unit.ingestion.formats.reading import read, shown


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def paragraph(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def test_headings_lists_and_tables_become_sections() -> None:
    def fill(document: Any) -> None:
        document.add_heading("The handbook", 0)
        document.add_paragraph("Before all.")
        document.add_heading("Returns", 1)
        document.add_paragraph("Within 30 days.")
        for text in ("unused", "complete"):
            document.add_paragraph(text, style="List Bullet")
        document.add_heading("Fees", 2)
        table = document.add_table(3, 2)
        for row, texts in zip(
            table.rows, (("Item", "Fee"), ("Tea", "1"), ("Pot", "")), strict=True
        ):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text

    content = word(fill)
    assert read(content).title == "The handbook"
    assert shown(content) == [
        ((), ["Before all."]),
        (("Returns",), ["Within 30 days.", "- unused\n- complete"]),
        (("Returns", "Fees"), ["Item | Fee\nTea | 1\nPot"]),
    ]
    (table,) = read(content).sections[2].blocks
    assert (table.is_whole, table.header) == (True, "Item | Fee")


def test_the_first_heading_is_the_title_of_a_document_without_one() -> None:
    content = word(lambda one: (one.add_heading("Top", 1), one.add_paragraph("Text.")))
    assert (read(content).title, shown(content)) == ("Top", [((), ["Text."])])


def test_hidden_text_is_left_out() -> None:
    def fill(document: Any) -> None:
        added = document.add_paragraph("seen")
        added.add_run(" hidden").font.hidden = True
        added.add_run(" white").font.color.rgb = RGBColor(255, 255, 255)
        added.add_run(" tiny").font.size = Pt(1)
        added.add_run(" end")

    assert shown(word(fill)) == [((), ["seen end"])]


def test_white_text_on_a_shade_is_seen() -> None:
    white = '<w:color w:val="FFFFFF"/>'
    shade = '<w:shd w:fill="000000"/>'
    body = (
        paragraph(run("a ", white + shade), run("b ", white))
        + paragraph(run("c", white), properties=shade)
        + "<w:tbl><w:tr><w:tc>" + paragraph(run("d", white)) + "</w:tc><w:tc>"
        + paragraph(run("e")) + "</w:tc></w:tr></w:tbl>"
    )  # fmt: skip
    assert shown(raw_word(body)) == [((), ["a", "c", "d | e"])]


def test_deleted_text_codes_of_fields_and_readings_are_left_out() -> None:
    body = paragraph(
        "<w:ins><w:r><w:t>new</w:t></w:r></w:ins>",
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>",
        "<w:r><w:instrText> PAGEREF x </w:instrText></w:r><w:r><w:tab/><w:t>7</w:t></w:r>",
        "<w:hyperlink><w:r><w:t> link</w:t></w:r></w:hyperlink>",
        "<w:r><w:ruby><w:rt><w:r><w:t>kan</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>漢</w:t></w:r>"
        "</w:rubyBase></w:ruby></w:r>",
    )
    assert shown(raw_word(body)) == [((), ["new 7 link漢"])]


def test_text_boxes_are_read_once_and_content_controls_too() -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
    body = (
        "<w:sdt><w:sdtContent>" + paragraph(run("controlled")) + "</w:sdtContent></w:sdt>"
        + paragraph(
            '<w:r><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/'
            f'markup-compatibility/2006"><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>'
            f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
        )
    )  # fmt: skip
    assert shown(raw_word(body)) == [((), ["controlled", "boxed"])]


def test_a_table_of_one_cell_is_only_a_frame() -> None:
    body = (
        f"<w:tbl><w:tr><w:tc>{paragraph(run('one'))}{paragraph(run('two'))}</w:tc></w:tr></w:tbl>"
    )
    assert shown(raw_word(body)) == [((), ["one", "two"])]


def test_footnotes_stand_where_they_belong() -> None:
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    note = "<w:p><w:r><w:footnoteRef/></w:r><w:r><w:t> On weekdays.</w:t></w:r></w:p>"
    parts = {
        "word/_rels/document.xml.rels": relationships({"n": ("footnotes", "footnotes.xml")}),
        "word/footnotes.xml": f'<w:footnotes {space}><w:footnote w:id="2">{note}</w:footnote>'
        "</w:footnotes>",
    }
    body = paragraph(run("Open."), '<w:r><w:footnoteReference w:id="2"/></w:r>')
    assert shown(raw_word(body, **parts)) == [((), ["Open. (On weekdays.)"])]


def test_a_heading_by_its_own_level_and_by_a_style_based_on_another() -> None:
    styles = (
        '<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        '<w:style w:styleId="B1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="X"><w:name w:val="Chapter"/><w:basedOn w:val="B1"/></w:style>'
        '<w:style w:styleId="L"><w:basedOn w:val="L"/></w:style>'
        '<w:style w:styleId="T"><w:name w:val="toc 1"/></w:style></w:styles>'
    )
    parts = {
        "word/_rels/document.xml.rels": relationships({"s": ("styles", "/word/styles.xml")}),
        "word/styles.xml": styles,
    }
    body = (
        paragraph(run("Contents 1"), properties='<w:pStyle w:val="T"/>')
        + paragraph(run("One"), properties='<w:pStyle w:val="X"/>')
        + paragraph(run("Two"), properties='<w:outlineLvl w:val="1"/>')
        + paragraph(run("Text."), properties='<w:pStyle w:val="L"/>')
    )
    content = raw_word(body, **parts)
    assert (read(content).title, shown(content)) == ("One", [(("Two",), ["Text."])])


@pytest.mark.parametrize("name", ["a.docx", "a.txt", "a.pdf", "a"])
def test_the_content_says_what_it_is(name: str) -> None:
    assert shown(raw_word(paragraph(run("text"))), name) == [((), ["text"])]
