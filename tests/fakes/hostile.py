"""Files that are broken, that lie, or that were made to do harm, and what becomes of each."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.fakes.documents import (
    epub,
    lines,
    pdf,
    raw_sheet,
    raw_word,
    relationships,
    zipped,
)
from tests.fakes.hostile_files import (
    DEEP_PDF,
    LAUGHS,
    OLE,
    PAGE,
    W,
    added,
    changed,
    document,
    encrypted_entries,
    lying_size,
    mail_of_parts,
    mail_with_attachment,
    multiparts,
    nested_zips,
    paragraph,
    pdf_bomb,
    pdf_encrypted,
    pdf_with,
    repacked,
    tar,
    with_part,
    zipped_wrong,
)

READ: Final = ""  # the reason of a file that is taken in


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file by its name; ``reason`` is a pattern in what its sender is told.

    One that begins with a bar may be taken in as well: that depends on how fast the machine is, or
    on how much a library makes of a broken file.
    """

    make: Callable[[], bytes]
    reason: str
    name: str = "a.txt"


HOSTILE: Final[dict[str, Hostile]] = {
    # Archives.
    "a zip bomb": Hostile(lambda: raw_word(" " * 100_000_000), "more than 250 times its size"),
    "a zip bomb of many parts": Hostile(
        lambda: epub({f"{at}.xhtml": PAGE + " " * 4_000_000 for at in range(100)}),
        "unpacks to more than 300 MB|longer than",
    ),
    "a zip bomb that lies about its size": Hostile(lying_size, "(?:archive|XML) is damaged"),
    "an archive of 25,000 parts": Hostile(
        lambda: with_part("a", "", **{f"a{at}": "" for at in range(25_000)}), "20,000"
    ),
    "zips in zips": Hostile(nested_zips, "an archive; unpack it"),
    "an empty archive": Hostile(lambda: zipped({}), "an archive"),
    "an archive cut in the middle": Hostile(
        lambda: raw_word(paragraph("text") * 999)[:400], "archive is damaged", "a.docx"
    ),
    "an archive with a wrong checksum": Hostile(
        lambda: zipped_wrong(), "archive is damaged"
    ),
    "an archive packed in another way": Hostile(
        lambda: repacked(zipfile.ZIP_LZMA), "compressed in a way that is not read"
    ),
    "an archive with a password": Hostile(encrypted_entries, "password"),
    "parts outside of the archive": Hostile(
        lambda: with_part(
            "_rels/.rels",
            relationships({"a": ("officeDocument", "../../../../etc/passwd")}),
            **{"../../../../etc/passwd": "x", "/etc/passwd": "y"},
        ),
        "lacks the part that holds the document",
    ),
    "a gzip": Hostile(lambda: gzip.compress(b"text" * 100), "a compressed archive"),
    "a tar": Hostile(tar, "NUL bytes"),
    # Word.
    "a laughing Word document": Hostile(
        lambda: document(f'<!DOCTYPE w [<!ENTITY l0 "ha">{LAUGHS}]><w:document {W}><w:body>'
                          f"{paragraph('&l9;')}</w:body></w:document>"),
        "declares entities",
    ),
    "a Word document that wants another file": Hostile(
        lambda: document('<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
                          f"<w:document {W}><w:body>{paragraph('&x;')}</w:body></w:document>"),
        "declares entities",
    ),
    "a Word document with parameter entities": Hostile(
        lambda: document('<!DOCTYPE w [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd">%x;]>'
                          f"<w:document {W}/>"),
        "declares entities",
    ),
    "a Word document with a foreign DTD": Hostile(
        lambda: document('<!DOCTYPE w SYSTEM "http://127.0.0.1:9/x.dtd">'
                          f"<w:document {W}><w:body>{paragraph('text')}</w:body></w:document>"),
        READ,
    ),
    "a Word document nested deeply": Hostile(
        lambda: raw_word("<w:tbl><w:tr><w:tc>" * 50_000), "nested too deeply"
    ),
    "a Word document of broken XML": Hostile(
        lambda: raw_word("<w:p></w:q>"), "XML is damaged"
    ),
    "a Word document in an unknown encoding": Hostile(
        lambda: document(f'<?xml version="1.0" encoding="x-none"?><w:document {W}/>'),
        "XML is damaged",
    ),
    "a Word document with numbers of 5,000 digits": Hostile(
        lambda: raw_word(f'<w:p><w:pPr><w:outlineLvl w:val="{"9" * 5000}"/></w:pPr><w:r><w:rPr>'
                         f'<w:sz w:val="{"9" * 5000}"/></w:rPr><w:t>text</w:t></w:r></w:p>'),
        READ,
    ),
    "a Word document without its document": Hostile(
        lambda: zipped({"[Content_Types].xml": "", "word/x.xml": ""}), "lacks the part"
    ),
    "a Word document with macros and links": Hostile(
        lambda: with_part(
            "word/_rels/document.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="a" Type="x/attachedTemplate" Target="http://127.0.0.1:9/t.dotm" '
            'TargetMode="External"/></Relationships>',
            **{"word/vbaProject.bin": "Shell()"},
        ),
        READ,
        "a.docm",
    ),
    "a Word document of six million characters": Hostile(
        lambda: raw_word("".join(paragraph(f"{at:0>60}") for at in range(100_000))),
        "more than 5,000,000 characters|longer than",
    ),
    "a Word document without text": Hostile(lambda: raw_word("<w:p/>"), "no text", "a.docx"),
    "a Word document with a password": Hostile(
        lambda: OLE + "EncryptedPackage".encode("utf-16-le"), "password", "a.docx"
    ),
    "an old Word document": Hostile(lambda: OLE, "old format of Office", "a.doc"),
    # Spreadsheets and presentations.
    "a cell in the last place of a sheet": Hostile(
        lambda: raw_sheet('<row r="1048576"><c r="XFD1048576"><v>7</v></c></row>'), READ
    ),
    "a place in a sheet that has no end": Hostile(
        lambda: raw_sheet(f'<row><c r="{"Z" * 3_000_000}1"><v>7</v></c></row>'), READ
    ),
    "one long string in each of 10,000 cells": Hostile(
        lambda: raw_sheet(
            '<row><c t="s"><v>0</v></c></row>' * 10_000,
            **{
                "xl/_rels/workbook.xml.rels": relationships(
                    {"b": ("worksheet", "sheet1.xml"), "c": ("sharedStrings", "s.xml")}
                ),
                "xl/s.xml": '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                f"<si><t>{'word ' * 100_000}</t></si></sst>",
            },
        ),
        "more than 5,000,000 characters",
    ),
    "a sheet of 300,000 columns": Hostile(
        lambda: raw_sheet(
            f"<row>{''.join(f'<c><v>{at}</v></c>' for at in range(300_000))}</row>"
        ),
        "one of its rows has more than 16,384 cells",
    ),
    "a sheet with absurd numbers": Hostile(
        lambda: raw_sheet(f'<row><c t="s"><v>{"9" * 5000}</v></c><c s="{"9" * 5000}"><v>1e999</v>'
                          "</c><c><v>nan</v></c><c s='-1'><v>5</v></c></row>"),
        READ,
    ),
    "a presentation without slides": Hostile(
        lambda: zipped({
            "[Content_Types].xml": "", "ppt/p.xml": "<presentation/>",
            "_rels/.rels": relationships({"a": ("officeDocument", "ppt/p.xml")}),
        }),
        "no text",
    ),
    # Books.
    "a book without a spine": Hostile(lambda: epub({"a.xhtml": PAGE}, spine=[]), "spine is empty"),
    "a book without a container": Hostile(
        lambda: zipped({"mimetype": "application/epub+zip"}), "an archive", "a.epub"
    ),
    "a book whose pages lie elsewhere": Hostile(
        lambda: epub({"../../../etc/passwd": PAGE, "%2e%2e/x": PAGE}), "no text|archive|text"
    ),
    "a copy-protected book": Hostile(
        lambda: added(
            epub({"a.xhtml": PAGE}),
            "META-INF/encryption.xml",
            '<e xmlns="http://www.w3.org/2001/04/xmlenc#">'
            '<CipherReference URI="OEBPS/a.xhtml"/></e>',
        ),
        "copy protection",
    ),
    # PDF.
    "a PDF with a password": Hostile(pdf_encrypted, "password"),
    "a PDF of pictures": Hostile(
        lambda: pdf(["q 600 0 0 700 0 0 cm /Im1 Do Q"] * 3), r"text recognition \(OCR\)"
    ),
    "a PDF without pages": Hostile(lambda: pdf([]), "no pages|damaged"),
    "a PDF that is only a head": Hostile(lambda: pdf_with(b""), "damaged"),
    "a PDF of noise": Hostile(lambda: pdf_with(bytes(range(256)) * 4000), "damaged"),
    "a PDF whose pages hold themselves": Hostile(
        lambda: changed(pdf([lines("text")]), b"/Kids [10 0 R]", b"/Kids [2 0 R] "),
        "no text|damaged|no pages",
    ),
    "a PDF that claims a million pages": Hostile(
        lambda: changed(pdf([lines("text")]), b"/Count 1 ", b"/Count 1000000 "),
        "1,000,000 pages; at most 5,000|no text|damaged",
    ),
    "a PDF nested deeply": Hostile(lambda: pdf_with(DEEP_PDF), "damaged"),
    "a PDF whose table refers to itself": Hostile(
        lambda: changed(pdf([lines("text")], trailer="/Prev 9"), b"/Prev 9", b"/Prev 000009"),
        "|damaged",
    ),
    "a PDF bomb": Hostile(lambda: pdf_bomb(600_000_000), "memory|no text|longer than|damaged"),
    "a PDF whose form draws itself": Hostile(
        lambda: changed(
            pdf([lines("text") + "/Im1 Do"], extra=[
                b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject "
                b"<< /Im1 10 0 R >> >> /Length 7 >>\nstream\n/Im1 Do\nendstream",
            ]),
            b"/Im1 5 0 R", b"/Im1 10 0 R",
        ),
        READ,
    ),
    "a PDF that runs programs": Hostile(
        lambda: pdf([lines("text")], catalog="/OpenAction << /S /JavaScript /JS (app.alert(1)) >> "
                                             "/AA << /O << /S /Launch /F (/bin/sh) >> >>"),
        READ,
    ),
    # Text and what pretends to be.
    "a picture named as text": Hostile(lambda: b"\x89PNG\r\n\x1a\n\0", "a picture", "a.md"),
    "a program named as PDF": Hostile(lambda: b"MZ\x90\0" + b"\0" * 99, "a program", "a.pdf"),
    "text named as PDF": Hostile(lambda: b"only text", "named like a PDF but is none", "a.pdf"),
    "text named as a book": Hostile(lambda: b"only text", "named like an EPUB book", "a.epub"),
    "RTF named as Word": Hostile(lambda: b"{\\rtf1 text}", "an RTF document", "a.docx"),
    "nothing": Hostile(lambda: b"", "empty"),
    "nothing, named as PDF": Hostile(lambda: b"", "empty", "a.pdf"),
    "only spaces and invisible characters": Hostile(
        lambda: " \n\u200b\ufeff\u202e\U000e0041".encode(), "no text"
    ),
    "NUL bytes": Hostile(lambda: b"a\0b", "NUL bytes"),
    "UTF-16 without a mark": Hostile(lambda: "plain text".encode("utf-16-le"), "NUL bytes"),
    "half of a surrogate": Hostile(lambda: b"a \xed\xa0\x80 b", "not valid UTF-8"),
    "two encodings in one file": Hostile(lambda: "é".encode() + "é".encode("latin-1"), "UTF-8"),
    "a charset that takes minutes": Hostile(
        lambda: b"<meta charset=punycode><p>" + b"a-" * 200_000, READ, "a.html"
    ),
    "a line of six million characters": Hostile(lambda: b"x" * 6_000_000, "5,000,000 characters"),
    "a line of a million characters": Hostile(lambda: b"x" * 1_000_000, READ),
    # Pages and Markdown.
    "elements nested 300,000 deep": Hostile(
        lambda: b"<b><div>" * 150_000 + b"x", "|longer than", "a.html"
    ),
    "tables nested 5,000 deep": Hostile(
        lambda: b"<table><tr><td>" * 5000 + b"x", "|longer than", "a.html"
    ),
    "200,000 attributes": Hostile(
        lambda: b"<p " + b"".join(b"a%d=1 " % at for at in range(200_000)) + b">x",
        "|longer than",
        "a.html",
    ),
    "a page of nothing but scripts": Hostile(
        lambda: b"<script>" + b"x()" * 100_000, "no text", "a.html"
    ),
    "quotes nested 50,000 deep": Hostile(lambda: b">" * 50_000 + b" x", "|nested|no text", "a.md"),
    "lists nested 2,000 deep": Hostile(
        lambda: b"".join(b" " * at + b"- x\n" for at in range(2000)), "|nested", "a.md"
    ),
    "brackets without an end": Hostile(lambda: b"[![" * 300_000, READ, "a.md"),
    # JSON and CSV.
    "JSON nested a million deep": Hostile(lambda: b"[" * 1_000_000, "nested too deeply", "a.json"),
    "JSON nested 900 deep": Hostile(
        lambda: b'{"a":' * 900 + b'"x"' + b"}" * 900, "|nested too deeply", "a.json"
    ),
    "JSON cut in the middle": Hostile(lambda: b'{"a": [1, 2', "not valid JSON", "a.json"),
    "JSON with absurd numbers": Hostile(
        lambda: b'{"a": 1e999, "b": ' + b"9" * 5000 + b"}", "|not valid JSON", "a.json"
    ),
    "JSON Lines with a bad line": Hostile(
        lambda: b'{"a": "x"}\n' * 9 + b"{'a': 1}\n", "line 10 is not valid JSON", "a.jsonl"
    ),
    "a million columns": Hostile(
        lambda: b"a," * 1_000_000, "line 1 has 1,000,001 columns", "a.csv"
    ),
    "a quote without an end": Hostile(
        lambda: b'a,b\n"' + b"x,\n" * 300_000, "line [0-9,]+ is not CSV", "a.csv"
    ),
    "CSV with NUL bytes": Hostile(lambda: b"a,b\n1,\0\n", "NUL bytes", "a.csv"),
    # E-mail.
    "mail nested 5,000 deep": Hostile(
        lambda: multiparts(5000), "|nested too deeply", "a.eml"
    ),
    "mail nested 50 deep": Hostile(lambda: multiparts(50), READ, "a.eml"),
    "mail of 20,000 parts": Hostile(
        lambda: mail_of_parts(20_000), "more than 1,000 parts", "a.eml"
    ),
    "mail with a large attachment": Hostile(mail_with_attachment, READ, "a.eml"),
    "mail with malformed heads": Hostile(
        lambda: b"From: =?utf-8?q?" + b"=" * 9999 + b"?=\nTo: <<<@@>>,;:\nDate: never\n"
                b"Subject: =?x-none?b?!!?=\nContent-Type: text/plain; charset=x-none\n\ntext",
        READ,
        "a.eml",
    ),
    "mail with 200,000 heads": Hostile(
        lambda: b"".join(b"X-%d: y\n" % at for at in range(200_000)) + b"\ntext", READ, "a.eml"
    ),
}  # fmt: skip
