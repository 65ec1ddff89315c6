"""Bytes as text that is safe to store and to show."""

from __future__ import annotations

import codecs
import re
from typing import Final

from sitebrook.errors import InvalidRequest

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w:.\-]{1,40})", re.IGNORECASE
)
_CHARSET_READ_BYTES: Final = 4096
# Codecs of Python that no document is written in: they always fail, read escapes, or take minutes.
_NO_CHARSET: Final = re.compile(r"undefined|idna|punycode|(?:raw.?)?unicode.?escape", re.IGNORECASE)

# What nobody sees and a model would read: zero-width and bidirectional controls, soft hyphens,
# interlinear marks, tag characters, variation selectors that can carry text, control characters.
_INVISIBLE: Final = re.compile(
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\xad\\u034f\\u061c\\u180e\\u200b\\u200e\\u200f"
    "\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\U000e0000-\\U000e0fff]+"
    # One variation selector chooses a form of the character before it; more are a code.
    "|(?<=[\\ufe00-\\ufe0f])[\\ufe00-\\ufe0f]+"
)
# Joiners have a meaning inside Persian, Indic scripts and emoji only.
_JOINERS: Final = re.compile(
    "(?<![^\\x00-\\u02ff])[\\u200c\\u200d]|[\\u200c\\u200d](?![^\\x00-\\u02ff])"
)
_ASCII_LINE_ENDS: Final = bytes.maketrans(b"\r\x0b\x0c", b"\n\n\n")
_ASCII_INVISIBLE: Final = bytes(one for one in (*range(32), 127) if one not in b"\t\n\r\x0b\x0c")
_LINE_ENDS: Final = re.compile("\\r\\n?|[\\x0b\\x0c\\x85\\u2028\\u2029]")


def decode(content: bytes, *, is_html: bool = False, charset: str | None = None) -> str:
    """The content as text: by its byte order mark, the charset given or declared, else UTF-8.

    HTML without a valid charset is read as Windows-1252, as browsers do; anything else that is not
    UTF-8, and anything with NUL bytes, is refused (InvalidRequest).
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _decode(content[len(mark) :], encoding)
    if b"\0" in content:
        raise refused("it holds NUL bytes, so it is not text")
    declared = charset or (_declared(content) if is_html else None)
    if declared is not None and _NO_CHARSET.fullmatch(declared):
        declared = None
    try:
        return content.decode(declared or "utf-8")
    except (ValueError, LookupError):  # ValueError: not of this charset, or a NUL in its name
        if not is_html:
            return _decode(content, "utf-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def to_storable(text: str) -> str:
    """The text as PostgreSQL takes it: U+FFFD in place of NUL, "?" in place of lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clean(text: str) -> str:
    """The text with plain line ends and without characters that nobody sees."""
    if text.isascii():  # ten times as fast as the patterns
        plain = text.encode("ascii").replace(b"\r\n", b"\n")
        return plain.translate(_ASCII_LINE_ENDS, _ASCII_INVISIBLE).decode("ascii")
    # A lone surrogate can come in JSON and cannot be stored.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if "\u200c" in text or "\u200d" in text:
        text = _JOINERS.sub("", text)
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))


def refused(reason: str) -> InvalidRequest:
    """The error for a document that cannot be taken in."""
    return InvalidRequest(
        f"The document is refused: {reason}.", param="content", code="document_refused"
    )


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise refused(
            f"byte {error.start} is not valid {encoding.upper()}; save it as UTF-8"
        ) from None


def _declared(content: bytes) -> str | None:
    found = _CHARSET.search(content[:_CHARSET_READ_BYTES])
    return found[1].decode("ascii") if found else None
