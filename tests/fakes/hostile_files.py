"""How the files of ``hostile`` are made."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from email.message import EmailMessage

from tests.fakes.documents import (
    lines,
    pdf,
    raw_word,
    zipped,
)


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def lying_size() -> bytes:
    """A part that says it has 100 bytes and has ten million."""
    content = bytearray(raw_word(" " * 10_000_000))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.find(b"word/document.xml", content.find(signature))
        start = content.rfind(signature, 0, at)
        content[start + place : start + place + 4] = struct.pack("<I", 100)
    return bytes(content)


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def encrypted_entries() -> bytes:
    content = bytearray(raw_word(paragraph("secret")))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


def with_part(name: str, content: str | bytes, **parts: str) -> bytes:
    """A Word document with another document part."""
    made = zipfile.ZipFile(io.BytesIO(raw_word(paragraph("text"))))
    kept = {one: made.read(one) for one in made.namelist()}
    return zipped({**kept, **parts, name: content})


def document(xml: str) -> bytes:
    return with_part("word/document.xml", xml)


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
LAUGHS = "".join(f'<!ENTITY l{at + 1} "{f"&l{at};" * 10}">' for at in range(9))


def nested_zips() -> bytes:
    content = b"\0" * 1_000_000
    for depth in range(20):
        content = zipped({f"{depth}.zip": content})
    return content


def pdf_encrypted() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf([lines("secret")])))
    writer.encrypt("password", algorithm="RC4-128")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def pdf_bomb(size: int) -> bytes:
    """A page whose content unpacks from a thousandth."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(size // 1_000_000))
    packed += packer.flush()
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed)
    return changed(pdf([lines("text")], extra=[stream]), b"/Contents 12 0 R", b"/Contents 10 0 R")


def pdf_with(body: bytes) -> bytes:
    return b"%PDF-1.7\n" + body


def multiparts(depth: int) -> bytes:
    head = b"From: a@x.example\nSubject: deep\nMIME-Version: 1.0\n"
    for at in range(depth):
        head += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (at, at)
    return head + b"Content-Type: text/plain\n\ndeep text\n"


def mail_of_parts(count: int) -> bytes:
    part = b"--b\nContent-Type: text/plain\n\nword\n"
    head = b'From: a@x.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return head + part * count + b"--b--\n"


def mail_with_attachment() -> bytes:
    message = EmailMessage()
    message["Subject"] = "See attached"
    message.set_content("Text of the mail.")
    message.add_attachment(b"\0" * 3_000_000, maintype="application", subtype="x", filename="a.bin")
    return message.as_bytes()


def tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("a.md")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"text"))
    return target.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000
PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>text</p></body></html>'
DEEP_PDF = (
    b"1 0 obj\n" + b"[" * 200_000 + b"]" * 200_000 + b"\nendobj\ntrailer\n<< /Root 1 0 R >>\n"
)


def zipped_wrong() -> bytes:
    """A Word document whose text was changed after it was packed."""
    made = zipfile.ZipFile(io.BytesIO(raw_word(paragraph("the text"))))
    stored = zipped({one: made.read(one) for one in made.namelist()}, zipfile.ZIP_STORED)
    return changed(stored, b"the text", b"a forgery"[:8])


def repacked(method: int) -> bytes:
    made = zipfile.ZipFile(io.BytesIO(raw_word(paragraph("the text"))))
    return zipped({one: made.read(one) for one in made.namelist()}, method)


def added(content: bytes, name: str, part: str) -> bytes:
    made = zipfile.ZipFile(io.BytesIO(content))
    return zipped({**{one: made.read(one) for one in made.namelist()}, name: part})
