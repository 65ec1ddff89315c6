from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fakes.anthropic_scripts import START, STOP, delta, error, events, stopping, text_block

from sitebrook.errors import ProviderError
from sitebrook.providers.anthropic.reader import AnthropicReader
from sitebrook.providers.protocol import Delta, Finish, PromptMessage, ProviderRequest, Usage

_REQUEST = ProviderRequest(model="m", messages=(PromptMessage(role="user", content="Hi"),))


def _read(*payloads: Any, reader: AnthropicReader | None = None) -> AnthropicReader:
    reader = reader or AnthropicReader("claude", _REQUEST)
    for payload in payloads:
        reader.read(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return reader


def test_an_answer_begins_with_its_first_event_and_is_over_with_its_last():
    reader = AnthropicReader("claude", _REQUEST)
    assert (reader.has_begun, reader.is_over) == (False, False)
    _read({"type": "ping"}, reader=reader)
    assert not reader.has_begun
    _read(START, reader=reader)
    assert reader.has_begun
    assert not reader.ready
    _read(*text_block(0, ("a",)), stopping("end_turn"), reader=reader)
    assert not reader.is_over
    _read(STOP, reader=reader)
    assert reader.is_over
    assert list(reader.ready) == [
        Delta(content="a"),
        Finish(0, "stop"),
        Usage(7, 5, cached_tokens=1),
    ]


def test_a_stop_reason_makes_the_answer_whole_without_the_last_event():
    reader = _read(*events()[:-1])
    assert not reader.is_over
    reader.end()
    assert reader.is_over
    assert reader.ready[-1] == Usage(7, 5, cached_tokens=1)


def test_without_a_stop_reason_the_answer_is_never_whole():
    reader = _read(*events()[:-2])
    reader.end()
    assert not reader.is_over
    with pytest.raises(ProviderError) as failed:
        _read(STOP, reader=reader)
    assert failed.value.code == "provider_broke_off"


@pytest.mark.parametrize("payload", [b"", b" ", b"[DONE]", b'{"type":"ping"}', b'{"type":"new"}'])
def test_what_says_nothing_is_read_over(payload):
    assert not _read(payload).ready


@pytest.mark.parametrize(
    "payload",
    [
        *(b"{", b"[]", b'"x"', b"\xff", b'{"type":5}', b'{"type":"x","delta":[]}'),
        b'{"type":"content_block_delta","delta":{"partial_json":{}}}',
    ],
)
def test_what_is_no_event_of_the_wire_ends_the_answer(payload):
    with pytest.raises(ProviderError) as failed:
        _read(payload)
    assert failed.value.code == "provider_malformed"


@pytest.mark.parametrize(
    ("kind", "status", "is_permanent"),
    [
        ("overloaded_error", 529, False),
        ("rate_limit_error", 429, False),
        ("api_error", 500, False),
        ("timeout_error", 504, False),
        ("invalid_request_error", 400, True),
        ("authentication_error", 401, True),
        ("permission_error", 403, True),
        ("not_found_error", 404, True),
        ("request_too_large", 413, True),
        ("a_new_error", None, False),
    ],
)
def test_an_error_event_has_the_status_of_the_http_error(kind, status, is_permanent):
    with pytest.raises(ProviderError) as failed:
        _read(error(kind, "secret"))
    assert (failed.value.upstream_status, failed.value.is_permanent) == (status, is_permanent)
    assert "secret" not in failed.value.message


def test_a_billing_error_is_the_operator_s_account():
    with pytest.raises(ProviderError) as failed:
        _read(error("billing_error"))
    assert failed.value.code == "insufficient_quota"


def test_pieces_of_calls_that_were_not_begun_are_read_over():
    reader = _read(START, delta("input_json", 3, partial_json="{}"), {"type": "content_block_stop"})
    assert not reader.ready


@pytest.mark.parametrize(
    ("usages", "total"),
    [
        ([{"input_tokens": 5}], 5),
        ([{"input_tokens": 5, "cache_read_input_tokens": 2}, {"input_tokens": 6}], 8),
        ([{"input_tokens": 5}, {"cache_creation_input_tokens": 9}], 14),
    ],
)
def test_counts_are_cumulative_each_by_itself(usages, total):
    started, *later = usages
    reader = _read(
        {"type": "message_start", "message": {"usage": {**started, "output_tokens": 99}}},
        *text_block(),
        *({"type": "message_delta", "delta": {}, "usage": usage} for usage in later),
        stopping("end_turn"),
        STOP,
    )
    usage = reader.ready[-1]
    assert isinstance(usage, Usage)
    assert (usage.prompt_tokens, usage.completion_tokens) == (total, 5)


def test_an_answer_whose_end_does_not_count_its_tokens_has_no_usage():
    reader = _read(START, *text_block(), {"type": "message_delta", "delta": {"stop_reason": "x"}})
    reader.end()
    assert reader.is_over
    assert isinstance(reader.ready[-1], Finish)
