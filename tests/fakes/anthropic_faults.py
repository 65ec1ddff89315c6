"""Further faults on Anthropic's wire, by model name; importing it registers them."""

from __future__ import annotations

from tests.fakes.anthropic_scripts import (
    SECRET,
    START,
    STOP,
    WORDS,
    bytes_playing,
    delta,
    error,
    event,
    events,
    playing,
    refusing,
    stopping,
    text_block,
)
from tests.fakes.transport_faults import AnswerBytes, transport_faults
from tests.fakes.upstream import SCRIPTS, Script

GIANT = "x" * 1_000_000
_ALL = [event(payload) for payload in events()]  # start, ping, block start, 5 words, 3 ends
_SECRET_TEXT = delta("text", 0, text=SECRET)

ANSWER = AnswerBytes(
    start=b"".join(_ALL[:3]),
    words=b"".join(_ALL[3:5]),
    rest=b"".join(_ALL[5 : 3 + len(WORDS)]),
    finish=b"".join(_ALL[3 + len(WORDS) : -1]),
    last=_ALL[-1],
)

_MESSAGES: dict[str, Script] = {
    **transport_faults(ANSWER),
    "multi-line": bytes_playing(b"".join(_ALL).replace(b'"index"', b'\ndata: "index"'), 70),
    "giant-delta": playing(events(text_block(0, (GIANT,)))),
    "after-stop": playing([*events(), _SECRET_TEXT]),
    "error-after-stop-reason": playing([*events()[:-1], error("overloaded_error")]),
    "error-named-only": playing([*events()[:5], {"type": "error"}]),
    "without-start": playing([*text_block(), stopping("end_turn"), STOP]),
    "start-and-stop": playing([START, STOP]),
    "409": refusing(409, "conflict_error"),
    "503": refusing(503, "api_error"),
}
SCRIPTS.update({f"messages:{name}": play for name, play in _MESSAGES.items()})
