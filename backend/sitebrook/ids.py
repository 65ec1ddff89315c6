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


def new_id(prefix: str) -> str:
    """A new id such as ``conv_7Jk…`` with 130 random bits."""
    return f"{prefix}_{_random(_LENGTH)}"


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
