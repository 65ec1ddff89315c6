"""The search over HTTP: passages and the reasons for them, for a site's server alone."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from tests.integration.api.client import Api, assert_is_error

_SEARCH = "/api/search"


@pytest.fixture
def zeppelin(api: Api) -> Iterator[str]:
    """A document that goes with the test."""
    fields = {
        "title": "Airships",
        "content": "# Airships\n\nThe zeppelin Aurora carries forty passengers over the fjord.",
        "url": "https://example.com/airships",
    }
    added = api.send("POST", "/api/documents", fields, api.site.server)
    assert added.status == 201, added
    yield added.json["id"]
    api.send("DELETE", f"/api/documents/{added.json['id']}", None, api.site.server)


def ask(api: Api, question: str, more: str = ""):
    return api.send("GET", f"{_SEARCH}?question={quote(question)}{more}", None, api.site.server)


def test_a_search_gives_passages_with_both_scores(api: Api, zeppelin: str) -> None:
    found = ask(api, "How many passengers does the zeppelin carry?").json
    best = found["data"][0]
    assert (best["document_id"], best["title"]) == (zeppelin, "Airships")
    assert best["url"] == "https://example.com/airships"
    assert "forty passengers" in best["text"]
    assert best["keyword_rank"] == best["vector_rank"] == 1
    assert best["score"] == pytest.approx(best["keyword_part"] + best["vector_part"])
    assert 0 < best["vector_weight"] < 1
    assert found["trace"] is None
    assert found["timings_ms"]["keywords"] > 0


def test_an_explained_search_says_how_the_question_was_understood(api: Api, zeppelin: str) -> None:
    trace = ask(api, "passengers of the zeppelin", "&explain=1&limit=1").json["trace"]
    words = {word["forms"][0]: word for word in trace["words"]}
    assert words["the"]["is_stop_word"]
    assert words["zeppelin"]["chunks"] >= 1
    first = trace["looked_at"][0]
    assert first["passage"]["document_id"] == zeppelin
    assert first["words"]["zeppelin"] > 0
    assert first["left_out"] is None
    assert trace["weight_reason"] == "embedder"
    assert trace["chunks"] >= 1
    assert {one["left_out"] for one in trace["looked_at"][1:]} <= {
        "limit reached", "enough of its document", "says the same as a better one",
    }  # fmt: skip


def test_a_question_about_something_else_has_weak_passages_only(api: Api, zeppelin: str) -> None:
    del zeppelin
    found = ask(api, "Wer gewann 1954 in Bern?").json
    assert found["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "question"),
        ("?question=", "question"),
        ("?question=a&limit=0", "limit"),
        ("?question=a&limit=51", "limit"),
        ("?question=a&explain=perhaps", "explain"),
        ("?question=a" + 21 * "&earlier=b", "earlier"),
    ],
)
def test_what_cannot_be_meant_is_named(api: Api, query: str, param: str) -> None:
    reply = api.send("GET", f"{_SEARCH}{query}", None, api.site.server)
    assert_is_error(reply, 400, param=param)


def test_a_page_s_key_may_not_search(api: Api) -> None:
    reply = api.send("GET", f"{_SEARCH}?question=a", None, api.site.page)
    assert reply.status in {401, 403}


def test_a_search_tells_what_it_made_of_the_questions_before(api: Api, zeppelin: str) -> None:
    earlier = (
        f"&earlier={quote('Hello!')}&earlier={quote('Is the zeppelin Aurora for passengers?')}"
    )
    found = ask(api, "And how many does it carry?", earlier).json
    assert found["searched"] == {
        "text": "zeppelin Aurora passengers: And how many does it carry?",
        "made_by": "rule",
        "why": "it begins like one that goes on",
        "failure": "",
    }
    assert found["data"][0]["document_id"] == zeppelin
    alone = ask(api, "And how many does it carry?").json["searched"]
    assert (alone["text"], alone["made_by"]) == ("And how many does it carry?", "question")
