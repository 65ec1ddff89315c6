"""Websites over HTTP."""

from __future__ import annotations

from tests.integration.api.client import Api, assert_is_error, poll

_SOURCES = "/api/sources"


def test_a_website_is_added_with_its_job_listed_and_deleted(api: Api) -> None:
    server = api.site.server
    fields = {"url": "nowhere.invalid/docs/", "include": ["/docs/*"], "every_hours": 24}
    added = api.send("POST", _SOURCES, fields, server)
    assert added.status == 201, added
    source, job_id = added.json["source"], added.json["job_id"]
    assert source["url"] == "https://nowhere.invalid/docs/"
    assert (source["include"], source["every_hours"], source["max_pages"]) == (
        ["/docs/*"],
        24,
        1000,
    )

    def ended() -> dict | None:
        found = api.send("GET", f"/api/jobs/{job_id}", None, server).json
        return found if found["status"] in {"succeeded", "failed"} else None

    job = poll(ended, timeout_s=60)
    assert (job["kind"], job["status"]) == ("crawl", "succeeded")
    assert "'nowhere.invalid'" in job["result"]["stopped"]
    (listed,) = api.send("GET", _SOURCES, None, server).json["data"]
    assert (listed["id"], listed["counts"]) == (source["id"], {"failed": 1})
    path = f"{_SOURCES}/{source['id']}"
    assert api.send("GET", path, None, server).json == listed
    pages = api.send("GET", f"{path}/pages?outcome=failed", None, server).json
    assert [page["url"] for page in pages["data"]] == [source["url"]]
    assert (pages["has_more"], pages["last_url"]) == (False, source["url"])
    again = api.send("POST", f"{path}/crawl", {}, server)
    assert (again.status, again.json["job_id"] != job_id) == (200, True)
    assert_is_error(api.send("GET", path, None, api.other.server), 404, "not_found")
    removed = api.send("DELETE", path, None, server)
    assert (removed.status, removed.json["documents"]) == (200, 0)
    assert_is_error(api.send("GET", path, None, server), 404, "not_found")


def test_what_cannot_be_a_website_is_refused_with_the_field(api: Api) -> None:
    for fields, param in (
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user:secret@example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://localhost/"}, "url"),
        ({"url": "https://example.com:8443/"}, "url"),
        ({"url": "example.com", "max_pages": 0}, "max_pages"),
        ({"url": "example.com", "every_hours": 0}, "every_hours"),
        ({"url": "example.com", "exclude": ["docs"]}, "exclude"),
        ({"url": "example.com", "depth": 1}, None),
    ):
        reply = api.send("POST", _SOURCES, fields, api.site.server)
        if param is None:
            assert reply.status == 201
            continue
        assert reply.status == 400, (fields, reply)
        assert reply.json["error"]["param"] == param
    (listed,) = api.send("GET", _SOURCES, None, api.site.server).json["data"]
    assert listed["url"] == "https://example.com/"
    for path in (f"{_SOURCES}/src_nothing", f"{_SOURCES}/src_nothing/pages"):
        assert_is_error(api.send("GET", path, None, api.site.server), 404, "not_found")


def test_a_publishable_key_sees_no_websites(api: Api) -> None:
    reply = api.send("GET", _SOURCES, None, {"authorization": f"Bearer {api.site.publishable_key}"})
    assert reply.status in {401, 403}
