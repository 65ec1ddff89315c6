"""Office files, books, mails and PDFs, made on the spot."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def zipped(
    parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED, level: int = 6
) -> bytes:
    """An archive of these parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method, compresslevel=level) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def saved(document: Any) -> bytes:
    """What a library's document writes."""
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def word(fill: Callable[[Any], None]) -> bytes:
    """A Word document by python-docx."""
    import docx

    document = docx.Document()
    fill(document)
    return saved(document)


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>'
)


def raw_word(body: str, **parts: str | bytes) -> bytes:
    """A Word document whose body is this XML; further parts by name with __ for / and _ for ."""
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": relationships({"a": ("officeDocument", "word/document.xml")}),
            "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
            **parts,
        }
    )


def relationships(targets: Mapping[str, tuple[str, str]]) -> str:
    """The part that names other parts: kind and target by id."""
    rows = "".join(
        f'<Relationship Id="{one}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for one, (kind, target) in targets.items()
    )
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{rows}</Relationships>'


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """A spreadsheet by openpyxl."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return saved(book)


def raw_sheet(rows: str, **parts: str | bytes) -> bytes:
    """A spreadsheet of one sheet whose rows are this XML."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return zipped(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": relationships({"a": ("officeDocument", "xl/workbook.xml")}),
            "xl/workbook.xml": f'<workbook {space} xmlns:r="{_OFFICE}"><sheets>'
            '<sheet name="S" sheetId="1" r:id="b"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relationships({"b": ("worksheet", "sheet1.xml")}),
            "xl/sheet1.xml": f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>",
            **parts,
        }
    )


def epub(pages: Mapping[str, str], *, spine: Sequence[str] | None = None, title: str = "") -> bytes:
    """A book of these pages, in the order of the spine."""
    items = "".join(
        f'<item id="i{at}" href="{name}" media-type="application/xhtml+xml"/>'
        for at, name in enumerate(pages)
    )
    ids = {name: f"i{at}" for at, name in enumerate(pages)}
    refs = "".join(f'<itemref idref="{ids[one]}"/>' for one in (pages if spine is None else spine))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{refs}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OEBPS/content.opf": package,
            **{f"OEBPS/{name}": page for name, page in pages.items()},
        },
        level=1,
    )


def pdf(pages: Sequence[str | bytes], *, extra: Sequence[bytes] = (), catalog: str = "",
        trailer: str = "") -> bytes:  # fmt: skip
    """A PDF whose pages have these content streams.

    Fonts /F1 (Helvetica) and /F2 (bold), the picture /Im1; ``extra`` are further objects, numbered
    from 10 on.
    """
    count = len(pages)
    first = 10 + len(extra)
    numbers = [first + 2 * at for at in range(count)]
    picture = b"\xff\x00\x00" * 4
    objects: dict[int, bytes] = {
        1: f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
        2: f"<< /Type /Pages /Count {count} /Kids [{' '.join(f'{n} 0 R' for n in numbers)}] >>"
        .encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        4: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
        5: _stream(picture, "/Type /XObject /Subtype /Image /Width 2 /Height 2 "
                            "/BitsPerComponent 8 /ColorSpace /DeviceRGB"),
    }  # fmt: skip
    for at, one in enumerate(extra):
        objects[10 + at] = one
    for number, page in zip(numbers, pages, strict=True):
        content = page if isinstance(page, bytes) else page.encode("latin-1")
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> /XObject << /Im1 5 0 R >> >> >>"
        ).encode()
        objects[number + 1] = _stream(content)
    return _assemble(objects, trailer)


def lines(*texts: str, size: int = 12, top: int = 720, font: str = "F1", extra: str = "") -> str:
    """A content stream that writes these lines, one under the other."""
    shown = " T* ".join(f"({_escape(text)}) Tj" for text in texts)
    leading = round(size * 1.2)
    return f"BT /{font} {size} Tf {leading} TL 72 {top} Td {extra} {shown} ET\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _stream(content: bytes, entries: str = "") -> bytes:
    return f"<< {entries} /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"


def _assemble(objects: Mapping[int, bytes], trailer: str) -> bytes:
    written = b"%PDF-1.7\n"
    places: dict[int, int] = {}
    for number, content in objects.items():
        places[number] = len(written)
        written += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(written)
    size = max(objects) + 1
    table = "".join(
        f"{places[n]:010d} 00000 n \n" if n in places else "0000000000 65535 f \n"
        for n in range(size)
    )
    written += (
        f"xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n".encode()
    )
    return written + f"startxref\n{start}\n%%EOF\n".encode()
