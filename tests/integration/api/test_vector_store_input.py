"""What ``/v1/vector_stores`` refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.api.client import Api, assert_is_error

_PATH = "/v1/vector_stores"
_NESTED: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
for _ in range(5):
    _NESTED = {"type": "and", "filters": [_NESTED]}


@pytest.fixture(scope="module")
def store(api: Api) -> Iterator[str]:
    """The path of a store."""
    made = api.send("POST", _PATH, {"name": "x"}, api.site.server)
    assert made.status == 200, made
    path = f"{_PATH}/{made.json['id']}"
    yield path
    api.send("DELETE", path, None, api.site.server)


def static(size: Any, overlap: Any) -> dict[str, Any]:
    sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"chunking_strategy": {"type": "static", "static": sizes}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": 5}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"file_ids": "file_x"}, "file_ids"),
        ({"file_ids": ["x"] * 2001}, "file_ids"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata[...]"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "last_active_at", "days": 0}}, "expires_after.days"),
        ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ({"chunking_strategy": {"type": "other"}}, "chunking_strategy.type"),
        ({"chunking_strategy": {"type": "static"}}, "chunking_strategy.static"),
        ({**static(99, 0)}, "chunking_strategy.static.max_chunk_size_tokens"),
        ({**static(4097, 0)}, "chunking_strategy.static.max_chunk_size_tokens"),
        ({**static(100, 51)}, "chunking_strategy.static.chunk_overlap_tokens"),
        ({**static(100, -1)}, "chunking_strategy.static.chunk_overlap_tokens"),
    ],
)
def test_a_store_that_cannot_be_made_is_400(api: Api, body: dict[str, Any], param: str) -> None:
    assert_is_error(api.send("POST", _PATH, body, api.site.server), 400, param=param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "  "}, "query"),
        ({"query": []}, "query"),
        ({"query": ["a", "\n"]}, "query"),
        ({"query": ["a"] * 11}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"max_num_results": 0}, "max_num_results"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
        ({"ranking_options": {"score_threshold": 1.1}}, "ranking_options.score_threshold"),
        ({"filters": {"type": "like", "key": "a", "value": "b"}}, "filters.type"),
        ({"filters": {"type": "eq", "value": "b"}}, "filters.key"),
        ({"filters": {"type": "eq", "key": "a"}}, "filters.value"),
        ({"filters": {"type": "eq", "key": "a", "value": ["b"]}}, "filters.value"),
        ({"filters": {"type": "in", "key": "a", "value": "b"}}, "filters.value"),
        ({"filters": {"type": "in", "key": "a", "value": ["b"] * 1001}}, "filters.value"),
        ({"filters": {"type": "gt", "key": "a", "value": True}}, "filters.value"),
        ({"filters": {"type": "gt", "key": "a", "value": -(2**63) - 1}}, "filters.value"),
        ({"filters": {"type": "in", "key": "a", "value": [1, 10**400]}}, "filters.value[1]"),
        ({"filters": {"type": "and"}}, "filters.filters"),
        ({"filters": {"type": "or", "filters": [{"type": "eq"}]}}, "filters.filters[0].key"),
        ({"filters": _NESTED}, None),
        ({"filters": {"type": "or", "filters": [_NESTED["filters"][0]] * 40}}, "filters"),
    ],
)
def test_a_search_that_cannot_be_meant_is_400(
    api: Api, store: str, body: dict[str, Any], param: str | None
) -> None:
    asked = body if "query" in body or not body else {"query": "a", **body}
    reply = api.send("POST", f"{store}/search", asked, api.site.server)
    assert_is_error(reply, 400, param=param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/files", {}, "file_id"),
        ("/files", {"file_id": ""}, "file_id"),
        ("/files", {"file_id": "x", "attributes": {"a": None}}, "attributes[...]"),
        ("/files", {"file_id": "x", "attributes": {"a": ["b"]}}, "attributes[...]"),
        ("/files", {"file_id": "x", "attributes": {"a" * 65: "b"}}, None),
        ("/files", {"file_id": "x", "attributes": {"a": "b" * 513}}, "attributes[...]"),
        ("/files", {"file_id": "x", "attributes": {str(n): n for n in range(17)}}, "attributes"),
        ("/files", {"file_id": "x", "attributes": {"a": 2**63}}, "attributes[...]"),
        ("/files", {"file_id": "x", "attributes": {"a": 10**4000}}, "attributes[...]"),
        ("/files", {"file_id": "x", **static(100, 60)}, None),
        ("/files/x", {}, "attributes"),
        ("/file_batches", {}, "file_ids"),
        ("/file_batches", {"file_ids": []}, "file_ids"),
        ("/file_batches", {"files": []}, "files"),
        ("/file_batches", {"files": [{"file_id": "a"}], "file_ids": ["a"]}, "file_ids"),
        ("/file_batches", {"files": [{"file_id": "a"}], "attributes": {"a": 1}}, "attributes"),
        (
            "/file_batches",
            {"files": [{"file_id": "a"}, {"file_id": "b", **static(100, 60)}]},
            "files[1].chunking_strategy.static.chunk_overlap_tokens",
        ),
    ],
)
def test_files_that_cannot_be_put_in_are_400(
    api: Api, store: str, path: str, body: dict[str, Any], param: str | None
) -> None:
    assert_is_error(api.send("POST", store + path, body, api.site.server), 400, param=param)


@pytest.mark.parametrize("file_id", ["x", "file_" + "x" * 22, "\0", "x" * 5000])
def test_an_unknown_file_is_404_and_nothing_is_put_in(api: Api, store: str, file_id: str) -> None:
    sent = api.site.server
    alone = api.send("POST", f"{store}/files", {"file_id": file_id}, sent)
    assert_is_error(alone, 404, "file_not_found", "file_id")
    several = {"file_ids": [file_id, "file_" + "y" * 22]}
    for path in (_PATH, f"{store}/file_batches"):
        assert_is_error(api.send("POST", path, several, sent), 404, "file_not_found", "file_ids")
    assert api.send("GET", store, None, sent).json["file_counts"]["total"] == 0


@pytest.mark.parametrize(
    ("path", "param"),
    [
        (_PATH, "after"),
        (_PATH, "before"),
        ("{store}/files", "after"),
        ("{store}/files", "before"),
    ],
)
def test_a_place_that_is_not_in_the_list_is_400(
    api: Api, store: str, path: str, param: str
) -> None:
    for place in ("x", "vs_" + "x" * 22, "%00", "%F0%9F%98%80"):
        reply = api.send(
            "GET", f"{path.format(store=store)}?{param}={place}", None, api.site.server
        )
        assert_is_error(reply, 400, param=param)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "filter=done"])
def test_a_list_that_cannot_be_meant_is_400(api: Api, store: str, query: str) -> None:
    reply = api.send("GET", f"{store}/files?{query}", None, api.site.server)
    assert_is_error(reply, 400, param=query.partition("=")[0])


@pytest.mark.parametrize("id_", ["%00", "%ff", "%F0%9F%98%80", "x" * 5000, "'--", "vs_x"])
def test_strange_ids_are_merely_unknown(api: Api, store: str, id_: str) -> None:
    for path in (
        f"{_PATH}/{id_}",
        f"{_PATH}/{id_}/files",
        f"{store}/files/{id_}",
        f"{store}/files/{id_}/content",
        f"{store}/file_batches/{id_}",
        f"{store}/file_batches/{id_}/files",
    ):
        assert_is_error(api.send("GET", path, None, api.site.server), 404)


def test_nul_in_texts_is_replaced(api: Api, store: str) -> None:
    body = {"name": "a\0b", "metadata": {"k\0": "v\0"}}
    changed = api.send("POST", store, body, api.site.server)
    assert (changed.json["name"], changed.json["metadata"]) == ("a\ufffdb", {"k\ufffd": "v\ufffd"})
    asked = {"query": "a\0b", "filters": {"type": "eq", "key": "\0", "value": "\0"}}
    found = api.send("POST", f"{store}/search", asked, api.site.server)
    assert (found.status, found.json["data"]) == (200, [])
