"""E-mails (.eml) as sections: who wrote to whom, then what."""

from __future__ import annotations

from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from typing import Any, Final, cast

from sitebrook.ingestion.decoding import clean, decode, refused
from sitebrook.ingestion.html import read_html
from sitebrook.ingestion.sections import Outline

_HEADERS: Final = ("From", "To", "Cc", "Date")
_MAX_HEADER_CHARACTERS: Final = 500
_MAX_PARTS: Final = 1000
_MAX_DEPTH: Final = 20
_FORWARDED_LEVEL: Final = 2


def read_mail(content: bytes, outline: Outline) -> None:
    """Adds the message and those forwarded inside it; attached files are named, not read."""
    # Not with the newer policy: it takes a third of a millisecond for each header it looks at.
    message = BytesParser().parsebytes(content)
    _add_message(message, outline, level=1)
    outline.close()


def _add_message(message: Message, outline: Outline, level: int) -> None:
    outline.open(level, _header(message, "Subject"))
    lines = [(name, _header(message, name)) for name in _HEADERS]
    outline.add("\n".join(f"{name}: {value}" for name, value in lines if value))
    attached: list[str] = []
    for part in _parts(message):
        if part.get_content_type() == "message/rfc822":
            _end_with_names(attached, outline)
            for inner in _inside(part):
                _add_message(inner, outline, min(level + 1, _MAX_DEPTH))
        elif part.get_content_disposition() == "attachment" or part.get_filename():
            attached.append(_one_line(part.get_filename() or part.get_content_type()))
        elif part.get_content_type() == "text/html":
            read_html(_text(part), outline)
        elif part.get_content_maintype() == "text":
            for paragraph in _text(part).split("\n\n"):
                outline.add(paragraph)
    _end_with_names(attached, outline)


def _end_with_names(attached: list[str], outline: Outline) -> None:
    if attached:
        outline.add("Attachments: " + ", ".join(attached))
    attached.clear()


def _parts(message: Message) -> Iterator[Message]:
    """The parts that are shown, of alternatives one; forwarded messages unopened."""
    waiting = [message]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        is_forwarded = part is not message and part.get_content_type() == "message/rfc822"
        if is_forwarded or not part.is_multipart():
            yield part
        elif part.get_content_type() == "multipart/alternative":
            waiting += [chosen] if (chosen := _choose(_inside(part))) is not None else []
        else:
            waiting += reversed(_inside(part))
    if waiting:
        raise refused(f"it has more than {_MAX_PARTS:,} parts")


def _inside(part: Message) -> list[Message]:
    payload: Any = part.get_payload()
    return cast("list[Message]", payload) if isinstance(payload, list) else []


def _choose(parts: list[Message]) -> Message | None:
    """The plain text, unless it says nothing; else the last, which is the richest."""
    for part in parts:
        if part.get_content_type() == "text/plain" and _text(part).strip():
            return part
    return parts[-1] if parts else None


def _text(part: Message) -> str:
    payload: Any = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset()
    # Mail without a valid charset is read as browsers read pages, rather than refused.
    return clean(decode(content.replace(b"\0", b""), is_html=True, charset=charset))


def _header(message: Message, name: str) -> str:
    value = str(message.get(name) or "")
    try:
        return _one_line(str(make_header(decode_header(value))))
    except (ValueError, LookupError, HeaderParseError):
        return _one_line(value)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())[:_MAX_HEADER_CHARACTERS]
