from __future__ import annotations

import pytest

from sitebrook.access.sites import to_origin
from sitebrook.errors import InvalidRequest


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://Example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, expected: str) -> None:
    assert to_origin(given) == expected


@pytest.mark.parametrize(
    "given", ["example.com", "https://example.com/path", "*", "null", "ftp://example.com", ""]
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match="is not an origin"):
        to_origin(given)
