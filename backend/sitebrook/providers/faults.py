"""What a failure of an upstream means, in our own words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import msgspec

from sitebrook.errors import ProviderError, ProviderNotAsked
from sitebrook.providers.observer import AttemptOutcome

_RETRYABLE_4XX: Final = frozenset({408, 409, 429})
_LONGEST_WAIT_S: Final = 86_400.0
_QUOTA: Final = "insufficient_quota"
_TOO_LONG: Final = "context_length_exceeded"
# Anthropic's errors, which have the statuses of its HTTP errors when they come inside a stream.
_STATUS_OF: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# What only the text of an error says; the text itself goes no further.
_SAID: Final = (
    (re.compile(r"prompt is too long|exceed context limit|maximum context length"), _TOO_LONG),
    (re.compile(r"credit balance is too low|specified (?:\w+ )?api usage limits"), _QUOTA),
)
_OUTCOMES: Final = {
    _QUOTA: AttemptOutcome.OUT_OF_QUOTA,
    "provider_timeout": AttemptOutcome.TIMED_OUT,
    "provider_unreachable": AttemptOutcome.UNREACHABLE,
    "provider_broke_off": AttemptOutcome.BROKE_OFF,
    "provider_malformed": AttemptOutcome.MALFORMED,
}


def is_permanent_status(status: int) -> bool:
    """Whether the same request would fail again after an answer with this status."""
    return 300 <= status < 500 and status not in _RETRYABLE_4XX


def from_status(
    provider: str, model: str, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error that an answer other than 200 means; nothing of its body is passed on."""
    codes = _codes_of(_parsed(body))
    retry_after_s = to_retry_after_s(headers.get("retry-after"))
    return _from_codes(provider, model, status, codes, retry_after_s)


def from_event(provider: str, model: str, error: bytes) -> ProviderError:
    """The error that an ``error`` object inside a stream means."""
    parsed = _parsed(error)
    codes = _codes_of({"error": parsed})
    status = next((int(code) for code in codes if code.isdecimal() and len(code) == 3), None)
    status = status or next((_STATUS_OF[code] for code in codes if code in _STATUS_OF), None)
    if status is not None and not 400 <= status < 600:
        status = None
    return _from_codes(provider, model, status, codes, None)


def outcome_of(failure: ProviderError) -> AttemptOutcome:
    """The kind of a failed attempt."""
    known = _OUTCOMES.get(failure.code or "")
    if known is not None:
        return known
    if failure.upstream_status == 429:
        return AttemptOutcome.RATE_LIMITED
    if failure.upstream_status == 408:
        return AttemptOutcome.TIMED_OUT
    return AttemptOutcome.REFUSED if failure.is_permanent else AttemptOutcome.FAILED


def resting(provider: str, rests_s: float) -> ProviderNotAsked:
    """The provider failed so often that it is left alone for a while."""
    return ProviderNotAsked(
        f"The provider '{provider}' rests after failures. Try again later.",
        retry_after_s=rests_s,
    )


def busy(provider: str) -> ProviderNotAsked:
    """The provider gives as many answers as it may at once."""
    return ProviderNotAsked(
        f"The provider '{provider}' gives as many answers as it may at once. Try again later.",
        code="provider_busy",
        retry_after_s=1.0,
    )


def unreachable(provider: str) -> ProviderError:
    """The upstream refused or dropped the connection before it answered."""
    return ProviderError(
        f"The provider '{provider}' cannot be reached. Try again; if it stays, the operator should "
        "check its base_url and whether it runs.",
        code="provider_unreachable",
    )


def did_not_start(provider: str, timeout_s: float) -> ProviderError:
    """The first delta did not come in time."""
    return _timed_out(f"The provider '{provider}' did not start to answer in {timeout_s:g} s.")


def fell_silent(provider: str, timeout_s: float) -> ProviderError:
    """Nothing came for too long in the middle of an answer."""
    return _timed_out(f"The provider '{provider}' fell silent for {timeout_s:g} s.")


def did_not_end(provider: str, timeout_s: float) -> ProviderError:
    """The answer took longer than any may."""
    return _timed_out(f"The provider '{provider}' did not end its answer in {timeout_s:g} s.")


def _timed_out(message: str) -> ProviderError:
    return ProviderError(f"{message} Try again later.", code="provider_timeout")


def broken_off(provider: str) -> ProviderError:
    """The stream ended before the answer did."""
    return ProviderError(
        f"The provider '{provider}' broke off in the middle of the answer. Try again.",
        code="provider_broke_off",
    )


def malformed(provider: str, what: str) -> ProviderError:
    """The upstream does not speak the protocol; ``what`` completes "The provider … <what>"."""
    return ProviderError(
        f"The provider '{provider}' {what}. Try again; if it stays, the operator should check its "
        "base_url.",
        code="provider_malformed",
    )


def to_retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header, given as seconds or as an HTTP date; None for neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        seconds = (at - datetime.now(UTC)).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _from_codes(
    provider: str,
    model: str,
    status: int | None,
    codes: frozenset[str],
    retry_after_s: float | None,
) -> ProviderError:
    code = "provider_error"
    is_permanent = status is not None and is_permanent_status(status)
    if _QUOTA in codes or status == 402:
        code, is_permanent = _QUOTA, True
        message = (
            f"The account at the provider '{provider}' is used up; the operator must top it up."
        )
    elif _TOO_LONG in codes:
        code, is_permanent = _TOO_LONG, True
        message = f"The question and its context are too long for the model '{model}'."
    else:
        message = _message(provider, model, status)
    return ProviderError(
        message,
        code=code,
        upstream_status=status,
        is_permanent=is_permanent,
        retry_after_s=None if is_permanent else retry_after_s,
    )


def _message(provider: str, model: str, status: int | None) -> str:
    if status is None:
        return f"The provider '{provider}' reported an error of its own. Try again."
    if status in {401, 403}:
        return f"The provider '{provider}' refused its key; the operator should check it."
    if status == 404:
        return (
            f"The provider '{provider}' has no model '{model}', or its base_url is wrong; the "
            "operator should check both."
        )
    if status == 429:
        return f"The provider '{provider}' has too many requests. Try again later."
    if 300 <= status < 400:
        return (
            f"The provider '{provider}' answered with a redirect, which is not followed; the "
            "operator should set its final address as base_url."
        )
    if is_permanent_status(status):
        return f"The provider '{provider}' refused the request (HTTP {status})."
    return f"The provider '{provider}' failed (HTTP {status}). Try again later."


def _parsed(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _codes_of(parsed: object) -> frozenset[str]:
    """The ``code`` and ``type`` of an error body, wherever upstreams put them.

    Where an upstream has no code for what it says, that of OpenAI stands for it.
    """
    found: set[str] = set()
    if isinstance(parsed, dict):
        body = cast("dict[str, Any]", parsed)
        error = body.get("error")
        for holder in (body, cast("dict[str, Any]", error) if isinstance(error, dict) else {}):
            found |= {str(holder[key]) for key in ("code", "type") if holder.get(key) is not None}
            message = str(holder.get("message") or "").lower()
            found |= {code for said, code in _SAID if said.search(message)}
    return frozenset(found)
