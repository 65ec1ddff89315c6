from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from sitebrook import errors
from sitebrook.api.errors import from_decode_error, to_reply
from sitebrook.api.http import decode_json
from sitebrook.api.schemas.chat import ChatRequest
from sitebrook.errors import InvalidRequest

_STATUS = {
    errors.RequestError: None,
    errors.InvalidRequest: 400,
    errors.BodyTooLarge: 413,
    errors.UnsupportedBody: 415,
    errors.AddressRefused: 400,
    errors.RequestTooSlow: 408,
    errors.NotAuthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.ModelNotFound: 404,
    errors.Cancelled: 400,
    errors.LimitReached: 429,
    errors.Unavailable: 503,
    errors.EmbedderSwitched: 503,
    errors.Overtaken: 503,
    errors.PageFailed: 503,
    errors.WorkFailed: 503,
    errors.RedisAway: 503,
    errors.ProviderError: 502,
    errors.ProviderNotAsked: 503,
}


def _below(kind: type[errors.RequestError]) -> Iterator[type[errors.RequestError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


@pytest.mark.parametrize("kind", sorted(_below(errors.RequestError), key=lambda one: one.__name__))
def test_every_error_has_a_status_and_the_one_shape(kind: type[errors.RequestError]) -> None:
    status = _STATUS[kind]
    if status is None:
        return
    reply = to_reply(kind("Do this instead."))
    assert reply.status == status
    error = json.loads(reply.encode())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] == "Do this instead."
    assert error["code"] == kind.code


def test_fields_of_an_error_reach_the_caller() -> None:
    reply = to_reply(errors.InvalidRequest("No.", param="n", code="bad_n"))
    error = json.loads(reply.encode())["error"]
    assert (error["param"], error["code"]) == ("n", "bad_n")


def test_a_time_out_of_a_provider_is_504() -> None:
    assert to_reply(errors.ProviderError("Slow.", code="provider_timeout")).status == 504


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (2.1, "3"), (30, "30")])
def test_a_wait_is_told_in_whole_seconds(seconds: float, header: str) -> None:
    reply = to_reply(errors.LimitReached("Later.", retry_after_s=seconds))
    assert reply.headers["retry-after"] == header


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (errors.InvalidRequest("x"), True),
        (errors.NotAuthenticated("x"), True),
        (errors.LimitReached("x"), False),
        (errors.Unavailable("x"), False),
        (errors.ProviderError("x"), False),
        (errors.ProviderError("x", is_permanent=True), True),
    ],
)
def test_sdks_are_told_when_repeating_is_useless(
    error: errors.RequestError, *, is_final: bool
) -> None:
    assert (to_reply(error).headers.get("x-should-retry") == "false") is is_final


def test_litestars_errors_take_the_same_shape() -> None:
    unknown = to_reply(NotFoundException())
    assert (unknown.status, unknown.body.error.code) == (404, "unknown_route")
    wrong = to_reply(MethodNotAllowedException(headers={"Allow": "GET"}))
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")
    assert to_reply(HTTPException(status_code=413)).body.error.code == "body_too_large"
    teapot = to_reply(HTTPException(status_code=418, detail="short and stout"))
    assert (teapot.status, teapot.body.error.message) == (418, "short and stout")


@pytest.mark.parametrize(
    ("extra", "param", "message"),
    [
        ([{"message": "Expected `int`", "key": "limit"}], "limit", "Expected `int`."),
        ([{"message": "Expected `object`", "key": "data"}], None, "Expected `object`."),
        (
            [{"message": "Object missing required field `content`", "key": "data"}],
            "content",
            "Object missing required field `content`.",
        ),
        ([{"message": "'data'", "key": "data"}], None, "The body is empty; send a JSON object."),
        ([], None, "Bad."),
        (None, None, "Bad."),
    ],
)
def test_a_validation_error_names_the_field(
    extra: list[dict[str, str]] | None, param: str | None, message: str
) -> None:
    reply = to_reply(ValidationException("Bad.", extra=extra))
    assert reply.status == 400
    assert (reply.body.error.param, reply.body.error.message) == (param, message)


def test_an_unexpected_error_is_logged_and_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = to_reply(KeyError("secret"))
    assert (reply.status, reply.body.error.code) == (500, "internal_error")
    assert b"secret" not in reply.encode()
    assert caplog.records[0].exc_info is not None


class _Body(msgspec.Struct):
    names: list[str]
    more: dict[str, int] = {}


def test_a_number_that_no_program_holds_has_no_place() -> None:
    with pytest.raises(msgspec.DecodeError) as found:
        msgspec.json.decode(b'{"more":{"a":1e999}}')
    error = from_decode_error(found.value)
    assert (error.param, error.message) == (None, "Number out of range.")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, "invalid_json"),
        (b"\xff", None, "invalid_json"),
        (b'{"names":["\xff"]}', None, "invalid_json"),
        (b'{"names":["\\ud800"]}', None, "invalid_json"),
        (b"[]", None, "invalid_value"),
        (b"{}", "names", "invalid_value"),
        (b'{"names":1}', "names", "invalid_value"),
        (b'{"names":["a",1]}', "names[1]", "invalid_value"),
        (b'{"names":[],"more":{"a":"b"}}', "more[]", "invalid_value"),
    ],
)
def test_what_is_wrong_in_a_body_is_named(body: bytes, param: str | None, code: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as found:
        msgspec.json.decode(body, type=_Body)
    error = from_decode_error(found.value)
    assert (error.param, error.code) == (param, code)
    assert "$" not in error.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"messages": [{"role": "wizard"}]},
            "Invalid enum value 'wizard'; messages[0].role can be "
            "assistant, developer, system, tool, user.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "x"}]}]},
            "Invalid value 'x'; messages[0].content[0].type can be file, image_url, text.",
        ),
        (
            {"messages": [{"role": "user"}], "tool_choice": "x"},
            "Invalid enum value 'x'; tool_choice can be auto, none, required.",
        ),
        ({"messages": []}, "messages must have at least 1 entry."),
        (
            {"messages": [{"role": "user"}], "stop": ["a"] * 5},
            "stop must have at most 4 entries.",
        ),
        ({"messages": [{"role": "user"}], "n": 0}, "n must be at least 1."),
        ({"messages": [{"role": "user"}], "temperature": 3}, "temperature must be at most 2."),
        ({}, "Object missing required field `messages`."),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest) as found:
        decode_json(json.dumps(fields).encode(), msgspec.json.Decoder(ChatRequest))
    assert found.value.message == message


def test_nesting_without_end_is_invalid_json() -> None:
    assert from_decode_error(RecursionError()).code == "invalid_json"
