"""A folder of documents, and a mock that takes its time."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents, in one of them what a unicorn costs."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "prices.md").write_text("# Prices\n\nA unicorn costs 4711 ducats a year.\n", "utf-8")
    page = "<title>Hours</title><h1>Hours</h1><p>The stable opens at seven.</p>"
    (folder / "hours.html").write_text(page, "utf-8")
    return folder


@pytest.fixture
def slow_mock(tmp_path: Path) -> str:
    """A settings file in which each piece of an answer takes a fifth of a second."""
    file = tmp_path / "sitebrook.toml"
    file.write_text('[[providers]]\nname = "mock"\nkind = "mock"\ndelta_delay_s = 0.2\n', "utf-8")
    return str(file)
