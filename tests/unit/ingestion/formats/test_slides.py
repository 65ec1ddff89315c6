from __future__ import annotations

from typing import Any

import pptx
from pptx.util import Inches
from tests.fakes.documents import saved
from tests.unit.ingestion.formats.reading import read, shown


def slide(deck: Any, layout: int, title: str, *texts: str) -> Any:
    made = deck.slides.add_slide(deck.slide_layouts[layout])
    made.shapes.title.text = title
    for place, text in zip(list(made.placeholders)[1:], texts, strict=False):
        place.text = text
    return made


def test_each_slide_that_is_shown_is_a_section() -> None:
    deck: Any = pptx.Presentation()
    slide(deck, 0, "The plan", "for next year")
    with_notes = slide(deck, 1, "Goals", "grow\nlearn")
    with_notes.notes_slide.notes_text_frame.text = "say this aloud"
    hidden = slide(deck, 1, "Secret", "hidden")
    hidden._element.set("show", "0")
    slide(deck, 5, "Only a title")
    untitled = deck.slides.add_slide(deck.slide_layouts[6])
    untitled.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "free text"
    content = saved(deck)
    assert read(content).title == "The plan"
    assert shown(content) == [
        ((), ["for next year"]),
        (("Goals",), ["grow\nlearn"]),
        (("Only a title",), ["Only a title"]),
        ((), ["free text"]),
    ]


def test_tables_and_groups_are_read_and_hidden_shapes_are_not() -> None:
    deck: Any = pptx.Presentation()
    made = slide(deck, 5, "Prices")
    table = made.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(1)).table
    for at, text in enumerate(("Item", "Price", "Tea", "2")):
        table.cell(at // 2, at % 2).text = text
    group = made.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "grouped"
    unseen = made.shapes.add_textbox(0, 0, Inches(1), Inches(1))
    unseen.text_frame.text = "unseen"
    unseen._element.nvSpPr.cNvPr.set("hidden", "1")
    content = saved(deck)
    assert shown(content) == [((), ["Item | Price\nTea | 2", "grouped"])]
    assert read(content).sections[0].blocks[0].header == "Item | Price"
