"""Further faults on OpenAI's wire, by model name; importing it registers them."""

from __future__ import annotations

from tests.fakes.openai_scripts import (
    ROLE,
    SECRET,
    STOP,
    USAGE,
    USAGE_CHUNK,
    WORDS,
    chunk_of,
    event,
    events,
    playing,
    refusing,
)
from tests.fakes.transport_faults import AnswerBytes, repeating, transport_faults
from tests.fakes.upstream import SCRIPTS

GIANT = "x" * 1_000_000
_ERROR = {"message": SECRET, "code": 502, "metadata": {"raw": SECRET}}
_ERROR_LINE = event({"error": _ERROR}).decode().strip()
_CUT = events()[:3]  # role, "Hello", ","
_FINISHED = [ROLE, *(chunk_of({"content": word}) for word in WORDS), STOP]

ANSWER = AnswerBytes(
    start=event(ROLE),
    words=b"".join(event(chunk_of({"content": word})) for word in WORDS[:2]),
    rest=b"".join(event(chunk_of({"content": word})) for word in WORDS[2:]),
    finish=event(STOP),
    last=event(USAGE_CHUNK) + event("[DONE]"),
)

SCRIPTS.update(transport_faults(ANSWER))
SCRIPTS.update(
    {
        # whole all the same
        "giant-delta": playing([ROLE, chunk_of({"content": GIANT}), STOP, USAGE_CHUNK, "[DONE]"]),
        "usage-with-finish": playing([*_FINISHED[:-1], {**STOP, "usage": USAGE}, "[DONE]"]),
        "after-finish": playing([*_FINISHED, chunk_of({"content": SECRET}), *events()[-2:]]),
        "after-done": playing([*events(), chunk_of({"content": SECRET})]),
        "two-finishes": playing([*_FINISHED, chunk_of({}, "length"), *events()[-2:]]),
        "empty-deltas": playing(
            [one for payload in _FINISHED[:-1] for one in (payload, chunk_of({"content": ""}))]
            + events()[-3:]
        ),
        "error-after-finish": playing([*_FINISHED, {"error": _ERROR}]),
        "raw-nul": playing(['{"choices":[{"delta":{"content":"a\0b"}}]}', *events()[-3:]]),
        # broken off
        "error-text": playing([*_CUT, {"error": SECRET}]),
        "error-named": playing([*_CUT, '{"choices":[]}\n\nevent: error\n' + _ERROR_LINE]),
        # As OpenRouter tells an upstream's failure inside a stream.
        "error-with-finish": playing(
            [*_CUT, {**chunk_of({"content": ""}, "error"), "error": _ERROR}, "[DONE]"]
        ),
        "finish-error": playing([*_CUT, chunk_of({"content": ""}, "error"), "[DONE]"]),
        "wrong-shape": playing([*_CUT, {"choices": [{"delta": {"content": 5}}]}, *events()[-3:]]),
        "choices-object": playing([*_CUT, {"choices": {"0": {}}}, *events()[-3:]]),
        # refused
        "done-only": playing(["[DONE]"]),
        "empty-choices-only": playing([{"choices": []}] * 3 + ["[DONE]"]),
        "empty-deltas-forever": repeating(event(ROLE), event(chunk_of({"content": ""}))),
        "402": refusing(402, {"code": "no_money"}),
        "403": refusing(403, {"code": SECRET}),
        "413": refusing(413, {}),
        "504": refusing(504, {}),
        "529": refusing(529, {}),
    }
)
