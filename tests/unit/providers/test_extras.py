from __future__ import annotations

import json
from typing import Any

import pytest

from sitebrook.providers.extras import ExtraReader, MalformedExtra
from sitebrook.providers.protocol import Delta
from sitebrook.providers.wire import to_event


def _read(*choices: dict[str, Any] | bytes) -> list[Delta]:
    """The deltas of one choice, each given as the JSON of a choice of an event."""
    reader, found = ExtraReader(), list[Delta]()
    for one in choices:
        choice = one if isinstance(one, bytes) else json.dumps(one).encode()
        [wire] = to_event(b'{"choices":[' + choice + b"]}").choices or []
        assert wire.delta is not None
        found.append(reader.read(wire, wire.delta, ""))
    return found


def _calls(*lists: list[dict[str, Any]]) -> dict[int, tuple[str, str, str]]:
    """Number, id, name and arguments of the calls, as a client adds them up."""
    calls: dict[int, tuple[str, str, str]] = {}
    for delta in _read(*({"delta": {"tool_calls": one}} for one in lists)):
        for part in delta.tool_calls:
            had = calls.get(part.index, ("", "", ""))
            new = (part.id, part.function.name, part.function.arguments)
            calls[part.index] = tuple(a + (b or "") for a, b in zip(had, new, strict=True))
    return calls


def _part(name: str | None = None, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


TWO = {0: ("a", "f", "{}"), 1: ("b", "g", "[]")}


@pytest.mark.parametrize(
    "lists",
    [
        [[_part("f", "{}", index=0, id="a"), _part("g", "[]", index=1, id="b")]],
        [[_part("f", "{}", id="a"), _part("g", "[]", id="b")]],
        [[_part("f", "{}", index=None, id="a")], [_part("g", "[]", index=None, id="b")]],
        [
            [_part("f", "{", id="a"), _part(None, "}")],
            [_part("g", "[", id="b")],
            [_part(None, "]")],
        ],
        [[_part("f", "{", id="a")], [_part("g", "[]", id="b"), _part(None, "}", id="a")]],
        [[_part("f", "{}", index=0, id="a")], [_part("g", "[]", index=0, id="b")]],
        [
            [_part("f", "{", index=0, id="a"), _part(None, "}", index=0, id="other")],
            [_part("g", "[]", index=1, id="b")],
        ],
        [[_part("f", "{}", index=0, id="a"), _part("g", "[]", id="b")]],
        [[_part("f", "{", index=0, id="a"), _part(None, "}")], [_part("g", "[]", id="b")]],
        [[_part("g", "[]", index=1, id="b")], [_part("f", "{}", index=0), {"index": 0, "id": "a"}]],
    ],
    ids=[
        *("index", "no-index", "null-index", "pieces", "mixed-by-id", "always-zero"),
        *("id-for-every-piece", "half-index", "piece-without-index", "late-id"),
    ],
)
def test_two_calls_stay_two_however_they_are_numbered(lists: list[list[dict[str, Any]]]) -> None:
    assert _calls(*lists) == TWO


def test_two_calls_without_id_and_index_are_told_by_their_names() -> None:
    calls = _calls([_part("f", "{}"), _part("g", "[]")])
    assert calls == {0: ("", "f", "{}"), 1: ("", "g", "[]")}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tool_calls", {"index": 0}),
        ("tool_calls", "text"),
        ("tool_calls", [1]),
        ("tool_calls", [{"index": "0"}]),
        ("tool_calls", [{"index": -1}]),
        ("tool_calls", [{"id": 5}]),
        ("tool_calls", [{"function": "f"}]),
        ("tool_calls", [{"function": {"name": "f", "arguments": {"a": 1}}}]),
        ("refusal", {"text": "no"}),
        ("reasoning_content", {"text": "hm"}),
        ("reasoning", ["hm"]),
        ("logprobs", [1]),
        ("logprobs", {"content": "a"}),
        ("logprobs", {"content": [1]}),
    ],
)
def test_a_field_of_another_shape_is_named(field: str, value: object) -> None:
    choice = {"delta": {}, "logprobs": value} if field == "logprobs" else {"delta": {field: value}}
    with pytest.raises(MalformedExtra, match=f"^{field}$"):
        _read(choice)


@pytest.mark.parametrize("empty", [None, "", []])
def test_empty_fields_are_nothing(empty: object) -> None:
    fields = ("tool_calls", "refusal", "reasoning_content", "reasoning")
    choice = {"delta": dict.fromkeys(fields, empty), "logprobs": empty}
    assert _read(choice, {"delta": {}, "logprobs": {"content": None}}) == [Delta(), Delta()]


def test_what_no_text_may_hold_is_replaced() -> None:
    [delta] = _read(rb'{"delta":{"refusal":"a\ud800b\u0000c\\u0000","reasoning":"\ud83d\ude00"}}')
    assert delta == Delta(refusal="a\ufffdb\ufffdc\\u0000", reasoning_content="😀")
