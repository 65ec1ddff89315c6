"""Data URLs in base64."""

from __future__ import annotations

from typing import Final

_SAME: Final = {"image/jpg": "image/jpeg"}  # what many programs call it


def split_data_url(url: str) -> tuple[str, str]:
    """The media type in lower case and what is encoded; two empty texts for anything else."""
    head, comma, encoded = url.partition(",")
    scheme, _, kind = head.lower().partition(":")
    media_type, *parameters = kind.split(";")
    if scheme != "data" or not comma or not parameters or parameters[-1].strip() != "base64":
        return "", ""
    media_type = media_type.strip()
    return _SAME.get(media_type, media_type), encoded
