"""ZIP archives that may have been made to do harm, as the parts that a reader asks for."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Generator
from typing import IO, Final

from sitebrook.ingestion.decoding import refused

_MAX_ENTRIES: Final = 20_000
_MAX_READ_BYTES: Final = 300 * 1024 * 1024
# Deflate reaches 1,032:1 on nothing but repetition; sheets of numbers reach about 40:1.
_MAX_RATIO: Final = 250
_FREE_BYTES: Final = 4 * 1024 * 1024  # small parts may repeat themselves as they like
_ENCRYPTED: Final = 0x1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)


class Archive:
    """The parts of an archive by name. Nothing is unpacked but what is read, and that is bounded.

    Refuses (InvalidRequest) what is damaged, protected, or grows beyond all measure.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (*_BROKEN, ValueError, UnicodeDecodeError) as error:
            raise _damaged(error) from None
        entries = self._zip.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise refused(f"its archive has {len(entries):,} entries; at most {_MAX_ENTRIES:,}")
        # The last of one name counts, as where it is unpacked.
        self._entries = {entry.filename: entry for entry in entries}
        self._left_bytes = _MAX_READ_BYTES

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names of all parts, in the archive's order."""
        return list(self._entries)

    @contextlib.contextmanager
    def open(self, name: str) -> Generator[IO[bytes]]:
        """The part's content, to be read once from its start; refuses a part that is missing."""
        entry = self._entries.get(name)
        if entry is None:
            raise refused(f"its archive lacks the part {name[:100]!r}")
        self._check(entry)
        try:
            with self._zip.open(entry) as part:
                yield part
        except _BROKEN as error:
            raise _damaged(error) from None

    def read(self, name: str, max_bytes: int) -> bytes:
        """The part's whole content; refuses one that is larger."""
        with self.open(name) as part:
            content = part.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise refused(f"a part of it has more than {max_bytes // 1024**2} MB")
        return content

    def _check(self, entry: zipfile.ZipInfo) -> None:
        if entry.flag_bits & _ENCRYPTED:
            raise refused("it is protected with a password; save it without one")
        if entry.compress_type not in _METHODS:
            raise refused("its archive is compressed in a way that is not read")
        # zipfile gives no more bytes than the entry says of itself.
        self._left_bytes -= entry.file_size
        if self._left_bytes < 0:
            raise refused(f"it unpacks to more than {_MAX_READ_BYTES // 1024**2} MB")
        if entry.file_size > max(_FREE_BYTES, entry.compress_size * _MAX_RATIO):
            raise refused(f"a part of it unpacks to more than {_MAX_RATIO} times its size")


def _damaged(error: Exception) -> Exception:
    return refused(f"its archive is damaged ({error})")
