"""An id for every request, in the response and in the log."""

from __future__ import annotations

import re
from typing import Final

from sitebrook.ids import new_id

REQUEST_ID: Final = b"x-request-id"
_ACCEPTED: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def to_request_id(given: bytes | None) -> str:
    """The id of a request: a well-formed ``x-request-id`` of the caller, else a new one."""
    if given is not None and _ACCEPTED.fullmatch(given):
        return given.decode()
    return new_id("req")
