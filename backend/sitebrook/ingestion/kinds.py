"""What a document is: by its content where that shows, else by its type and name."""

from __future__ import annotations

import codecs
import re
import zipfile
from io import BytesIO
from pathlib import PurePath
from typing import Final, Literal, get_args

from sitebrook.errors import UnsupportedBody
from sitebrook.ingestion.decoding import refused

TextKind = Literal["markdown", "text", "html", "csv", "json", "jsonl"]
FileKind = Literal["pdf", "word", "slides", "sheets", "epub", "mail"]
Kind = TextKind | FileKind

TEXT_KINDS: Final = frozenset(get_args(TextKind))
READ: Final = (
    "Markdown, HTML, text, PDF, Word (.docx), PowerPoint (.pptx), Excel (.xlsx), CSV, EPUB, JSON "
    "and e-mail (.eml)"
)
_BY_EXTENSION: Final[dict[str, Kind]] = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown",
    ".txt": "text", ".text": "text", ".rst": "text",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".csv": "csv", ".tsv": "csv",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".pdf": "pdf", ".epub": "epub", ".eml": "mail",
    ".docx": "word", ".docm": "word", ".dotx": "word",
    ".pptx": "slides", ".pptm": "slides", ".ppsx": "slides",
    ".xlsx": "sheets", ".xlsm": "sheets", ".xltx": "sheets",
}  # fmt: skip
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_BY_MEDIA_TYPE: Final[dict[str, Kind]] = {
    "text/markdown": "markdown", "text/x-markdown": "markdown", "text/plain": "text",
    "text/html": "html", "application/xhtml+xml": "html",
    "text/csv": "csv", "application/csv": "csv", "text/tab-separated-values": "csv",
    "application/json": "json", "text/json": "json",
    "application/jsonl": "jsonl", "application/x-ndjson": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/pdf": "pdf", "application/epub+zip": "epub", "message/rfc822": "mail",
    f"{_OFFICE}wordprocessingml.document": "word",
    f"{_OFFICE}presentationml.presentation": "slides",
    f"{_OFFICE}spreadsheetml.sheet": "sheets",
}  # fmt: skip
# Senders that do not know better use these for anything; the name then says more.
_VAGUE: Final = frozenset(
    {"", "text/plain", "application/octet-stream", "application/zip", "application/vnd.ms-excel"}
)
_PDF_START: Final = b"%PDF-"
_PDF_WITHIN_BYTES: Final = 1024  # as readers of PDF allow
_ZIP_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_OLE_START: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_READ_BYTES: Final = 1 << 20
_PASSWORD_STREAM: Final = "EncryptedPackage".encode("utf-16-le")
_FOREIGN_TEXT: Final = (
    (b"{\\rtf", "an RTF document; save it as .docx or PDF"),
    (b"%!PS", "PostScript; save it as PDF"),
)
_FOREIGN: Final = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"\x1f\x8b", "a compressed archive; unpack it first"),
    (b"BZh", "a compressed archive; unpack it first"),
    (b"\xfd7zXZ\0", "a compressed archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed archive; unpack it first"),
    (b"Rar!", "a compressed archive; unpack it first"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"OggS", "a recording"),
    (b"ID3", "a recording"),
    (b"\x1aE\xdf\xa3", "a recording"),
)
_BY_PART: Final[tuple[tuple[str, Kind], ...]] = (
    ("word/", "word"),
    ("ppt/", "slides"),
    ("xl/", "sheets"),
)
_HTML_START: Final = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*){0,5}<(?:!doctype html|html[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_SNIFFED_BYTES: Final = 16_384
_NAMED: Final = {
    "pdf": "a PDF", "word": "a Word document", "slides": "a presentation",
    "sheets": "a spreadsheet", "epub": "an EPUB book",
}  # fmt: skip


def find_kind(source: str, media_type: str | None = None) -> Kind | None:
    """What the document is by its type, else by its name; None is nothing that is read.

    Plain text with the name of another kind is that.
    """
    essence = (media_type or "").partition(";")[0].strip().lower()
    by_name = _BY_EXTENSION.get(PurePath(source).suffix.lower())
    if essence in _VAGUE and by_name:
        return by_name
    return _BY_MEDIA_TYPE.get(essence)


def check_kind(content: bytes | None, source: str, media_type: str | None) -> Kind:
    """What the document is; its content decides, name and type say only what kind of text it is.

    ``content`` is None for what came as text: with the name of a PDF it was taken out of one.
    Raises UnsupportedBody for what is not read, InvalidRequest for what is protected or is not
    what its name says.
    """
    said = find_kind(source, media_type)
    if content is None and said in _NAMED:
        return "text"
    shown = _sniff(content or b"", is_said_pdf=said == "pdf")
    if shown is not None:
        return shown
    if said is None:
        what = media_type or PurePath(source).suffix or "unknown"
        message = f"Documents of type {what} are not read; send {READ}."
        raise UnsupportedBody(message, param="content")
    if content == b"":
        raise refused("it is empty")
    if said in _NAMED:
        raise refused(f"it is named like {_NAMED[said]} but is none; it is damaged or another file")
    if said in {"text", "csv", "json", "jsonl"} and _HTML_START.match(
        (content or b"")[:_SNIFFED_BYTES]
    ):
        return "html"
    return said


def _sniff(content: bytes, *, is_said_pdf: bool) -> Kind | None:
    """What the content shows it is; None when it could be any text, or nothing known."""
    head = content[:_PDF_WITHIN_BYTES]
    if head.lstrip().startswith(_PDF_START) or (is_said_pdf and _PDF_START in head):
        return "pdf"
    if content.startswith(_ZIP_STARTS):
        return _sniff_archive(content)
    if content.startswith(_OLE_START):
        if _PASSWORD_STREAM in content[:_OLE_READ_BYTES] + content[-_OLE_READ_BYTES:]:
            raise refused("it is protected with a password; save it without one")
        raise _foreign("in an old format of Office; save it as .docx, .pptx or .xlsx")
    what = _find_foreign(content[:_SNIFFED_BYTES])
    if what is not None:
        raise _foreign(what)
    return None


def _find_foreign(head: bytes) -> str | None:
    """What a file of no use is, as its head shows; a text may begin with most of these signs."""
    starts = _FOREIGN_TEXT if _is_text(head) else (*_FOREIGN_TEXT, *_FOREIGN)
    for start, what in starts:
        if head.startswith(start):
            return what
    is_picture = head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    return "a picture or a recording" if is_picture and not _is_text(head) else None


def _is_text(head: bytes) -> bool:
    """Whether it could be text in UTF-8, cut anywhere."""
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _sniff_archive(content: bytes) -> Kind:
    try:
        names = zipfile.ZipFile(BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise refused(f"its archive is damaged ({error})") from None
    if "[Content_Types].xml" in names:
        for folder, kind in _BY_PART:
            if any(name.startswith(folder) for name in names):
                return kind
    if "META-INF/container.xml" in names:
        return "epub"
    if "content.xml" in names and "mimetype" in names:
        raise _foreign("an OpenDocument file; save it as .docx, .pptx, .xlsx or PDF")
    raise _foreign("an archive; unpack it and add what is inside")


def _foreign(what: str) -> UnsupportedBody:
    return UnsupportedBody(f"The document is refused: it is {what}.", param="content")
