"""What holds in each mode of the fake upstream, as a caller of the server sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.openai_faults import GIANT
from tests.fakes.openai_scripts import TEXT

HASTY = "hasty"  # provider that waits 0.3 s for the first delta
BRIEF = "brief"  # provider whose answers may take 1.5 s
CUT = "Hello,"
_REPLACED = "a\ufffdb\ufffdc😀"
_SHORT = CUT + " wörld"


@dataclass(frozen=True, slots=True)
class Whole:
    """The answer is whole; ``usage`` None is an estimate."""

    text: str = TEXT
    finishes: tuple[str, ...] = ("stop",)
    usage: tuple[int, int] | None = (7, 5)
    others: tuple[str, ...] = ()  # the texts of further choices
    asks: dict[str, Any] = field(default_factory=dict)
    via: str = ""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The answer ends after ``text`` with an error; ``finished`` choices had ended before."""

    code: str
    text: str | None = CUT  # None: whatever came in time
    finished: tuple[str, ...] = ()
    asks: dict[str, Any] = field(default_factory=dict)
    via: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no answer but a status; ``retry_after`` is whether and how it is told to wait."""

    code: str = "provider_error"
    is_permanent: bool = False
    status: int = 502
    retry_after: str | None = None
    via: str = ""


Promise = Whole | BrokenOff | Refused

ESTIMATED = Whole(usage=None)
CUT_OFF = BrokenOff("provider_broke_off")
MALFORMED_LATE = BrokenOff("provider_malformed")
FAILED_LATE = BrokenOff("provider_error")
SILENT = BrokenOff("provider_timeout")
ENDLESS = BrokenOff("provider_timeout", text=None, via=BRIEF)
FAILED = Refused()
FINAL = Refused(is_permanent=True)
NO_MONEY = Refused("insufficient_quota", is_permanent=True)
TOO_LONG = Refused("context_length_exceeded", is_permanent=True)
MALFORMED = Refused("provider_malformed")
UNREACHABLE = Refused("provider_unreachable")
GONE = Refused("provider_broke_off")
LATE = Refused("provider_timeout", status=504, via=HASTY)


def _all(promise: Promise, names: str) -> dict[str, Promise]:
    return dict.fromkeys(names.split(), promise)


TRANSPORT: dict[str, Promise] = {
    **_all(
        Whole(),
        "slow-first-byte slow-head slow-first-delta hostile-headers mixed-ends retry-alone "
        "id-alone event-without-data unknown-fields comments blank-lines early-hints trailers "
        "content-length until-close surplus",
    ),
    **_all(
        CUT_OFF,
        "cut-at-event cut-in-field-name cut-in-chunk-size cut-in-chunk cut-in-length "
        "cut-until-close reset-in-chunk bad-chunk-size",
    ),
    **_all(
        MALFORMED_LATE,
        "cut-in-json cut-in-utf8 delta-and-bad-json delta-and-array delta-and-deep-json "
        "giant-event",
    ),
    **_all(BrokenOff("provider_broke_off", TEXT), "cut-before-blank-line cut-before-finish"),
    **_all(BrokenOff("provider_timeout", via=BRIEF), "comments-forever"),
    **_all(
        MALFORMED,
        "html-200 error-as-200 empty-200 blank-200 html-as-stream stream-as-json stream-as-text "
        "stream-as-binary no-content-type gzip-200 cut-after-head cut-in-first-event no-http "
        "giant-head bad-json-first",
    ),
    **_all(FINAL, "redirect-301 redirect-302 redirect-303 redirect-307 redirect-308 405 422"),
    **_all(FAILED, "no-content 500-html 500-empty 502"),
    **_all(Refused(retry_after="3"), "503-seconds"),
    **_all(UNREACHABLE, "closed-before cut-in-status cut-in-head reset-in-head"),
    **_all(GONE, "reset-first"),
    **_all(LATE, "comments-only"),
}

OPENAI: dict[str, Promise] = {
    **TRANSPORT,
    **_all(
        Whole(),
        "normal cr crlf no-done no-space bom split one-read pings fields multi-line "
        "no-last-blank-line empty-choices early-usage cookies slow open-after-done "
        "usage-with-finish after-finish after-done two-finishes empty-deltas",
    ),
    **_all(
        ESTIMATED,
        "no-usage stall-after-finish cut-after-finish finish-then-stall finish-then-reset "
        "finish-then-eof-in-json error-after-finish",
    ),
    **_all(ESTIMATED, "finish-then-bad-json"),
    "surrogate": Whole(_REPLACED + "\\ud800", usage=None),
    "nul": Whole("a\ufffdb\\u0000", usage=None),
    "invalid-utf8": Whole("a\ufffdb", usage=None),
    "raw-nul": Whole("a\ufffdb"),
    "giant-delta": Whole(GIANT),
    "extras": Whole("ab", usage=None),
    "tools": Whole("", ("tool_calls",), usage=None),
    "two-choices": Whole("a", ("stop", "length"), usage=None, others=("b",), asks={"n": 2}),
    "second-choice-open": BrokenOff("provider_broke_off", "a", ("stop",), asks={"n": 2}),
    **_all(CUT_OFF, "reset closed"),
    **_all(BrokenOff("provider_broke_off", _SHORT), "truncated done-without-finish reset closed"),
    **_all(MALFORMED_LATE, "eof-in-json bad-json not-an-object wrong-shape choices-object"),
    **_all(MALFORMED_LATE, "endless-event"),
    **_all(FAILED_LATE, "error-event error-text error-named error-with-finish finish-error"),
    "stall": BrokenOff("provider_timeout", _SHORT),
    "never-ending": ENDLESS,
    **_all(FAILED, "408 409 429 429-nonsense 500 error-body-stalls 504 529"),
    "429-seconds": Refused(retry_after="7"),
    "429-date": Refused(retry_after="date"),
    "503": Refused(retry_after="2"),
    **_all(FINAL, "400 401 403 404 413 redirect"),
    **_all(NO_MONEY, "quota error-first 402"),
    "too-long": TOO_LONG,
    **_all(MALFORMED, "html plain json empty only-pings gzip"),
    **_all(GONE, "role-only reset-after-head done-only empty-choices-only"),
    "reset-before": UNREACHABLE,
    **_all(LATE, "never-headers never-first pings-only empty-deltas-forever"),
}

CLAUDE: dict[str, Promise] = {
    **TRANSPORT,
    **_all(
        Whole(),
        "normal cr crlf bom split one-read pings unknown-events text-in-start done no-stop "
        "open-after-stop thinking redacted server-tool citations end_turn stop_sequence "
        "a_new_reason after-finish slow multi-line after-stop error-after-stop-reason "
        "cut-after-finish finish-then-stall finish-then-reset finish-then-eof-in-json "
        "finish-then-bad-json",
    ),
    **_all(ESTIMATED, "no-usage without-start"),
    **_all(Whole(finishes=("length",)), "max_tokens pause_turn model_context_window_exceeded"),
    "refusal": Whole(finishes=("content_filter",)),
    "refused-at-once": Whole("", ("content_filter",)),
    "late-usage": Whole(usage=(14, 6)),
    "tools": Whole("I will look.", ("tool_calls",)),
    **_all(Whole("", ("tool_calls",)), "two-tools input-in-start"),
    "tool-then-text": Whole("I will look.", ("tool_calls",)),
    "json": Whole('{"city":"Rome","c":21}'),
    "echo-images": Whole(""),
    "surrogate": Whole(_REPLACED),
    "nul": Whole("a\ufffdb\\u0000"),
    "invalid-utf8": Whole("a\ufffdb", usage=None),
    "giant-delta": Whole(GIANT),
    "truncated": BrokenOff("provider_broke_off", _SHORT),
    **_all(
        BrokenOff("provider_broke_off", TEXT),
        "no-stop-reason before-message-delta null-stop-reason",
    ),
    "eof-in-json": MALFORMED_LATE,
    **_all(BrokenOff("provider_malformed", _SHORT), "bad-json wrong-shape not-an-object"),
    **_all(BrokenOff("provider_error", _SHORT), "overloaded api-error bare-error"),
    "error-named-only": FAILED_LATE,
    "reset": BrokenOff("provider_broke_off", _SHORT),
    "stall": BrokenOff("provider_timeout", _SHORT),
    "never-ending": ENDLESS,
    **_all(FAILED, "overloaded-first 409 500 503 504 529"),
    "429": Refused(retry_after="7"),
    "529-seconds": Refused(retry_after="3"),
    **_all(GONE, "start-only start-and-stop"),
    **_all(FINAL, "400 401 403 404 413 redirect"),
    **_all(NO_MONEY, "402 no-credit spent"),
    **_all(TOO_LONG, "too-long too-long-together"),
    **_all(MALFORMED, "html json-200 empty only-pings"),
    "reset-before": UNREACHABLE,
    **_all(LATE, "never-first never-headers pings-forever"),
}

WIRES = {"openai": OPENAI, "claude": CLAUDE}
