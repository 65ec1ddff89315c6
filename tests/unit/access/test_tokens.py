from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from sitebrook.access.tokens import (
    SigningSecret,
    VisitorToken,
    from_token,
    is_source_signature,
    to_source_signature,
    to_token,
)
from sitebrook.db.tables import now
from sitebrook.errors import NotAuthenticated

SECRET = SigningSecret("sig_1", b"k" * 32, now())
OTHER = SigningSecret("sig_2", b"o" * 32, now())


def token(**over: object) -> VisitorToken:
    values = {
        "visitor_id": "vis_1",
        "site_id": "site_1",
        "key_id": "key_1",
        "origin": "https://example.com",
        "expires": int(now().timestamp()) + 60,
        "secret_id": SECRET.id,
    }
    return VisitorToken(**{**values, **over})


def test_a_signed_token_says_what_was_put_in() -> None:
    assert from_token(to_token(token(), SECRET), (OTHER, SECRET)) == token()


@pytest.mark.parametrize("position", [3, 20, -1])
def test_a_changed_token_is_refused(position: int) -> None:
    value = list(to_token(token(), SECRET))
    value[position] = "A" if value[position] != "A" else "B"
    with pytest.raises(NotAuthenticated):
        from_token("".join(value), (SECRET,))


@pytest.mark.parametrize("value", ["vt-", "vt-.", "vt-a.b", "vt-" + "x" * 5000, "vt-é.é"])
def test_garbage_is_refused(value: str) -> None:
    with pytest.raises(NotAuthenticated):
        from_token(value, (SECRET,))


def test_a_deeply_nested_payload_is_refused() -> None:
    payload = base64.urlsafe_b64encode(b'{"x":' + b"[" * 1500).rstrip(b"=").decode()
    with pytest.raises(NotAuthenticated):
        from_token(f"vt-{payload}.x", (SECRET,))


def test_a_token_of_a_retired_secret_is_refused() -> None:
    with pytest.raises(NotAuthenticated):
        from_token(to_token(token(), SECRET), (OTHER,))


def test_an_expired_token_only_renews() -> None:
    value = to_token(token(expires=int(now().timestamp()) - 10), SECRET)
    with pytest.raises(NotAuthenticated, match="expired"):
        from_token(value, (SECRET,))
    assert from_token(value, (SECRET,), grace=timedelta(hours=1)).visitor_id == "vis_1"


def test_a_source_signature_opens_its_own_document_only() -> None:
    signature = to_source_signature("doc_1", SECRET)
    assert is_source_signature(signature, "doc_1", (OTHER, SECRET))
    assert not is_source_signature(signature, "doc_2", (SECRET,))
    assert not is_source_signature("", "doc_1", (SECRET,))
    assert not is_source_signature("é", "doc_1", (SECRET,))
