"""What the parts of a message may be: images and files that a provider can be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import ContentPart, FilePart, ImagePart, PromptMessage

_SCHEMES: Final = ("https://", "http://", "data:")


def check_contents(messages: Sequence[PromptMessage]) -> None:
    """Raises InvalidRequest for an image or a file that is nowhere."""
    for position, message in enumerate(messages):
        if isinstance(message.content, tuple):
            for number, part in enumerate(message.content):
                _check_part(part, f"messages[{position}].content[{number}]")


def _check_part(part: ContentPart, param: str) -> None:
    if isinstance(part, ImagePart):
        if not part.image_url.url.lower().startswith(_SCHEMES):
            raise InvalidRequest(
                "An image needs an address that begins with https:// or http://, or a data URL.",
                param=f"{param}.image_url.url",
                code="invalid_value",
            )
    elif isinstance(part, FilePart):
        content = part.file
        if content.file_data is None and not content.file_id:
            raise InvalidRequest(
                "A file needs file_data (a data URL) or a file_id.",
                param=f"{param}.file",
                code="invalid_value",
            )
        if content.file_data is not None and not content.file_data.lower().startswith("data:"):
            raise InvalidRequest(
                "file_data must be a data URL, such as data:application/pdf;base64,….",
                param=f"{param}.file.file_data",
                code="invalid_value",
            )
