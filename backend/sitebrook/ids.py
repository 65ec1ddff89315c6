"""Ids and secrets: a prefix that tells the kind, then random characters."""

from __future__ import annotations

import os
import re
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Bytes to characters, all equally often: 248 is the last multiple of 62 in a byte.
_TO_ALPHABET: Final = (_ALPHABET * 5)[:256].encode()
_LEFT_OUT: Final = bytes(range(248, 256))
_LENGTH: Final = 22  # 22 characters of 62 are 130.9 bits
_FORM: Final = re.compile(rf"[a-z]+_[0-9A-Za-z]{{{_LENGTH}}}")
_SECRET_LENGTH: Final = 43  # 256 bits
# A question takes four ids; asking the system for each is 2.5 % of a plain answer's time.
_DRAWN: Final = 64
_unused: list[str] = []
os.register_at_fork(after_in_child=_unused.clear)


def new_id(prefix: str) -> str:
    """A new id such as ``conv_7Jk…`` with 130 random bits."""
    if not _unused:
        drawn = _random(_LENGTH * _DRAWN)
        _unused.extend(drawn[at : at + _LENGTH] for at in range(0, len(drawn), _LENGTH))
    return f"{prefix}_{_unused.pop()}"


def is_id(text: str) -> bool:
    """Whether the text has the form of an id; PostgreSQL need not be asked for any other."""
    return _FORM.fullmatch(text) is not None


def new_secret(prefix: str) -> str:
    """A new key such as ``sk-…`` with 256 random bits."""
    return f"{prefix}-{_random(_SECRET_LENGTH)}"


def _random(length: int) -> str:
    # All at once: asking the system for each character took 120 us an id.
    found = b""
    while len(found) < length:
        found += os.urandom(2 * length).translate(_TO_ALPHABET, _LEFT_OUT)
    return found[:length].decode()
