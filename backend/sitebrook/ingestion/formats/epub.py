"""Electronic books (.epub) as sections, page by page in reading order."""

from __future__ import annotations

import posixpath
from typing import Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from sitebrook.ingestion.decoding import clean, decode, refused
from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.xml_stream import descend, read_elements, read_first
from sitebrook.ingestion.html import read_html
from sitebrook.ingestion.sections import Outline

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_PAGES: Final = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_MAX_PAGE_BYTES: Final = 20 * 1024 * 1024


def read_epub(content: bytes, outline: Outline) -> None:
    """Adds the pages of the book's spine; its title is the outline's."""
    archive = Archive(content)
    package_part = _package_part(archive)
    with archive.open(package_part) as source:
        package = read_first(source, "opf:package")
    if package is None:
        raise refused("its package document lists nothing; it is damaged")
    title = descend(package, "opf:metadata", "dc:title")
    outline.title = (title.text or "").strip() if title is not None else ""
    pages = _pages(package, posixpath.dirname(package_part))
    if not pages:
        raise refused("it lists no pages in a reading order (its spine is empty)")
    _check_readable(archive, pages)
    for page in pages:
        if page in archive:
            html = clean(decode(archive.read(page, _MAX_PAGE_BYTES), is_html=True))
            read_html(html, outline)


def _package_part(archive: Archive) -> str:
    if _CONTAINER not in archive:
        raise refused("it lacks META-INF/container.xml, so it is no book")
    with archive.open(_CONTAINER) as source:
        for one in read_elements(source, "container:rootfile"):
            if (place := one.get("full-path", "")) in archive:
                return place
    raise refused("it lacks the package document that lists its pages")


def _pages(package: Element, folder: str) -> list[str]:
    """The names of the pages that the spine lists, in its order."""
    items = {
        one.get("id", ""): one.get("href", "")
        for one in _below(package, "opf:manifest")
        if one.get("media-type", "") in _PAGES and "nav" not in one.get("properties", "").split()
    }
    listed = [one.get("idref", "") for one in _below(package, "opf:spine")]
    hrefs = [unquote(items[one].partition("#")[0]) for one in listed if one in items]
    return list(dict.fromkeys(posixpath.normpath(posixpath.join(folder, one)) for one in hrefs))


def _below(package: Element, tag: str) -> list[Element]:
    found = package.find(tag)
    return list(found) if found is not None else []


def _check_readable(archive: Archive, pages: list[str]) -> None:
    """Fonts may be obscured; pages that are encrypted cannot be read."""
    if _ENCRYPTION not in archive:
        return
    with archive.open(_ENCRYPTION) as source:
        encrypted = {unquote(one.get("URI", "")) for one in
                     read_elements(source, "enc:CipherReference")}  # fmt: skip
    if encrypted & set(pages):
        raise refused("its pages are encrypted (copy protection)")
