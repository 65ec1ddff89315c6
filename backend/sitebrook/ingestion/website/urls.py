"""Addresses of pages, written in one way."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from sitebrook.errors import InvalidRequest

_PORTS: Final = {"http": 80, "https": 443}
_MAX_CHARACTERS: Final = 1000  # as long as the source of a document
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_BLANK: Final = re.compile(r"[\t\r\n]")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f\\]")
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:")
# What pages are asked with but do not depend on.
_TRACKING: Final = re.compile(r"utm_\w+|fbclid|gclid|msclkid|mc_[ce]id|_ga|ref_src")
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE: Final = _PATH_SAFE + "?"
_ESCAPE: Final = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]")


def to_url(text: str, base: str = "") -> str:
    """The absolute address of a page, without its fragment and in one spelling.

    Scheme and host are in lower case, names in punycode, standard ports and parameters that only
    track are left out. Raises InvalidRequest that says what is wrong with it.
    """
    text = _BLANK.sub("", text.strip())
    try:
        parts = urlsplit(urljoin(base, text) if base else text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused(text, "it is no address") from None
    if parts.scheme not in _PORTS:
        raise _refused(text, "only http:// and https:// are read")
    if parts.username is not None or parts.password is not None:
        raise _refused(text, "an address with a user or a password is not read")
    if not host or "%" in parts.netloc or _CONTROL.search(parts.netloc):
        raise _refused(text, "it has no valid host")
    netloc = _to_host(text, host)
    if port not in {None, _PORTS[parts.scheme]}:
        netloc += f":{port}"
    path = _normal_path(parts.path)
    url = urlunsplit((parts.scheme, netloc, path, _normal_query(parts.query), ""))
    if len(url) > _MAX_CHARACTERS:
        raise _refused(text, f"it has more than {_MAX_CHARACTERS:,} characters")
    return url


def to_site_url(text: str) -> str:
    """The address that a person typed, who may have left out ``https://``."""
    text = text.strip()
    is_whole = _SCHEME.match(text) and not re.match(r"[^/]+:\d", text)
    return to_url(text if is_whole else f"https://{text}")


def host_of(url: str) -> str:
    """Host and port of an address in its one spelling."""
    return urlsplit(url).netloc


def path_of(url: str) -> str:
    """What stands behind the host: path and query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _to_host(text: str, host: str) -> str:
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]"
        except ValueError:
            raise _refused(text, "it has no valid host") from None
    try:
        name = host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        raise _refused(text, "it has no valid host") from None
    if len(name) > 253 or not all(_HOST.fullmatch(label) for label in name.split(".")):
        raise _refused(text, "it has no valid host")
    return name


def _normal_path(path: str) -> str:
    steps: list[str] = []
    for step in (path or "/").split("/"):
        if step in {".", "%2e", "%2E"}:
            continue
        if step.lower() in {"..", "%2e%2e", ".%2e", "%2e."}:
            del steps[max(1, len(steps) - 1) :]
            continue
        steps.append(step)
    if path.endswith(("/.", "/..")):
        steps.append("")
    joined = "/".join(steps)
    return _normal_escapes(joined if joined.startswith("/") else f"/{joined}", _PATH_SAFE)


def _normal_query(query: str) -> str:
    if _TRACKING.search(query):
        pairs = parse_qsl(query, keep_blank_values=True)
        query = urlencode([pair for pair in pairs if not _TRACKING.fullmatch(pair[0])])
    return _normal_escapes(query, _QUERY_SAFE)


def _normal_escapes(text: str, safe: str) -> str:
    """Escapes in upper case, and only where they are needed."""

    def unescape(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if _UNRESERVED.fullmatch(character) else found[0].upper()

    return quote(_ESCAPE.sub(unescape, text), safe=safe)


def _refused(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The address '{text[:200]}' is refused: {why}.", param="url")
