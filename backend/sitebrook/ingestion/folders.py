"""The files that a command names, in folders and by themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sitebrook.ingestion.kinds import find_kind

_JUNK: Final = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages"})
_WEB_ADDRESS: Final = re.compile(r"https?:/", re.IGNORECASE)


@dataclass(slots=True)
class FoundFiles:
    """Files in a fixed order; ``skipped`` counts those of other types inside named folders.

    ``unreadable`` has the folders that could not be listed, with the reason.
    """

    files: list[Path] = field(default_factory=list[Path])
    folders: list[Path] = field(default_factory=list[Path])
    skipped: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unreadable: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """Whatever was named or lies in a named folder and cannot be read, with the reason."""
        return [*self.refused, *((str(folder), reason) for folder, reason in self.unreadable)]

    @property
    def prefixes(self) -> list[str]:
        """How the sources of files in the named folders begin."""
        return [f"{str(folder).rstrip(os.sep)}{os.sep}" for folder in self.folders]

    @property
    def unknown(self) -> list[str]:
        """The same of folders that cannot be listed: what lies in them is not known to be gone."""
        return [f"{folder}{os.sep}" for folder, _ in self.unreadable]


def find_missing(paths: Sequence[str | Path]) -> list[tuple[str, str]]:
    """The paths that lead to nothing, each with the reason."""
    return [(str(path), _why_missing(str(path))) for path in paths if _resolve(path) is None]


def find_files(paths: Sequence[str | Path]) -> FoundFiles:
    """The files under the paths, each once, by absolute path without symbolic links.

    Hidden files and folders, installed packages and linked folders are left out; a link to a file
    counts when the file lies in the named folder. A file that is named itself is always taken.
    """
    found = FoundFiles()
    seen: dict[Path, None] = {}
    for named in paths:
        resolved = _resolve(named)
        if resolved is None:
            found.refused.append((str(named), _why_missing(str(named))))
            continue
        if resolved.is_dir():
            found.folders.append(resolved)
            for file in _walk(resolved, found.unreadable):
                if find_kind(file.name) is None:
                    found.skipped += 1
                else:
                    seen[file] = None
        else:
            seen[resolved] = None
    found.files = list(seen)
    return found


def _resolve(named: str | Path) -> Path | None:
    try:
        return Path(named).expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def _why_missing(named: str) -> str:
    if _WEB_ADDRESS.match(named):
        return "it is no file; a website's address begins with http:// or https://"
    return "there is no such file or folder"


def _walk(folder: Path, unreadable: list[tuple[Path, str]]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        unreadable.append((Path(error.filename), error.strerror or "it cannot be read"))

    for place, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not _is_left_out(name))
        for name in sorted(files):
            file = Path(place, name)
            if not _is_left_out(name) and _is_inside(file, folder):
                yield file


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in _JUNK


def _is_inside(file: Path, folder: Path) -> bool:
    if not file.is_symlink():
        return file.is_file()
    try:
        target = file.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.is_file() and target.is_relative_to(folder)
