"""Addresses of pages and of machines."""

from __future__ import annotations

import ipaddress

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.ingestion.website.addresses import is_public
from sitebrook.ingestion.website.urls import to_site_url, to_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("https://example.com./a#b", "https://example.com/a"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../a", "https://example.com/a"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/%7euser/%2f%e2%82%ac", "https://example.com/~user/%2F%E2%82%AC"),
        ("https://example.com/a b/ü", "https://example.com/a%20b/%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example.com/?b=2&a=1", "https://example.com/?b=2&a=1"),
        ("https://example.com/?a=1&utm_source=x&gclid=y", "https://example.com/?a=1"),
        ("https://example.com/?", "https://example.com/"),
        ("  https://exa\nmple.com/\t", "https://example.com/"),
        ("http://[2606:4700:0:0::1]/", "http://[2606:4700::1]/"),
    ],
)
def test_an_address_has_one_spelling(text: str, url: str) -> None:
    assert to_url(text) == url
    assert to_url(url) == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("b", "https://example.com/d/b"),
        ("/b", "https://example.com/b"),
        ("?c", "https://example.com/d/e?c"),
        ("#f", "https://example.com/d/e"),
        ("//other.example/x", "https://other.example/x"),
        ("../../..", "https://example.com/"),
    ],
)
def test_links_are_resolved_against_their_page(text: str, url: str) -> None:
    assert to_url(text, "https://example.com/d/e") == url


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "mailto:a@example.com",
        "data:text/html,x",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example..com/",
        "https://-example.com/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://%31%32%37.0.0.1/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://" + "a" * 64 + ".example/",
        "https://example.com/" + "a" * 1000,
        "",
    ],
)
def test_what_is_no_address_of_a_page_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        to_url(text)


def test_a_person_may_leave_the_scheme_out() -> None:
    assert to_site_url("example.com/docs") == "https://example.com/docs"
    assert to_site_url("http://example.com") == "http://example.com/"
    assert to_site_url("example.com:80/a") == "https://example.com:80/a"


@pytest.mark.parametrize(
    "address",
    """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.255 168.63.129.16
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1
192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1
::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::8.8.8.8
64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::
2002:808:808::1 2620:4f:8000::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0
fec0::1 ff02::1 4000::1 1::1
""".split(),  # noqa: SIM905
)
def test_addresses_that_are_not_public_are_denied(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
169.253.255.255 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255
198.20.0.0 223.255.255.255 2001:200::1 2606:4700:4700::1111 2a00:1450::1 3ffe::1
""".split(),  # noqa: SIM905
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
