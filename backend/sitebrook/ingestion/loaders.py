"""Files and uploads as documents, by what they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any, Final

from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.ingestion.decoding import clean, decode, refused
from sitebrook.ingestion.kinds import TEXT_KINDS, Kind, check_kind
from sitebrook.ingestion.sections import LoadedDocument, Outline, to_text

_MAX_TITLE_CHARACTERS: Final = 300
_FORMATS: Final = "sitebrook.ingestion.formats"
# Imported when such a document comes: most processes never see most of them.
_READERS: Final[dict[Kind, tuple[str, str]]] = {
    "markdown": ("sitebrook.ingestion.markdown", "read_markdown"),
    "html": ("sitebrook.ingestion.html", "read_html"),
    "text": ("sitebrook.ingestion.loaders", "read_text"),
    "csv": (f"{_FORMATS}.rows", "read_rows"),
    "json": (f"{_FORMATS}.records", "read_json"),
    "jsonl": (f"{_FORMATS}.records", "read_json_lines"),
    "pdf": (f"{_FORMATS}.pdf", "read_pdf"),
    "word": (f"{_FORMATS}.word", "read_word"),
    "slides": (f"{_FORMATS}.slides", "read_slides"),
    "sheets": (f"{_FORMATS}.sheets", "read_sheets"),
    "epub": (f"{_FORMATS}.epub", "read_epub"),
    "mail": (f"{_FORMATS}.mail", "read_mail"),
}


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document as it came. ``source`` makes it the same document when it comes again.

    ``title`` and ``url`` win over what the content says of itself; without ``sizes`` its chunks are
    as large as the settings say.
    """

    source: str
    content: bytes | str
    media_type: str | None = None
    title: str | None = None
    url: str | None = None
    sizes: SizesInCharacters | None = None


def load(raw: RawDocument, *, max_characters: int) -> LoadedDocument:
    """The document's sections and text. It may take long and fill the memory: run it in a child.

    Raises UnsupportedBody for a type that is not read, BodyTooLarge above ``max_characters``,
    InvalidRequest for what is damaged, protected, not text or empty.
    """
    outline = Outline(max_characters=max_characters)
    content = raw.content
    kind = check_kind(content if isinstance(content, bytes) else None, raw.source, raw.media_type)
    try:
        url = _read(raw, kind, outline)
    except RecursionError:
        raise refused("it is nested too deeply") from None
    if not outline.sections:
        raise refused("it has no text")
    title = clean(raw.title or outline.title) or PurePath(raw.source).stem or raw.source
    return LoadedDocument(
        title=" ".join(title.split())[:_MAX_TITLE_CHARACTERS],
        url=clean(raw.url) if raw.url else url,
        sections=tuple(outline.sections),
        text=to_text(outline.sections),
    )


def read_text(text: str, outline: Outline) -> None:
    """Adds the paragraphs of plain text to the outline."""
    for paragraph in text.split("\n\n"):
        outline.add(paragraph)
    outline.close()


def _read(raw: RawDocument, kind: Kind, outline: Outline) -> str | None:
    """Fills the outline; the address that the document names as its own."""
    if kind in TEXT_KINDS:
        text = _text(raw, kind)
        outline.check_characters(len(text))
        return _find_reader(kind)(text, outline)
    content = raw.content
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    return _find_reader(kind)(content, outline)


def _find_reader(kind: Kind) -> Callable[[Any, Outline], str | None]:
    module, name = _READERS[kind]
    return getattr(import_module(module), name)


def _text(raw: RawDocument, kind: Kind) -> str:
    if isinstance(raw.content, str):
        return clean(raw.content)
    charset = (raw.media_type or "").lower().partition("charset=")[2].partition(";")[0]
    return clean(decode(raw.content, is_html=kind == "html", charset=charset.strip(" \"'") or None))
