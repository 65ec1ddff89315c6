from __future__ import annotations

import datetime
import io

import openpyxl
import pytest
from tests.fakes.documents import raw_sheet, saved, workbook
from tests.unit.ingestion.formats.reading import read, shown

from sitebrook.errors import InvalidRequest

MOMENT = datetime.datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001 - sheets know no zones


def test_numbers_are_read_as_they_are_shown() -> None:
    rows = [
        ["Item", "Price", "Since", "At", "Until", "In stock"],
        ["Tea", 2.5, MOMENT.date(), MOMENT, None, True],
        ["Pot", 1e20, None, None, datetime.time(9, 30), False],
        ["Cup", 0.1 + 0.2, None, None, datetime.timedelta(hours=30), None],
    ]
    assert shown(workbook({"Prices": rows}), "prices.xlsx") == [
        ((), ["Item | Price | Since | At | Until | In stock\n"
              "Tea | 2.5 | 2026-01-02 | 2026-01-02 03:04:00 |  | TRUE\n"
              "Pot | 1e+20 |  |  | 9:30:00 | FALSE\n"
              "Cup | 0.3 |  |  | 30:00:00"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("0%", 0.25, "25%"),
        ("0.0%", 0.255, "25.5%"),
        ('#,##0.00 "days"', 3, "3"),
        ("[Red]0.00", 3, "3"),
        ("dd/mm/yyyy", 45658, "2025-01-01"),
        ("d mmm yy h:mm", 45658.5, "2025-01-01 12:00:00"),
        ("[h]:mm", 1.5, "36:00:00"),
        ("mm:ss", 0.5, "12:00:00"),
        ("yyyy", -5, "-5"),
        ("yyyy", 1e9, "1000000000"),
    ],
)
def test_a_format_says_what_a_number_is(code: str, value: float, text: str) -> None:
    book = openpyxl.Workbook()
    cell = book.worksheets[0].cell(1, 1, value)
    cell.number_format = code
    assert shown(saved(book)) == [((), [text])]


def test_each_sheet_of_several_is_a_section_without_the_hidden_ones() -> None:
    book = openpyxl.load_workbook(
        io.BytesIO(workbook({"One": [["a"]], "Two": [["b"]], "Off": [["c"]]}))
    )
    book["Off"].sheet_state = "hidden"
    assert shown(saved(book)) == [(("One",), ["a"]), (("Two",), ["b"])]


def test_hidden_rows_and_columns_and_empty_columns_are_left_out() -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (("a", "b", None, "d"), ("1", "2", None, "4"), ("5", "6", None, "8")):
        sheet.append(row)
    sheet.row_dimensions[2].hidden = True
    sheet.column_dimensions["B"].hidden = True
    assert shown(saved(book)) == [((), ["a | d\n5 | 8"])]


def test_strings_in_cells_with_readings_and_from_formulas_are_read() -> None:
    rows = (
        '<row><c r="A1" t="inlineStr"><is><r><t>tea</t></r><r><t>pot</t></r>'
        "<rPh><t>reading</t></rPh></is></c>"
        '<c r="C1" t="str"><f>A1</f><v>formula</v></c><c t="e"><v>#REF!</v></c></row>'
        '<row><c t="s"><v>99</v></c><c r="?"><v>7</v></c></row>'
    )
    assert shown(raw_sheet(rows)) == [((), ["teapot |  | formula\n | 7"])]


def test_one_value_far_away_does_not_fill_the_space_between() -> None:
    rows = "".join(f'<row><c r="A{at}"><v>{at}</v></c></row>' for at in range(1, 2000))
    far = "".join(
        f'<row><c r="{a}{b}{c}9"><v>5</v></c></row>' for a in "ABC" for b in "ABCDEFGH" for c in
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )  # fmt: skip
    text = read(raw_sheet(rows + far)).text
    assert len(text) < 20_000
    assert "1999" in text


def test_a_row_is_refused_at_the_first_cell_beyond_the_last_column() -> None:
    # Behind that cell the sheet is damaged, and nobody sees it.
    with pytest.raises(InvalidRequest, match="more than 16,384 cells"):
        read(raw_sheet("<row>" + "<c><v>7</v></c>" * 16_385 + "</damaged>"))
    assert read(raw_sheet("<row>" + "<c><v>7</v></c>" * 16_384 + "</row>")).sections


def test_a_first_row_with_numbers_is_no_header() -> None:
    (section,) = read(workbook({"S": [["a", 1], ["b", 2]]})).sections
    assert section.blocks[0].header == ""
