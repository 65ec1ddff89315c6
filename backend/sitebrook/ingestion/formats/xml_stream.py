"""XML as a stream of elements, one at a time, without entities and without end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, Any, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sitebrook.ingestion.decoding import refused

# The names of Office's vocabularies, in the usual and in the strict form, by their usual prefix.
_PREFIXES: Final = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": "s",
    "http://purl.oclc.org/ooxml/spreadsheetml/main": "s",
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "r",
    "http://purl.oclc.org/ooxml/officeDocument/relationships": "r",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.openxmlformats.org/package/2006/relationships": "rel",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.idpf.org/2007/opf": "opf",
    "urn:oasis:names:tc:opendocument:xmlns:container": "container",
    "http://www.w3.org/2001/04/xmlenc#": "enc",
}
_MAX_DEPTH: Final = 256
_PIECE_BYTES: Final = 65536


def read_elements(source: IO[bytes], *tags: str, max_cells: int = sys.maxsize) -> Iterator[Element]:
    """Each element of these names as it ends, whole, but none inside another of them.

    Names are those of ``_PREFIXES`` with a colon, bare where there is no namespace. Memory is for
    one element at a time. Refuses (InvalidRequest) what is not well-formed, nested deeply, or
    declares entities, and a row of more than ``max_cells`` before its end is read.
    """
    builder = _Builder(frozenset(tags), max_cells)
    try:
        while piece := source.read(_PIECE_BYTES):
            builder.parser.Parse(piece, False)
            yield from builder.take()
        builder.parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise refused(f"its XML is damaged ({error})") from None
    yield from builder.take()


def descend(element: Element | None, *tags: str) -> Element | None:
    """The first child of the first name, its first child of the next, and so on.

    ``find`` would take the colon of a path for a prefix to be looked up.
    """
    for tag in tags:
        element = element.find(tag) if element is not None else None
    return element


def read_first(source: IO[bytes], tag: str) -> Element | None:
    """The first element of this name."""
    return next(read_elements(source, tag), None)


class _Builder:
    """Makes elements of what the parser tells, inside the wanted ones only."""

    def __init__(self, tags: frozenset[str], max_cells: int) -> None:
        self._tags = tags
        self._max_cells = max_cells
        self._cells = 0
        self._names: dict[str, str] = {}
        self._depth = 0
        self._depth_inside = 0
        self._tree = TreeBuilder()
        self._ready: list[Element] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = self._refuse_entity

    def take(self) -> list[Element]:
        taken, self._ready = self._ready, []
        return taken

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise refused("its XML is nested too deeply")
        tag = self._short(name)
        if self._depth_inside or tag in self._tags:
            if not self._depth_inside:
                self.parser.CharacterDataHandler = self._tree.data
                self._cells = 0
            elif self._depth_inside == 1:
                self._count_cell()
            self._depth_inside += 1
            short = {self._short(key): value for key, value in attributes.items()}
            self._tree.start(tag, short)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth_inside:
            self._depth_inside -= 1
            self._tree.end(self._short(name))
            if not self._depth_inside:
                self._ready.append(self._tree.close())
                self._tree = TreeBuilder()
                self.parser.CharacterDataHandler = None

    def _count_cell(self) -> None:
        self._cells += 1
        if self._cells > self._max_cells:
            raise refused(f"one of its rows has more than {self._max_cells:,} cells")

    def _short(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            space, _, local = name.rpartition(" ")
            prefix = _PREFIXES.get(space, "other") if space else ""
            known = self._names[name] = f"{prefix}:{local}" if prefix else local
        return known

    def _refuse_entity(self, *_: Any) -> None:
        raise refused("its XML declares entities, which are not read")
