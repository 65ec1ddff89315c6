"""HTML as sections: what a reader of the page came for, without the page's furniture."""

from __future__ import annotations

from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from sitebrook.ingestion.hidden import find_hidden
from sitebrook.ingestion.sections import Outline

_CONTENT: Final = "h1, h2, h3, p, article, main, table"
_FURNITURE: Final = ", ".join(
    (
        "script, style, noscript, template, iframe, object, svg, canvas, nav, aside, dialog",
        # Some servers put whole pages into a form.
        f"form:not(:has({_CONTENT})), button, select, input, textarea",
        "[hidden], [aria-hidden=true], [role=navigation], [role=banner], [role=contentinfo]",
        "[role=search], [role=alert], [role=dialog], [role=alertdialog], [role=menu]",
        "a.headerlink, a.anchor, a.skip-link, .skip-link",
        # What asks for consent: by the names of the common scripts, and by what they are called.
        "#onetrust-consent-sdk, #CybotCookiebotDialog, #usercentrics-root, #didomi-host",
        ".qc-cmp2-container, .osano-cm-window, .cc-window, .cmplz-cookiebanner",
        *(
            f"[{name}*=cookie i][{name}*={kind} i]"
            for name in ("id", "class")
            for kind in ("banner", "consent", "notice", "popup", "modal", "dialog", "overlay")
        ),
    )
)
_NAMED_FURNITURE: Final = (
    "header", "footer", "nav", "navbar", "navigation", "menu", "sidebar", "breadcrumb",
    "breadcrumbs", "pagination", "site-header", "site-footer", "site-nav", "main-nav",
)  # fmt: skip
# Around the content of a page that does not say itself where that is.
_PAGE_FURNITURE: Final = ", ".join(
    ("header, footer", *(f"div#{one}, div.{one}, ul.{one}" for one in _NAMED_FURNITURE))
)
_MAIN: Final = ("main", "[role=main]", "article")
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS: Final = frozenset(
    """address article blockquote body caption center dd details div dl dt fieldset figcaption
    figure footer header hr li main ol p section summary td th tr ul""".split()  # noqa: SIM905
)
_BREAK: Final = "\x1e"  # stands for <br> among words; decoding has removed it from the text
# What is a block of its own kind, and ends a list before it.
_ENDED: Final = _HEADINGS | {"pre", "table"}
# Tables that place parts of a page rather than hold figures.
_LAYOUT: Final = "table:has(table), table:has(h1), table:has(h2), table:has(h3), table:has(pre)"
_TEXT: Final = "-text"


def read_html(text: str, outline: Outline) -> str | None:
    """Adds the page to the outline; the address that it names as its own.

    Without a heading that is one, the page's title becomes the outline's.
    """
    page = LexborHTMLParser(text)
    title = _line(page.css_first("title"))
    root = _main(page)
    if root is not None:
        _Walk(page, outline).read(root)
    outline.title = outline.title or title
    return _address(page)


def html_to_text(text: str) -> str:
    """What a piece of HTML says."""
    outline = Outline()
    read_html(text, outline)
    return "\n".join(block.text for section in outline.sections for block in section.blocks)


def _main(page: LexborHTMLParser) -> LexborNode | None:
    """The one element that holds the content, or the body without its header and footer."""
    for selector in _MAIN:
        found = page.css(selector)
        if len(found) == 1 and found[0].text(strip=True):
            return found[0]
    return page.body


def _address(page: LexborHTMLParser) -> str | None:
    for selector, name in (("link[rel=canonical]", "href"), ("meta[property='og:url']", "content")):
        node = page.css_first(selector)
        address = (node.attributes.get(name) or "").strip() if node else ""
        if address.startswith(("https://", "http://")):
            return address
    return None


