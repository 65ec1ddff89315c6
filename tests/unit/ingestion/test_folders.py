from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sitebrook.ingestion.folders import find_files


def test_files_are_found_in_order_without_hidden_ones_and_junk(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", "sub/c.html", ".git/x.md", "node_modules/y.md", ".z.md", "p.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files([tmp_path])
    assert [str(file.relative_to(tmp_path)) for file in found.files] == [
        "a.md",
        "b.md",
        "sub/c.html",
    ]
    assert found.skipped == 1
    assert found.folders == [tmp_path]


def test_links_out_of_the_folder_and_loops_are_left_out(tmp_path: Path) -> None:
    inside = tmp_path / "docs"
    inside.mkdir()
    (tmp_path / "secret.md").write_text("x")
    (inside / "a.md").write_text("x")
    (inside / "out.md").symlink_to(tmp_path / "secret.md")
    (inside / "in.md").symlink_to(inside / "a.md")
    (inside / "broken.md").symlink_to(inside / "none.md")
    (inside / "loop").symlink_to(inside)
    assert [file.name for file in find_files([inside]).files] == ["a.md", "in.md"]


def test_a_web_address_is_refused_as_it_was_typed() -> None:
    address = "https://example.com/a.md"
    assert find_files([address]).refused == [
        (address, "it is no file; a website's address begins with http:// or https://")
    ]


def test_a_file_named_twice_counts_once_and_a_named_file_is_always_taken(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "b.pdf").write_text("x")
    found = find_files([tmp_path, tmp_path / "a.md", tmp_path / "b.pdf", tmp_path / "none"])
    assert [file.name for file in found.files] == ["a.md", "b.pdf"]
    assert [Path(path).name for path, _ in found.refused] == ["none"]


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Gives up root's right to read everything for the length of the block."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def test_a_folder_that_cannot_be_listed_is_told_with_the_reason() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        (folder / "a.md").write_text("x")
        closed = folder / "closed"
        closed.mkdir(mode=0o000)
        try:
            with as_ordinary_user():
                found = find_files([folder])
        finally:
            closed.chmod(0o700)
    assert [file.name for file in found.files] == ["a.md"]
    assert found.unreadable == [(closed, "Permission denied")]
