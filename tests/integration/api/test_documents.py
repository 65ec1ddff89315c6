"""Documents over HTTP: what a site's server puts in, answers cite."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.integration.api.client import Api, Reply, assert_is_error, poll, question

_DOCUMENTS = "/api/documents"
_ZEPPELIN = "The zeppelin Aurora carries forty passengers over the fjord."
_ASK = "How many passengers does the zeppelin Aurora carry?"


@pytest.fixture
def add(api: Api) -> Iterator[Callable[..., Any]]:
    """Adds documents that go with the test."""
    added: list[str] = []

    def add_one(**fields: Any) -> Any:
        reply = api.send("POST", _DOCUMENTS, fields, api.site.server)
        assert reply.status == 201, reply
        added.append(reply.json["id"])
        return reply.json

    yield add_one
    for one in added:
        api.send("DELETE", f"{_DOCUMENTS}/{one}", None, api.site.server)


def _form(*files: tuple[str, str, bytes]) -> tuple[bytes, dict[str, str]]:
    parts = [
        b'--x\r\ncontent-disposition: form-data; name="files"; filename="%b"\r\n'
        b"content-type: %b\r\n\r\n%b\r\n" % (name.encode(), kind.encode(), content)
        for name, kind, content in files
    ]
    headers = {"content-type": "multipart/form-data; boundary=x"}
    return b"".join([*parts, b"--x--\r\n"]), headers


def _upload(api: Api, *files: tuple[str, str, bytes]) -> Reply:
    body, headers = _form(*files)
    return api.send("POST", f"{_DOCUMENTS}/files", body, {**headers, **api.site.server})


def _answer(api: Api, text: str = _ASK) -> Any:
    return api.ask(text).json


def _titles(api: Api, text: str = _ASK) -> set[str]:
    return {one["title"] for one in _answer(api, text)["citations"]}


def test_two_files_of_one_name_are_refused_before_one_replaces_the_other(api: Api) -> None:
    files = [("index.md", "text/markdown", text) for text in (b"# One\n\nA", b"# Two\n\nB")]
    reply = _upload(api, *files)
    assert_is_error(reply, 400, param="files")
    assert "'index.md'" in reply.json["error"]["message"]
    listed = api.send("GET", f"{_DOCUMENTS}?limit=100", None, api.site.server).json["data"]
    assert "index.md" not in {one["source"] for one in listed}


def test_the_server_answers_from_a_new_document_within_a_second(
    api: Api, add: Callable[..., Any]
) -> None:
    assert "forty" not in _answer(api)["choices"][0]["message"]["content"]
    stored = add(title="Airships", content=_ZEPPELIN)
    assert (stored["status"], stored["source"], stored["chunks"]) == ("added", "Airships", 1)
    poll(lambda: "Airships" in _titles(api))
    assert "forty" in _answer(api)["choices"][0]["message"]["content"]
    deleted = api.send("DELETE", f"{_DOCUMENTS}/{stored['id']}", None, api.site.server)
    assert (deleted.status, deleted.json["deleted"]) == (200, True)
    poll(lambda: "Airships" not in _titles(api))
    assert "forty" not in _answer(api)["choices"][0]["message"]["content"]
    again = api.send("DELETE", f"{_DOCUMENTS}/{stored['id']}", None, api.site.server)
    assert_is_error(again, 404, "document_not_found")


def test_a_document_of_the_same_source_is_replaced_or_left(
    api: Api, add: Callable[..., Any]
) -> None:
    first = add(source="air", title="Airships", content=_ZEPPELIN)
    same = add(source="air", title="Airships", content=_ZEPPELIN)
    assert (same["id"], same["status"]) == (first["id"], "unchanged")
    newer = add(source="air", title="Airships", content=_ZEPPELIN.replace("forty", "ninety"))
    assert (newer["id"], newer["status"]) == (first["id"], "replaced")
    poll(lambda: "ninety" in _answer(api)["choices"][0]["message"]["content"])
    facts = api.send("GET", f"{_DOCUMENTS}/{first['id']}", None, api.site.server).json
    assert (facts["version"], facts["language"], facts["url"]) == (2, "en", None)
    assert facts["characters"] == len(_ZEPPELIN) + 1
    assert "content" not in facts


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/markdown", f"# Flight\n\n{_ZEPPELIN}"),
        ("text/plain", _ZEPPELIN),
        ("text/html", f"<html><body><script>x()</script><h1>Flight</h1><p>{_ZEPPELIN}</p></body>"),
    ],
)
def test_every_type_is_read(api: Api, add: Callable[..., Any], kind: str, content: str) -> None:
    add(source="flight", content=content, type=kind)
    cited = poll(lambda: [one for one in _answer(api)["citations"] if "zeppelin" in one["quote"]])
    assert cited[0]["quote"] == _ZEPPELIN


def test_a_type_that_is_none_is_refused_with_those_that_are(api: Api) -> None:
    fields = {"content": "x", "source": "a", "type": "a/pdf"}
    reply = api.send("POST", _DOCUMENTS, fields, api.site.server)
    assert_is_error(reply, 400, "invalid_value", "type")
    assert "text/csv, text/html, text/markdown, text/plain" in reply.json["error"]["message"]
    reply = api.send("GET", f"{_DOCUMENTS}?limit=0", None, api.site.server)
    assert reply.json["error"]["message"] == "limit must be at least 1."


def test_files_are_uploaded_and_a_bad_one_stops_no_other(api: Api) -> None:
    reply = _upload(
        api,
        ("air.md", "text/markdown", f"# Air\n\n{_ZEPPELIN}".encode()),
        ("picture.png", "image/png", b"\x89PNG\r\n"),
        ("broken.txt", "text/plain", b"\xff\xfe\xff"),
        ("page.html", "application/octet-stream", b"<h1>Page</h1><p>Some words here.</p>"),
    )
    assert reply.status == 201
    stored, refused = reply.json["documents"], reply.json["refused"]
    assert [(one["source"], one["status"]) for one in stored] == [
        ("air.md", "added"),
        ("page.html", "added"),
    ]
    assert [one["source"] for one in refused] == ["picture.png", "broken.txt"]
    assert "a picture" in refused[0]["reason"]
    for one in stored:
        path = f"{_DOCUMENTS}/{one['id']}"
        assert api.send("DELETE", path, None, api.site.server).status == 200


def test_files_of_which_none_is_stored_are_400_with_the_first_reason(api: Api) -> None:
    picture = ("picture.png", "image/png", b"\x89PNG\r\n")
    reply = _upload(api, picture, ("broken.txt", "text/plain", b"\xff\xfe\xff"))
    assert_is_error(reply, 400, "document_refused", "files")
    message = reply.json["error"]["message"]
    assert message.startswith("No file was stored. picture.png: ")
    assert "a picture" in message


def test_documents_are_listed_newest_first_in_pages(api: Api, add: Callable[..., Any]) -> None:
    ids = [add(source=f"page-{number}", content=f"Text {number}.")["id"] for number in range(5)]
    found: list[str] = []
    after = ""
    while True:
        path = f"{_DOCUMENTS}?limit=2{after}"
        page = api.send("GET", path, None, api.site.server).json
        assert len(page["data"]) <= 2
        assert page["last_id"] == page["data"][-1]["id"]
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert found[:5] == ids[::-1]
    assert len(found) == len(set(found)) == 8


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://example.com/a",
        "//example.com",
        "http://",
        "http://[",
        "https://example.com/a b",
        "https://example.com/\0",
        "https://exam\nple.com/",
        "data:text/html,x",
    ],
)
def test_a_url_that_is_no_web_address_is_refused(api: Api, url: str) -> None:
    fields = {"title": "Air", "content": _ZEPPELIN, "url": url}
    assert_is_error(api.send("POST", _DOCUMENTS, fields, api.site.server), 400, param="url")


def test_a_citation_leads_to_the_documents_own_url(api: Api, add: Callable[..., Any]) -> None:
    url = "https://example.com/air?a=1&b=%20#top"
    add(title="Airships", content=_ZEPPELIN, url=url)
    poll(lambda: "Airships" in _titles(api))
    answer = _answer(api)
    cited = [one for one in answer["citations"] if one["title"] == "Airships"]
    assert [one["url"] for one in cited] == [url]
    annotations = answer["choices"][0]["message"]["annotations"]
    assert url in {one["url_citation"]["url"] for one in annotations}


def test_a_citation_without_url_opens_the_text_by_a_signed_link(
    api: Api, add: Callable[..., Any]
) -> None:
    hostile = '</title><script>alert("x")</script>'
    add(source="evil", title=hostile, content=f"{_ZEPPELIN} `<img src=x onerror=alert(1)>`")
    cited = poll(lambda: [one for one in _answer(api)["citations"] if "<script>" in one["title"]])
    parts = urlsplit(cited[0]["url"])
    assert cited[0]["url"].startswith(f"{api.server.url}/sources/{cited[0]['document']}?")
    page = api.send("GET", f"{parts.path}?{parts.query}")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    text = page.body.decode()
    assert "<script" not in text
    assert "<img" not in text
    assert html.unescape(text).count(hostile) == 2
    assert _ZEPPELIN in text


def test_a_source_opens_for_its_own_signature_only(api: Api, add: Callable[..., Any]) -> None:
    stored = add(title="Airships", content=_ZEPPELIN)
    poll(lambda: "Airships" in _titles(api))
    link = next(one for one in _answer(api)["citations"] if one["title"] == "Airships")["url"]
    signature = urlsplit(link).query.removeprefix("signature=")
    path = f"/sources/{stored['id']}"
    assert api.send("GET", f"{path}?signature={signature}").status == 200
    flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    other = api.send("GET", f"{_DOCUMENTS}?limit=1&after={stored['id']}", None, api.site.server)
    for address in (
        path,
        f"{path}?signature=",
        f"{path}?signature={flipped}",
        f"{path}?signature={signature}x",
        f"/sources/{other.json['last_id']}?signature={signature}",
        f"/sources/doc_{'0' * 22}?signature={signature}",
    ):
        assert_is_error(api.send("GET", address), 404, "not_found")
    # A secret key opens no page either: the link is all that counts.
    assert_is_error(api.send("GET", path, None, api.site.server), 404)
    api.send("DELETE", f"{_DOCUMENTS}/{stored['id']}", None, api.site.server)
    assert_is_error(api.send("GET", f"{path}?signature={signature}"), 404)
    page = api.send("GET", f"{path}?signature={signature}", None, {"accept": "text/html,*/*"})
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"The document was removed" in page.body


def test_another_sites_document_is_as_unknown_as_one_that_never_was(
    api: Api, add: Callable[..., Any]
) -> None:
    stored = add(title="Airships", content=_ZEPPELIN)
    for method in ("GET", "DELETE"):
        mine, never = (
            api.send(method, f"{_DOCUMENTS}/{one}", None, api.other.server)
            for one in (stored["id"], "doc_" + "0" * 22)
        )
        assert_is_error(mine, 404, "document_not_found")
        assert mine.body == never.body
    listed = api.send("GET", f"{_DOCUMENTS}?limit=100", None, api.other.server).json["data"]
    assert stored["id"] not in {one["id"] for one in listed}
    page = api.send("GET", f"{_DOCUMENTS}?after={stored['id']}", None, api.other.server)
    assert_is_error(page, 400, param="after")
    assert api.send("GET", f"{_DOCUMENTS}/{stored['id']}", None, api.site.server).status == 200


def test_one_site_never_answers_from_another(api: Api, add: Callable[..., Any]) -> None:
    add(title="Airships", content=_ZEPPELIN)
    poll(lambda: "Airships" in _titles(api))
    foreign = api.ask(_ASK, api.other.server).json
    assert "Airships" not in {one["title"] for one in foreign["citations"]}
    assert "forty" not in json.dumps(foreign)


def test_nothing_relevant_is_said_so_without_citations(api: Api) -> None:
    answer = api.send(
        "POST", "/v1/chat/completions", question("Who won the chess olympiad?"), api.site.server
    ).json
    message = answer["choices"][0]["message"]
    assert "could not find" in message["content"]
    assert (message["annotations"], answer["citations"]) == ([], [])


def test_who_does_not_wait_is_told_the_job(api: Api) -> None:
    later = api.send(
        "POST",
        "/api/documents?wait_s=0",
        {"source": "later.md", "content": "# Later\n\nIt comes later."},
        api.site.server,
    )
    assert later.status == 202
    place = later.headers["location"]
    assert place == f"/api/jobs/{later.json['job_id']}"
    assert api.send("GET", place, None, api.site.server).json["kind"] == "ingest"
    again = api.send(
        "POST",
        "/api/documents",
        {"source": "later.md", "content": "# Later\n\nIt comes later."},
        api.site.server,
    )
    assert again.status == 201
    document_id = again.json["id"]
    assert api.send("DELETE", f"/api/documents/{document_id}", None, api.site.server).status == 200


@pytest.mark.parametrize("wait_s", ["-1", "61", "soon"])
def test_a_wait_that_is_none_is_refused(api: Api, wait_s: str) -> None:
    body = {"source": "later.md", "content": "# Later\n\nIt comes later."}
    refused = api.send("POST", f"/api/documents?wait_s={wait_s}", body, api.site.server)
    assert refused.status == 400
    assert refused.json["error"]["param"] == "wait_s"