class _Walk:
    """Goes through the elements once, in order; no recursion, since pages can be nested deeply.

    Nothing is removed from the page: an element inside a removed one would be freed memory.
    """

    def __init__(self, page: LexborHTMLParser, outline: Outline) -> None:
        self._outline = outline
        self._furniture = _ids(page, _FURNITURE) | find_hidden(page)
        self._page_furniture = _ids(page, _PAGE_FURNITURE)
        self._layout = _ids(page, _LAYOUT)
        self._words: list[str] = []
        self._is_point = False
        self._points: list[str] = []
        self._table: LexborNode | None = None
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._header_cells = 0  # of the first row

    def read(self, root: LexborNode) -> None:
        if root.tag == "body":
            self._furniture |= self._page_furniture
        node = root.child
        while node is not None:
            below = node.child if self._enter(node) else None
            if below is not None:
                node = below
                continue
            self._leave(node)
            node = self._after(node, root)
        self._flush()
        self._end_list()
        self._outline.close()

    def _after(self, node: LexborNode, root: LexborNode) -> LexborNode | None:
        """The next node in reading order that is not below this one."""
        current = node
        while current.next is None:
            parent = current.parent
            if parent is None or parent.mem_id == root.mem_id:
                return None
            self._leave(parent)
            current = parent
        return current.next

    def _enter(self, node: LexborNode) -> bool:
        """Whether to read on below the node."""
        tag = node.tag or ""
        if tag == _TEXT:
            self._words.append(node.text_content or "")
        elif node.mem_id in self._furniture:
            return False
        elif tag == "br":
            self._words.append(_BREAK)
        elif self._table is not None:
            self._words.append(" " if tag in _BLOCKS else "")
        elif tag in _BLOCKS or tag in _ENDED:
            self._flush()
            self._is_point = self._is_point or tag == "li"
            if tag in _ENDED:
                self._end_list()
            if tag == "table" and node.mem_id not in self._layout:
                self._table = node
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if node.mem_id in self._furniture:
            return
        if self._table is not None:
            self._leave_in_table(node, tag)
        elif tag in _HEADINGS:
            self._outline.open(int(tag[1]), self._take().replace("\n", " "))
        elif tag == "pre":
            code = "".join(self._words).replace(_BREAK, "\n").strip("\n")
            self._words.clear()
            self._outline.add(f"```\n{code}\n```" if code.strip() else "", is_whole=True)
        elif tag in _BLOCKS:
            self._flush()
            if tag in {"ul", "ol"}:
                self._end_list()

    def _leave_in_table(self, node: LexborNode, tag: str) -> None:
        """A row of cells for each row; a caption stands before the table."""
        if tag == "caption":
            self._outline.add(self._take())
        elif tag in {"td", "th"}:
            self._cells.append(self._take().replace("\n", " "))
            self._header_cells += tag == "th" and not self._rows
        elif tag == "tr":
            self._rows.append(self._cells)
            self._cells = []
        elif self._table is not None and node.mem_id == self._table.mem_id:
            columns = len(self._rows[0]) if self._rows else 0
            self._outline.add_table(self._rows, has_header=self._header_cells == columns > 0)
            self._rows, self._header_cells = [], 0
            self._table = None

    def _take(self) -> str:
        """The words since the last block, a line for each break."""
        lines = [" ".join(line.split()) for line in "".join(self._words).split(_BREAK)]
        self._words.clear()
        return "\n".join(line for line in lines if line)

    def _flush(self) -> None:
        """Makes a block of the words since the last one; points of a list are gathered."""
        text = self._take()
        if text and self._is_point:
            self._points.append(f"- {text}")
            self._is_point = False
        elif text:
            self._end_list()
            self._outline.add(text)

    def _end_list(self) -> None:
        self._outline.add("\n".join(self._points))
        self._points.clear()


def _ids(page: LexborHTMLParser, selector: str) -> set[int]:
    return {node.mem_id for node in page.css(selector)}


def _line(node: LexborNode | None) -> str:
    return " ".join(node.text(deep=True).split()) if node else ""
