"""The refusal of new work while the server stops."""

from __future__ import annotations

from typing import Final

from litestar.types import Send

from sitebrook.api.errors import to_reply
from sitebrook.api.http import send_reply
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.errors import Unavailable

_WORK: Final = ("/v1/", "/api/")
# Figures of a server that stops are still wanted; health, pages and files are no work.
_SERVED: Final = frozenset({"/api/latency"})


async def refuse_work(open_answers: OpenAnswers, path: str, send: Send) -> bool:
    """Whether the request was refused: with 503 and Retry-After, on a connection that closes.

    Call it while the server stops.
    """
    if not _is_work(path):
        return False
    try:
        open_answers.check_taken()
    except Unavailable as error:
        reply = to_reply(error)
        headers = {**reply.headers, "connection": "close"}
        await send_reply(send, reply.status, reply.encode(), headers)
        return True
    return False


def _is_work(path: str) -> bool:
    return path.startswith(_WORK) and path not in _SERVED
