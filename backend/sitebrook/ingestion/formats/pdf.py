"""PDF as sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pypdfium2

from sitebrook.ingestion.decoding import clean, refused
from sitebrook.ingestion.formats.pdf_lines import Line, PageLines
from sitebrook.ingestion.formats.pdf_structure import Bookmark, add_lines
from sitebrook.ingestion.sections import Outline

# It describes few of its types.
_PDFIUM: Final[Any] = pypdfium2
_MAX_PAGES: Final = 5000
_MAX_BOOKMARKS: Final = 10_000
_MAX_DEPTH: Final = 6
_MAX_TITLE_CHARACTERS: Final = 300
# Titles that programs put in, which name the file or themselves.
_NO_TITLE: Final = re.compile(
    r"untitled.*|.*\.(?:docx?|pdf|indd|pptx?|xlsx?|odt|qxd|tex|rtf)|microsoft word - .*|"
    r"(?:powerpoint )?pr[eé]sentation|document\d*|slide \d+|[\W\d]*",
    re.IGNORECASE,
)


def read_pdf(content: bytes, outline: Outline) -> None:
    """Adds the document's text in sections under its bookmarks, else under its large lines.

    Refuses (InvalidRequest) what is damaged, needs a password or has pictures only.
    """
    document = _open(content)
    count = len(document)
    if count > _MAX_PAGES:
        raise refused(f"it has {count:,} pages; at most {_MAX_PAGES:,} are read")
    outline.title = _title(document)
    pages: list[list[Line]] = []
    characters = 0
    has_pictures = False
    for number in range(count):
        page = _page(document, number)
        pages.append(page.lines if page else [])
        has_pictures = has_pictures or (page is not None and page.has_pictures)
        characters += sum(len(line.text) for line in pages[-1])
        outline.check_characters(characters)
    if not characters:
        raise refused(
            "it has pictures of pages but no text; run text recognition (OCR) on it first"
            if has_pictures
            else "it has no text"
        )
    add_lines(pages, list(_bookmarks(document)), outline)


def _open(content: bytes) -> Any:
    try:
        document = _PDFIUM.PdfDocument(content)
    except _PDFIUM.PdfiumError as error:
        # PDFium takes some damage for a missing password too.
        if "password" in str(error).lower() and b"/Encrypt" in content:
            raise refused("it is protected with a password; save it without one") from None
        raise refused(f"it is damaged, or no PDF ({error})") from None
    if not len(document):
        raise refused("it has no pages; it is damaged")
    return document


def _page(document: Any, number: int) -> PageLines | None:
    """The page's lines; None of a page that is broken, which takes no other with it."""
    try:
        page = document.get_page(number)
    except _PDFIUM.PdfiumError:
        return None
    try:
        return PageLines(page)
    except _PDFIUM.PdfiumError:
        return None
    finally:
        page.close()


def _title(document: Any) -> str:
    title = " ".join(clean(document.get_metadata_value("Title")).split())
    is_name = _NO_TITLE.fullmatch(title) is not None
    return "" if is_name or len(title) > _MAX_TITLE_CHARACTERS else title


def _bookmarks(document: Any) -> Iterator[Bookmark]:
    for count, one in enumerate(document.get_toc(max_depth=_MAX_DEPTH)):
        if count >= _MAX_BOOKMARKS:
            return
        place = one.get_dest()
        page = place.get_index() if place is not None else None
        title = " ".join(clean(one.get_title()).split())
        if page is not None and title:
            yield Bookmark(title, one.level + 1, page)
