"""Markdown as sections."""

from __future__ import annotations

import re
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sitebrook.ingestion.html import html_to_text
from sitebrook.ingestion.sections import Outline

_FRONT_MATTER: Final = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD: Final = re.compile(
    r"^(title|url|permalink)[ \t]*[:=][ \t]*(.+)$", re.MULTILINE | re.IGNORECASE
)
# Addresses are noise to the index and to the reader; what a link or an image says stays.
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])")
# CommonMark's longest label has 999 characters; without a bound, open brackets cost the square.
_DEFINITION: Final = re.compile(r"^ {0,3}\[[^\]]{1,999}\]:\s+\S+.*$", re.MULTILINE)
_MAX_HEADING_CHARACTERS: Final = 2000
_BREAKS: Final = frozenset({"softbreak", "hardbreak"})
_SAID: Final = _BREAKS | {"text", "text_special", "code_inline"}
_CODE: Final = frozenset({"fence", "code_block"})
_HEADER_LINES: Final = 2  # of a table: the names of the columns, and the line under them


def read_markdown(text: str, outline: Outline) -> str | None:
    """Adds the document to the outline; the address that its front matter names."""
    fields, body = _front_matter(text)
    outline.title = fields.get("title", "")
    lines = body.split("\n")
    parser, definitions = _parser(), dict[str, Any]()
    tokens = parser.parse(body, definitions)
    for position, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        if token.type == "heading_open":
            source = tokens[position + 1].content[:_MAX_HEADING_CHARACTERS]
            outline.open(int(token.tag[1]), _heading(parser, source, definitions))
            continue
        source = "\n".join(lines[token.map[0] : token.map[1]])
        if token.type == "table_open":
            header = "\n".join(source.split("\n", _HEADER_LINES)[:_HEADER_LINES])
            outline.add(source, is_whole=True, header=header)
        elif token.type in _CODE:
            outline.add(source, is_whole=True)
        elif token.type == "html_block":
            outline.add(html_to_text(source))
        elif token.type != "hr":
            outline.add(_without_addresses(source))
    outline.close()
    address = fields.get("url") or fields.get("permalink") or ""
    return address if address.startswith(("https://", "http://")) else None


def _parser() -> MarkdownIt:
    """Blocks only: what stands inside them is parsed for headings alone, it takes most time."""
    return MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    found = _FRONT_MATTER.match(text)
    if found is None:
        return {}, text
    fields = {
        field[1].lower(): field[2].strip().strip("\"'").strip()
        for field in _FIELD.finditer(found[2])
    }
    return fields, text[found.end() :]


def _heading(parser: MarkdownIt, source: str, definitions: dict[str, Any]) -> str:
    children: list[Token] = []
    parser.inline.parse(source, parser, definitions, children)
    said = (child for child in children if child.type in _SAID)
    text = "".join(" " if child.type in _BREAKS else child.content for child in said)
    return " ".join(text.split())


def _without_addresses(source: str) -> str:
    return _LINK.sub(r"\1", _DEFINITION.sub("", _without_comments(source)))


def _without_comments(source: str) -> str:
    kept: list[str] = []
    start = 0
    while (opens := source.find("<!--", start)) >= 0:
        closes = source.find("-->", opens + 4)
        if closes < 0:
            break
        kept.append(source[start:opens])
        start = closes + 3
    return "".join([*kept, source[start:]])
