"""Which pages of a website a crawl is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sitebrook.errors import InvalidRequest
from sitebrook.ingestion.website.urls import host_of, path_of

_MAX_PATTERNS: Final = 100
_MAX_PATTERN_CHARACTERS: Final = 300
# What pages are made of, and what is no text: not worth a request each.
_NEVER_READ: Final = frozenset(
    """.7z .apk .avi .avif .bmp .bz2 .css .dmg .eot .exe .flac .gif .gz .ico .iso .jar .jpeg .jpg
    .js .mid .mjs .mkv .mov .mp3 .mp4 .mpeg .mpg .msi .ogg .otf .png .rar .rss .svg .tar .tgz .tif
    .tiff .ttf .wasm .wav .webm .webmanifest .webp .wmv .woff .woff2 .xz .zip""".split()  # noqa: SIM905
)


class CrawlOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a website is read.

    ``include`` and ``exclude`` are patterns of paths, in which ``*`` stands for anything: a page
    must match one of the first, if there are any, and none of the second. Depth 0 is the start
    page alone; pages of sitemaps have depth 1.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: int = 10
    max_pages: int = 1000
    sitemaps: bool = True
    delay_s: float = 0.0

    def check(self) -> None:
        """Raises InvalidRequest for values out of their bounds."""
        for name in ("include", "exclude"):
            patterns: tuple[str, ...] = getattr(self, name)
            too_long = any(len(one) > _MAX_PATTERN_CHARACTERS for one in patterns)
            if len(patterns) > _MAX_PATTERNS or too_long:
                raise InvalidRequest(
                    f"At most {_MAX_PATTERNS} patterns of {_MAX_PATTERN_CHARACTERS} characters.",
                    param=name,
                )
            if any(not one.startswith(("/", "*")) or not one.isprintable() for one in patterns):
                raise InvalidRequest(
                    "A pattern is of the path, like /docs/* or *.pdf, and begins with / or *.",
                    param=name,
                )
        bounds = (("max_depth", 0, 100), ("max_pages", 1, 100_000), ("delay_s", 0, 60))
        for name, least, most in bounds:
            if not least <= getattr(self, name) <= most:
                raise InvalidRequest(f"{name} must be {least} to {most}.", param=name)


@dataclass(frozen=True, slots=True)
class Scope:
    """The pages that belong to a crawl: those of its hosts that its options let in."""

    hosts: frozenset[str]
    options: CrawlOptions

    def why_not(self, url: str, depth: int) -> str:
        """Why the page is not read; empty when it is."""
        if host_of(url) not in self.hosts:
            return "it is of another website"
        if depth > self.options.max_depth:
            return f"it is more than {self.options.max_depth} links away"
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
        if suffix in _NEVER_READ:
            return f"files of type {suffix} are not read"
        path = path_of(url)
        for pattern in self.options.exclude:
            if _compile(pattern).fullmatch(path):
                return f"it is excluded by {pattern}"
        include = self.options.include
        if include and not any(_compile(pattern).fullmatch(path) for pattern in include):
            return "no pattern includes it"
        return ""


@lru_cache(maxsize=1000)
def _compile(pattern: str) -> re.Pattern[str]:
    first, *rest = re.split(r"\*+", pattern)
    if not rest:
        return re.compile(re.escape(first))
    # Each piece is looked for once and then kept, or a hundred stars would take for ever.
    pieces = "".join(f"(?>.*?{re.escape(piece)})" for piece in rest[:-1])
    return re.compile(f"{re.escape(first)}{pieces}.*{re.escape(rest[-1])}", re.DOTALL)
