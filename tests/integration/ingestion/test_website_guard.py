"""Nothing but public addresses is ever asked."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import socket

import pytest
from tests.fakes.website import FakeWebsite, Page, html

from sitebrook.errors import AddressRefused, InvalidRequest, PageFailed
from sitebrook.ingestion.website.connecting import (
    PublicBackend,
    SystemResolver,
    check_readable,
)
from sitebrook.ingestion.website.fetcher import FetchBounds, Fetcher

# Everything here means this machine, a private network, or the metadata service of a cloud.
_HOSTS = """
127.0.0.1 127.0.0.2 127.1 127.0.1 127.255.255.254 127.000.000.001 0177.0.0.1 0177.1
017700000001 0x7f.0.0.1 0x7f.0.0.0x1 0x7f.1 0x7f000001 0X7F000001 0x7F.0x0.0x0.0x1
2130706433 0x7f.0.1 00000177.0.0.1 127.0.0.1. 127.0.0.0x1 127.0x0.0.1 127.0.01 0 0.0.0.0 0x0
0.0 0.0.0 00 0x00000000 localhost LOCALHOST localhost. LocalHost. 10.0.0.1 10.1
10.255.255.255 0xa.0.0.1 012.0.0.1 167772161 0x0a000001 172.16.0.1 172.31.255.255
0xac.0x10.0.1 2886729729 192.168.0.1 192.168.1 0xc0.0xa8.0.1 0300.0250.0.1 3232235521
0xc0a80001 192.168.257 169.254.169.254 169.254.43518 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376
2852039166 0xa9fea9fe 169.16689662 0xA9FEA9FE 169.0xfea9fe 0xa9.254.0251.254 100.64.0.1
100.100.100.200 1684301000 168.63.129.16 192.0.0.192 198.18.0.1 198.51.100.7 203.0.113.9
192.0.2.1 192.88.99.1 224.0.0.1 239.1.2.3 240.0.0.1 255.255.255.255 4294967295 0xffffffff
[::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [0::0] [::ffff:127.0.0.1] [::FFFF:127.0.0.1]
[::ffff:7f00:1] [::ffff:7f00:0001] [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [::7f00:1]
[64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [::ffff:0:127.0.0.1]
[2002:7f00:1::] [2002:7f00:1::1] [2002:a9fe:a9fe::] [2001:0:7f00:1::1] [2001:db8::1]
[3fff::1] [100::1] [fc00::1] [fd00::1] [fd00:ec2::254] [fe80::1] [febf::1] [fec0::1]
[ff02::1] [ff05::2] [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::ffff:10.0.0.1]
[::ffff:192.168.0.1] [64:ff9b::169.254.169.254] [::169.254.169.254] 127。0。0。1 127．0．0．1
１２７.0.0.1 ⑯⑨.254.169.254 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌocalhost ①②⑦.⓪.⓪.①
""".split()  # noqa: SIM905
_URLS = [
    *(f"http://{host}:PORT/" for host in _HOSTS),
    "http://user@127.0.0.1:PORT/",
    "http://user:secret@localhost:PORT/",
    "http://example.com@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.com/",
    "http://example.com\\@127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:PORT/",
    "http://127.0.0.1%00.example.com:PORT/",
    "http://127.0.0.1%2f@example.com:PORT/",
    "http://127.0.0.1\x00.example.com:PORT/",
    "http://127.0.0.1\t:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://[fe80::1%lo]:PORT/",
    "http://[::1]x:PORT/",
    "gopher://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "dict://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "jar:http://127.0.0.1:PORT/!/",
    "data:text/html,<p>x",
    "ws://127.0.0.1:PORT/",
]


@pytest.fixture
async def canary():
    """What must never be contacted."""
    async with FakeWebsite({"/": html("The canary")}) as website:
        yield website


def backend(canary: FakeWebsite, resolve) -> PublicBackend:
    """As in production, but for the ports: the canary cannot have port 80."""
    return PublicBackend(resolve, ports=frozenset({80, 443, canary.port}))


def test_there_are_more_than_a_hundred_spellings() -> None:
    assert len(set(_URLS)) >= 140


async def test_no_spelling_of_a_forbidden_address_is_asked(canary: FakeWebsite) -> None:
    resolver = SystemResolver()
    fetcher = Fetcher(FetchBounds(time_s=5), backend=backend(canary, resolver))
    for url in _URLS:
        with pytest.raises((InvalidRequest, PageFailed)):
            await fetcher.fetch(url.replace("PORT", str(canary.port)))
    await fetcher.aclose()
    resolver.close()
    assert canary.connections == 0


def test_what_can_never_be_read_is_known_beforehand() -> None:
    for host in _HOSTS:
        with pytest.raises(InvalidRequest):
            check_readable(f"http://{host}/")
    for url in ("https://example.com:8443/", "example.com:8080", "http://app.localhost/"):
        with pytest.raises(AddressRefused, match="POST /api/documents"):
            check_readable(url)
    for url in ("example.com", "http://93.184.215.14/", "https://[2606:4700::1111]:443/", "a.b:80"):
        check_readable(url)


async def test_a_name_that_does_not_exist_is_told() -> None:
    fetcher = Fetcher(FetchBounds(time_s=20))
    # The second where there is no network.
    said = r"the name 'nowhere\.invalid' is not known|no name server tells where 'nowhere"
    with pytest.raises(PageFailed, match=said):
        await fetcher.fetch("https://nowhere.invalid/")
    await fetcher.aclose()


async def test_without_the_guard_many_of_them_would_reach_it(canary: FakeWebsite) -> None:
    resolver = SystemResolver()
    unguarded = PublicBackend(
        resolver, is_allowed=lambda _: True, ports=frozenset({80, 443, canary.port})
    )
    fetcher = Fetcher(FetchBounds(time_s=5), backend=unguarded)
    reached = 0
    for host in _HOSTS:
        if host.startswith(("127", "0x7f", "0X7F", "0177", "21", "[::f", "local", "１")):
            with contextlib.suppress(InvalidRequest, PageFailed):
                reached += (await fetcher.fetch(f"http://{host}:{canary.port}/")).status == 200
    await fetcher.aclose()
    resolver.close()
    assert reached >= 20


async def test_the_same_forbidden_addresses_are_refused_by_their_meaning(
    canary: FakeWebsite,
) -> None:
    """Whatever a resolver makes of a name, the address decides."""
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"):

        async def resolve(_host: str, address: str = address) -> list:
            return [ipaddress.ip_address("93.184.215.14"), ipaddress.ip_address(address)]

        fetcher = Fetcher(backend=backend(canary, resolve))
        with pytest.raises(AddressRefused):
            await fetcher.fetch(f"http://example.com:{canary.port}/")
        await fetcher.aclose()
    assert canary.connections == 0


async def test_a_name_that_changes_its_address_is_looked_at_anew_for_each_connection(
    canary: FakeWebsite,
) -> None:
    asked: list[str] = []

    async def resolve(host: str) -> list:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "127.0.0.2")]

    # The canary's own address counts as the public one here.
    rebinding = PublicBackend(
        resolve,
        is_allowed=lambda address: str(address) == "127.0.0.1",
        ports=frozenset({canary.port}),
    )
    fetcher = Fetcher(backend=rebinding)
    canary.pages["/"] = html("First", headers={"connection": "close"})
    assert (await fetcher.fetch(f"http://rebinding.example:{canary.port}/")).status == 200
    with pytest.raises(AddressRefused):
        await fetcher.fetch(f"http://rebinding.example:{canary.port}/")
    assert len(asked) == 2
    assert canary.connections == 1
    await fetcher.aclose()


async def test_the_address_that_was_looked_at_is_the_one_dialled_with_the_host_s_name(
    canary: FakeWebsite,
) -> None:
    fetcher = canary.fetcher()
    await fetcher.fetch(canary.url())
    assert canary.headers[0]["host"] == f"shop.example:{canary.port}"
    assert "cookie" not in canary.headers[0]
    assert "authorization" not in canary.headers[0]
    assert canary.headers[0]["user-agent"].startswith("sitebrook/")
    await fetcher.aclose()


async def test_a_redirect_to_a_forbidden_address_is_refused(canary: FakeWebsite) -> None:
    async with FakeWebsite() as website:
        for target in (
            f"http://127.0.0.1:{canary.port}/",
            f"http://localhost:{canary.port}/",
            f"//[::1]:{canary.port}/",
            f"http://inside.example:{canary.port}/",
            "file:///etc/passwd",
        ):
            website.pages["/"] = Page(status=302, headers={"location": target})

            async def resolve(host: str) -> list:
                name = {"shop.example": "127.0.0.1", "inside.example": "10.0.0.1"}.get(host)
                return [ipaddress.ip_address(name or host)] if name or host[0].isdigit() else []

            def is_allowed(address: object) -> bool:
                return website.asked == [] and str(address) == "127.0.0.1"

            fetcher = Fetcher(
                backend=PublicBackend(
                    resolve,
                    is_allowed=is_allowed,
                    ports=frozenset({website.port, canary.port}),
                )
            )
            website.asked.clear()
            with pytest.raises((InvalidRequest, PageFailed)):
                await fetcher.follow(website.url())
            assert website.asked == ["/"]
            await fetcher.aclose()
    assert canary.connections == 0


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 5432])
async def test_other_ports_are_refused(port: int) -> None:
    async def resolve(_host: str) -> list:
        return [ipaddress.ip_address("93.184.215.14")]

    fetcher = Fetcher(backend=PublicBackend(resolve))
    with pytest.raises(AddressRefused, match="only 80 and 443"):
        await fetcher.fetch(f"http://example.com:{port}/")
    await fetcher.aclose()


async def test_pages_are_bounded_in_size_time_and_redirects() -> None:
    async with FakeWebsite() as website:
        packed = {"content-encoding": "gzip", "content-type": "text/html"}
        website.pages |= {
            "/fits": Page(gzip.compress(b"x" * 90_000), headers=packed),
            "/large": Page(b"x" * 200_000),
            "/bomb": Page(gzip.compress(bytes(50_000_000)), headers=packed),
            "/broken": Page(b"\x1f\x8bnot gzip", headers=packed),
            "/half": Page(gzip.compress(b"x" * 90_000)[:-20], headers=packed),
            "/brotli": Page(b"x", headers={"content-encoding": "br"}),
            "/slow": html("Slow", delay_s=5),
            "/loop": Page(status=302, headers={"location": "/loop"}),
        }
        fetcher = website.fetcher(max_bytes=100_000, time_s=1)
        assert (await fetcher.fetch(website.url("/fits"))).content == b"x" * 90_000
        for path in ("/large", "/bomb"):
            with pytest.raises(InvalidRequest, match="more than 100,000 bytes"):
                await fetcher.fetch(website.url(path))
        for path, reason in (
            ("/broken", "broken way"),
            ("/half", "broke off"),
            ("/brotli", "'br' was not asked for"),
            ("/slow", "did not come within 1 s"),
        ):
            with pytest.raises(PageFailed, match=reason):
                await fetcher.fetch(website.url(path))
        with pytest.raises(PageFailed, match="redirects too often"):
            await fetcher.follow(website.url("/loop"))
        assert website.counts["/loop"] == 6
        await fetcher.aclose()


async def test_a_server_that_is_not_there_is_told_in_plain_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def resolve(host: str) -> list:
        return [ipaddress.ip_address("127.0.0.1")] if host == "down.example" else []

    fetcher = Fetcher(
        backend=PublicBackend(resolve, is_allowed=lambda _: True, ports=frozenset({port}))
    )
    for host in ("down.example", "unknown.example"):
        with pytest.raises(PageFailed, match="cannot be reached"):
            await fetcher.fetch(f"http://{host}:{port}/")
    await fetcher.aclose()
