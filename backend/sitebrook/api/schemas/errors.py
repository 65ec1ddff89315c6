"""The one error shape."""

from __future__ import annotations

import msgspec


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong: ``param`` names the field to change, ``code`` is for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(msgspec.Struct, frozen=True):
    """The body of every response with a status of 400 or more, and of error frames in streams."""

    error: ErrorBody
