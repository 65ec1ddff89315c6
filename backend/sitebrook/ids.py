"""Ids and secrets: a prefix that tells the kind, then random characters."""

from __future__ import annotations

import re
import secrets
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
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
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
