"""nginx with nginx/sitebrook.conf in front of two server processes."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from tests.fakes import openai_scripts  # noqa: F401 - registers what the fake upstream plays
from tests.fakes.upstream import FakeUpstream
from tests.integration.nginx.conftest import CONFIGURATION, Front, Reply, Site
from tests.servers import running_server

from sitebrook.settings import Settings

_CHAT = "/v1/chat/completions"
_QUESTION = "How do I put the widget on my page, and which settings does its script tag take?"
_ERROR_KEYS = {"message", "type", "param", "code"}


def _ask(**over: object) -> dict[str, object]:
    return {"model": "mock", "messages": [{"role": "user", "content": _QUESTION}], **over}


def _assert_is_error(reply: Reply, status: int, code: str) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json["error"]) == _ERROR_KEYS
    assert reply.json["error"]["code"] == code
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", reply.headers["x-request-id"])


def _reads(front: Front, body: dict[str, object], headers: dict[str, str]) -> Generator[bytes]:
    """What single reads of the TLS connection bring, until the server closes it."""
    payload = json.dumps(body).encode()
    lines = [f"POST {_CHAT} HTTP/1.1", f"host: localhost:{front.port}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(payload)}", "accept-encoding: gzip, br", "", ""]
    with front.connect() as connection:
        connection.sendall("\r\n".join(lines).encode() + payload)
        while read := connection.recv(65536):
            yield read


def test_deltas_arrive_one_by_one(site: Site) -> None:
    began = time.monotonic()
    reads = [
        (time.monotonic() - began, read)
        for read in _reads(site.front, _ask(stream=True), site.headers)
    ]
    head, _, _ = b"".join(read for _, read in reads).partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    assert b"text/event-stream" in head
    assert b"content-encoding" not in head.lower()
    arrivals = [(at, read.count(b'"delta":{"content":')) for at, read in reads]
    arrivals = [(at, count) for at, count in arrivals if count]
    deltas = sum(count for _, count in arrivals)
    assert deltas >= 20
    assert len(arrivals) >= 0.8 * deltas
    first_at, last_at = arrivals[0][0], arrivals[-1][0]
    # The mock's pace: 20 ms between deltas.
    assert last_at - first_at >= 0.8 * 0.02 * (deltas - 1)
    assert reads[-1][1].endswith(b"0\r\n\r\n")


def test_a_plain_answer_cites_with_the_scheme_and_port_of_the_visitor(site: Site) -> None:
    reply = site.front.send("POST", _CHAT, json.dumps(_ask()), **site.headers)
    assert reply.status == 200
    citations = reply.json["citations"]
    assert citations
    for citation in citations:
        assert citation["url"].startswith("https://")
    document = json.dumps({"title": "Gulls", "content": "Herring gulls sleep on one leg at night."})
    added = site.front.send("POST", "/api/documents", document, **site.headers)
    assert added.status in {200, 201}
    messages = [{"role": "user", "content": "How do herring gulls sleep at night?"}]
    reply = site.front.send("POST", _CHAT, json.dumps(_ask(messages=messages)), **site.headers)
    urls = [found["url"] for found in reply.json["citations"] if found["title"] == "Gulls"]
    assert urls
    assert all(url.startswith(f"{site.front.origin}/sources/") for url in urls)
    assert site.front.send("GET", urls[0].removeprefix(site.front.origin)).status == 200


def test_the_widget_is_compressed_and_revalidated(site: Site) -> None:
    plain = site.front.send("GET", "/widget.js")
    packed = site.front.send("GET", "/widget.js", accept_encoding="gzip, deflate, br, zstd")
    assert plain.status == packed.status == 200
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "no-cache" in packed.headers["cache-control"]
    assert packed.headers["etag"]
    for encoding in ("", "gzip"):
        etag = packed.headers["etag"]
        again = site.front.send("GET", "/widget.js", accept_encoding=encoding, if_none_match=etag)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == etag


def test_static_files_carry_one_allowed_origin(site: Site) -> None:
    for origin in ("https://a.example", site.front.origin, "https://a.example"):
        reply = site.front.send("GET", "/static/widget-panel.js", origin=origin)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "*"


def test_json_is_compressed(site: Site) -> None:
    reply = site.front.send("GET", "/docs/openapi.json", accept_encoding="gzip")
    assert reply.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["paths"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_20_mb_gets_413_in_our_shape(site: Site, *, chunked: bool) -> None:
    body = b"x" * 20_000_000
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    reply = site.front.send("POST", _CHAT, parts if chunked else body, **site.headers)
    _assert_is_error(reply, 413, "body_too_large")
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["access-control-allow-origin"] == "*"


def test_the_largest_body_that_the_server_takes_passes(site: Site) -> None:
    limit = Settings().limits.body_bytes
    assert f"client_max_body_size {limit};" in CONFIGURATION.read_text("utf-8")
    start = json.dumps(_ask())[:-1].encode() + b', "metadata": {"padding": "'
    body = start + b"x" * (limit - len(start) - 3) + b'"}}'
    assert len(body) == limit
    reply = site.front.send("POST", _CHAT, body, **site.headers)
    assert reply.status != 413
    assert reply.status < 500


def test_errors_of_the_server_pass_unchanged(site: Site) -> None:
    _assert_is_error(site.front.send("GET", "/nowhere"), 404, "unknown_route")
    reply = site.front.send("POST", _CHAT, json.dumps(_ask()), authorization="Bearer sk-wrong")
    assert reply.status == 401
    assert set(reply.json["error"]) == _ERROR_KEYS


async def test_a_client_that_leaves_closes_the_way_to_the_provider(
    tmp_path: Path, database_url: str, start_front: Callable[..., Front]
) -> None:
    config = tmp_path / "sitebrook.toml"
    async with FakeUpstream() as upstream:
        config.write_text(
            f'[[providers]]\nname = "fake"\nbase_url = "{upstream.base_url}"\n'
            '[[models]]\nid = "endless"\nroute = ["fake/never-ending"]\n'
        )
        with running_server(database_url, SITEBROOK_CONFIG=str(config)) as server:
            front = start_front(server.port)
            headers = {"authorization": f"Bearer {server.secret_key}"}
            body = _ask(model="endless", stream=True, retrieval={"off": True})
            await asyncio.to_thread(_read_until, front, body, headers, b'"content":"x"')
            await upstream.wait_until_closed(timeout_s=1)
            assert len(upstream.requests) == 1


def _read_until(
    front: Front, body: dict[str, object], headers: dict[str, str], wanted: bytes
) -> None:
    with contextlib.closing(_reads(front, body, headers)) as reads:
        assert any(wanted in read for read in reads)
