"""Names and reasons as lines of a command's output."""

from __future__ import annotations

from sitebrook.cli.display import to_line, to_refusal


def test_a_name_stays_on_its_line_and_moves_nothing_on_the_terminal() -> None:
    assert to_line("sub/new\nline\x1b[2J.txt") == r"sub/new\nline\x1b[2J.txt"
    assert to_line("Übersicht 日本.md") == "Übersicht 日本.md"


def test_a_refusal_is_said_once() -> None:
    assert (
        to_refusal("a.md", "The document is refused: it is empty.") == "refused: a.md: it is empty."
    )
    assert to_refusal("b.md", "Permission denied") == "refused: b.md: Permission denied"
