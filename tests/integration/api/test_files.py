"""``/v1/files`` with the unmodified OpenAI SDK and by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator

import openai
import pytest
from tests.integration.api.client import Api, Reply, SiteKeys, assert_is_error

_PATH = "/v1/files"


def _client(api: Api, site: SiteKeys) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{api.server.url}/v1", api_key=site.secret_key, max_retries=0)


@pytest.fixture
def client(api: Api) -> Iterator[openai.OpenAI]:
    """Leaves no file behind."""
    with _client(api, api.site) as client:
        yield client
        for one in client.files.list():
            client.files.delete(one.id)


@pytest.fixture
def other(api: Api) -> Iterator[openai.OpenAI]:
    with _client(api, api.other) as client:
        yield client


def test_a_file_comes_back_as_it_was_sent(client: openai.OpenAI) -> None:
    content = b"\x00\xff# Sails\r\n"
    sent = client.files.create(file=("sails \u00e9.md", content), purpose="assistants")
    assert sent.id.startswith("file_")
    assert (sent.object, sent.filename, sent.bytes) == ("file", "sails \u00e9.md", len(content))
    assert (sent.purpose, sent.status, sent.expires_at) == ("assistants", "processed", None)
    assert client.files.retrieve(sent.id) == sent
    assert client.files.content(sent.id).content == content
    assert client.files.wait_for_processing(sent.id) == sent


def test_a_download_is_never_shown_as_a_page(api: Api, client: openai.OpenAI) -> None:
    page = b"<script>alert(1)</script>"
    sent = client.files.create(file=("a.html", page, "text/html"), purpose="user_data")
    reply = api.send("GET", f"{_PATH}/{sent.id}/content", None, api.site.server)
    assert reply.body == page
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''a.html"
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_deleted_file_is_gone(client: openai.OpenAI) -> None:
    sent = client.files.create(file=("a.md", b"a"), purpose="assistants")
    deleted = client.files.delete(sent.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (sent.id, True, "file")
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as refused:
            ask(sent.id)
        assert refused.value.code == "file_not_found"
    assert list(client.files.list()) == []


def test_another_sites_file_is_as_an_unknown_one(
    client: openai.OpenAI, other: openai.OpenAI
) -> None:
    mine = client.files.create(file=("a.md", b"a"), purpose="assistants")
    assert list(other.files.list()) == []
    refusals: list[object] = []
    for file_id in (mine.id, "file_" + "x" * 22, "file-abc"):
        for ask in (other.files.retrieve, other.files.content, other.files.delete):
            with pytest.raises(openai.NotFoundError) as refused:
                ask(file_id)
            refusals.append(refused.value.body)
        with pytest.raises(openai.BadRequestError):
            other.files.list(after=file_id)
    assert all(one == refusals[0] for one in refusals)
    assert client.files.retrieve(mine.id) == mine


def test_lists_go_on_behind_the_last_file_in_both_orders(client: openai.OpenAI) -> None:
    sent = [client.files.create(file=(f"{n}.md", b"a"), purpose="assistants") for n in range(5)]
    client.files.create(file=("z.md", b"a"), purpose="user_data")
    ids = [one.id for one in sent]
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        page = client.files.list(limit=2, order=order, purpose="assistants")
        assert (len(page.data), page.has_more) == (2, True)
        assert [one.id for one in page] == expected
    assert len(list(client.files.list())) == 6


def test_a_file_says_when_it_expires(client: openai.OpenAI) -> None:
    sent = client.files.create(
        file=("a.md", b"a"),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert sent.expires_at == pytest.approx(time.time() + 3600, abs=60)
    assert sent.expires_at - sent.created_at == 3600


@pytest.mark.parametrize(
    ("name", "kept"),
    [("../../etc/passwd", "passwd"), ("C:\\docs\\a b.md", "a b.md"), ("x" * 300 + ".md", None)],
)
def test_a_name_is_the_last_part_of_a_path(
    client: openai.OpenAI, name: str, kept: str | None
) -> None:
    sent = client.files.create(file=(name, b"a"), purpose="assistants")
    assert sent.filename == (kept or "x" * 252 + ".md")


def _send(api: Api, *fields: tuple[str, str | None, bytes]) -> Reply:
    """The reply to a form of fields, each with its name, a file's name and its content."""
    parts = [
        b'--x\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), b'; filename="%b"' % file.encode() if file else b"", content)
        for name, file, content in fields
    ]
    headers = {**api.site.server, "content-type": "multipart/form-data; boundary=x"}
    return api.send("POST", _PATH, b"".join([*parts, b"--x--\r\n"]), headers)


def test_a_field_that_is_not_utf_8_is_400(api: Api) -> None:
    assert_is_error(_send(api, _FILE, ("purpose", None, b"\xff")), 400, "invalid_body")


_FILE = ("file", "a.md", b"# A")
_PURPOSE = ("purpose", None, b"assistants")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([_PURPOSE], "file"),
        ([("file", None, b"text"), _PURPOSE], "file"),
        ([("file", "a.md", b""), _PURPOSE], "file"),
        ([_FILE], "purpose"),
        ([_FILE, ("purpose", None, b"fine-tune")], "purpose"),
        ([_FILE, ("purpose", None, b"\x00")], "purpose"),
        ([_FILE, ("purpose", "p.txt", b"assistants")], "purpose"),
        (
            [_FILE, _PURPOSE, ("expires_after[seconds]", None, b"3600")],
            "expires_after[anchor]",
        ),
        *(
            (
                [
                    _FILE,
                    _PURPOSE,
                    ("expires_after[anchor]", None, b"created_at"),
                    ("expires_after[seconds]", None, seconds),
                ],
                "expires_after[seconds]",
            )
            for seconds in (b"", b"3599", b"2592001", b"soon", b"1e5", b"\xd9\xa3600")
        ),
    ],
)
def test_what_cannot_be_kept_is_named(
    api: Api, fields: list[tuple[str, str | None, bytes]], param: str
) -> None:
    assert_is_error(_send(api, *fields), 400, param=param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("order=up", "order"),
        ("after=%00", "after"),
        ("after=" + "x" * 5000, "after"),
        ("after=%F0%9F%98%80", "after"),
    ],
)
def test_a_list_that_cannot_be_meant_is_named(api: Api, query: str, param: str) -> None:
    reply = api.send("GET", f"{_PATH}?{query}", None, api.site.server)
    assert_is_error(reply, 400, param=param)


def test_a_strange_purpose_has_no_files(api: Api, client: openai.OpenAI) -> None:
    client.files.create(file=("a.md", b"a"), purpose="assistants")
    for purpose in ("%00", "fine-tune", "%F0%9F%98%80"):
        reply = api.send("GET", f"{_PATH}?purpose={purpose}", None, api.site.server)
        assert (reply.status, reply.json["data"]) == (200, [])


def test_two_files_in_one_request_are_refused(api: Api) -> None:
    reply = _send(api, _FILE, ("file", "b.md", b"# B"), _PURPOSE)
    assert_is_error(reply, 400, param="file")
