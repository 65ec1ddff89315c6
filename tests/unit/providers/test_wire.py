from __future__ import annotations

import json

import pytest

from sitebrook.providers.faults import from_status, to_retry_after_s
from sitebrook.providers.protocol import GenerationOptions, PromptMessage, ProviderRequest
from sitebrook.providers.wire import dialect_of, to_body, to_event, to_text

REQUEST = ProviderRequest(
    model="m",
    messages=(PromptMessage(role="user", content="Hi"),),
    options=GenerationOptions(max_tokens=5, seed=1),
)


@pytest.mark.parametrize(
    ("base_url", "names"),
    [
        ("https://api.openai.com/v1", {"max_completion_tokens", "seed", "stream_options"}),
        ("https://api.mistral.ai/v1", {"max_tokens", "random_seed"}),
        ("http://127.0.0.1:11434/v1", {"max_tokens", "seed", "stream_options"}),
    ],
)
def test_each_upstream_is_asked_in_its_own_words(base_url, names):
    body = json.loads(to_body(REQUEST, dialect_of(base_url)))
    assert set(body) - {"model", "messages", "stream"} == names


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud800", "\ufffd"),
        (r"\udc00", "\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ud800\u0041", "\ufffdA"),
        (r"\\ud800\ud800", "\\ud800\ufffd"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\u0000\\u0000", "\ufffd\\u0000"),
        (r"\ud83d\ude00\u00e9", "😀é"),
    ],
)
def test_halves_of_surrogate_pairs_and_nul_become_a_replacement(escaped, text):
    event = to_event(b'{"choices":[{"delta":{"content":"' + escaped.encode() + b'"}}]}')
    assert event.choices is not None
    assert event.choices[0].delta is not None
    assert to_text(event.choices[0].delta.content or "") == text


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"choices":{}}', b"[" * 100_000, b"\xff"])
def test_what_is_no_event_is_a_value_error(payload):
    with pytest.raises(ValueError, match=r"."):
        to_event(payload)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((None, None), ("5", 5), ("0.5", 0.5), ("-1", 0), ("1e99", 86400), ("nan", None)),
        *(("inf", None), ("soon", None), ("", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)),
    ],
)
def test_retry_after_is_seconds_or_nothing(value, seconds):
    assert to_retry_after_s(value) == seconds


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("This model's maximum context length is 4096 tokens.", "context_length_exceeded"),
        ("Prompt is too long: 9 tokens > 8 maximum", "context_length_exceeded"),
        ("Your credit balance is too low to access the API.", "insufficient_quota"),
        ("You have reached your specified workspace API usage limits.", "insufficient_quota"),
        ("Something else", "provider_error"),
        (["maximum context length"], "context_length_exceeded"),
        (None, "provider_error"),
    ],
)
def test_what_an_error_has_no_code_for_is_read_in_its_text_and_not_passed_on(message, code):
    body = json.dumps({"error": {"type": "x", "message": message}}).encode()
    failure = from_status("fake", "m", 400, {}, body)
    assert failure.code == code
    assert str(message) not in failure.message


@pytest.mark.parametrize("content", ["hi", r"\ud800", "\xff"])
def test_an_event_that_is_nested_too_deeply_is_none(content):
    nested = "[" * 100_000 + "]" * 100_000
    payload = f'{{"choices": [{{"delta": {{"content": "{content}"}}}}], "x": {nested}}}'
    with pytest.raises(ValueError, match="recursion"):
        to_event(payload.encode("latin-1"))
