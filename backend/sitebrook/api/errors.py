"""The only place that turns errors into a status and the one error shape."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler

from sitebrook import errors
from sitebrook.api.schemas.errors import ErrorBody, ErrorResponse
from sitebrook.api.wording import to_message
from sitebrook.telemetry.latency import current_timings

_LOG: Final = logging.getLogger(__name__)
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")
_AT_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_STATUS: Final[tuple[tuple[type[errors.RequestError], int, str], ...]] = (
    (errors.BodyTooLarge, 413, "invalid_request_error"),
    (errors.UnsupportedBody, 415, "invalid_request_error"),
    (errors.InvalidRequest, 400, "invalid_request_error"),
    (errors.RequestTooSlow, 408, "invalid_request_error"),
    (errors.NotAuthenticated, 401, "authentication_error"),
    (errors.NotPermitted, 403, "permission_error"),
    (errors.NotFound, 404, "invalid_request_error"),
    (errors.Cancelled, 400, "invalid_request_error"),
    (errors.LimitReached, 429, "rate_limit_error"),
    (errors.ProviderNotAsked, 503, "provider_error"),
    (errors.ProviderError, 502, "provider_error"),
    (errors.Unavailable, 503, "server_error"),
)
_HTTP_MESSAGES: Final = {
    404: ("There is nothing at this address; /docs lists the routes.", "unknown_route"),
    405: ("This address does not take this method.", "method_not_allowed"),
    413: (
        "The request body is over the limit (SITEBROOK_MAX_BODY_BYTES). Send less at once; "
        "`sitebrook ingest` reads larger files from disk.",
        "body_too_large",
    ),
    415: (
        "The content type of the body is not one that this route reads.",
        "unsupported_media_type",
    ),
}
EMPTY_BODY: Final = "The body is empty; send a JSON object."
_SERVER_ERROR: Final = 500
# Statuses that the OpenAI SDKs repeat by themselves.
_REPEATED: Final = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A refusal as HTTP: status, extra headers, and the body."""

    status: int
    headers: dict[str, str]
    body: ErrorResponse

    def encode(self) -> bytes:
        """The body as JSON."""
        return msgspec.json.encode(self.body)


def to_reply(error: BaseException, body_type: Any = None) -> ErrorReply:
    """The reply for an error; one that nobody meant to raise is logged and answered with 500.

    ``body_type`` is what the route reads: a refusal of its body then names the values allowed.
    """
    if isinstance(error, errors.RequestError):
        return _from_request_error(error)
    if isinstance(error, HTTPException):
        return _from_http_exception(error, body_type)
    _LOG.error("unexpected error", exc_info=error)
    return _reply(
        _SERVER_ERROR,
        "Something went wrong in the server; its log has the details under this request id.",
        "server_error",
        code="internal_error",
    )


def handle_error(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorResponse]:
    """Litestar's exception handler for every route."""
    reply = to_reply(error, _read_type(request, error))
    return Response(
        reply.body,
        status_code=reply.status,
        headers=reply.headers,
        media_type="application/json",
    )


def from_decode_error(error: Exception, body_type: Any = None) -> errors.InvalidRequest:
    """What a body that is not the JSON we read, a ``body_type``, means for the caller."""
    if isinstance(error, RecursionError):
        return errors.InvalidRequest("The JSON is nested too deeply.", code="invalid_json")
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return errors.InvalidRequest(
            f"The body is not valid JSON in UTF-8: {text}.", code="invalid_json"
        )
    found = _AT_PATH.search(text)
    # Below the top without a name where numbers are refused before the body has a type.
    is_named = found is not None and not found[1].startswith("[")
    param = found[1].replace("[...]", "[]") if found and is_named else None
    missing = _MISSING.search(text)
    if missing:
        param = f"{param}.{missing[1]}" if param else missing[1]
    message = to_message(_AT_PATH.sub("", text), param, body_type)
    return errors.InvalidRequest(message, param=param or None, code="invalid_value")


def _read_type(request: Request[Any, Any, Any], error: Exception) -> Any:
    """The type of the body; where a parameter of the address is refused, one that has it alone."""
    handler = cast("dict[str, Any]", request.scope).get("route_handler")
    if not isinstance(handler, HTTPRouteHandler):
        return None
    extra = getattr(error, "extra", None)
    first = cast("list[dict[str, Any]]", extra)[0] if isinstance(extra, list) and extra else {}
    name = str(first.get("key"))
    if first.get("source") == "query" and name in handler.parsed_fn_signature.parameters:
        field = handler.parsed_fn_signature.parameters[name]
        return msgspec.defstruct("Query", [(name, field.annotation)])
    body = handler.parsed_data_field
    return body.annotation if body else None


def _from_request_error(error: errors.RequestError) -> ErrorReply:
    status, kind = next((status, kind) for cls, status, kind in _STATUS if isinstance(error, cls))
    if error.code == "provider_timeout":
        status = 504
    reply = _reply(status, error.message, kind, param=error.param, code=error.code)
    if error.retry_after_s is not None:
        reply.headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    is_permanent = isinstance(error, errors.ProviderError) and error.is_permanent
    if is_permanent or (status < _SERVER_ERROR and status not in _REPEATED):
        reply.headers["x-should-retry"] = "false"
    return reply


def _from_http_exception(error: HTTPException, body_type: Any) -> ErrorReply:
    status = error.status_code
    if isinstance(error, ValidationException):
        return _from_request_error(_from_validation(error, body_type))
    message, code = _HTTP_MESSAGES.get(status, (error.detail, None))
    kind = "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    reply = _reply(status, message, kind, code=code)
    reply.headers.update({"x-should-retry": "false"})
    allow = (error.headers or {}).get("allow") or (error.headers or {}).get("Allow")
    if allow:
        reply.headers["allow"] = allow
    return reply


def _from_validation(error: ValidationException, body_type: Any) -> errors.InvalidRequest:
    extra = cast("list[dict[str, Any]]", error.extra) if isinstance(error.extra, list) else []
    first = extra[0] if extra else {}
    message = str(first.get("message") or error.detail).removesuffix(".")
    param = None if first.get("key") is None else str(first["key"])
    if param == "data":  # what the body as a whole is called inside
        if message == "'data'":
            return errors.InvalidRequest(EMPTY_BODY, code="invalid_json")
        missing = _MISSING.search(message)
        param = missing[1] if missing else None
    return errors.InvalidRequest(
        to_message(message, param, body_type), param=param, code="invalid_value"
    )


def _reply(
    status: int, message: str, kind: str, *, param: str | None = None, code: str | None = None
) -> ErrorReply:
    timings = current_timings.get()
    if timings is not None:
        timings.error_code = code or kind
    body = ErrorResponse(ErrorBody(message, kind, param, code))
    return ErrorReply(status, {}, body)
