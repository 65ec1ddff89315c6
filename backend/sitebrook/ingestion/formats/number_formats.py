"""The numbers of a spreadsheet as they are shown: dates, times, shares and plain numbers."""

from __future__ import annotations

import datetime
import re
from typing import Final

from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.office import to_whole
from sitebrook.ingestion.formats.xml_stream import read_elements

# ECMA-376 part 1, 18.8.30: built-in formats that show a date, a time of day, or both.
_DATES: Final = frozenset({14, 15, 16, 17, *range(27, 32), 34, 35, 36, *range(50, 59)})
_TIMES: Final = frozenset({18, 19, 20, 21, 32, 33, 45, 46, 47})
_BOTH: Final = 22
_SHARES: Final = {9: "0%", 10: "0.00%"}
_FIRST_OF_USER: Final = 164
# What is quoted, escaped or in brackets (a colour, a currency) says nothing about dates.
_LITERAL: Final = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|[_*].')
_ELAPSED: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_DECIMALS: Final = re.compile(r"0\.(0+)")
_EPOCH: Final = datetime.datetime(1899, 12, 30)  # noqa: DTZ001 - sheets know no zones
_EPOCH_1904: Final = datetime.datetime(1904, 1, 1)  # noqa: DTZ001
_MAX_DAYS: Final = 2_958_465  # the end of the year 9999
_DAY_S: Final = 86_400


class NumberFormats:
    """How the cells of each style show their numbers."""

    def __init__(self, archive: Archive, part: str | None, *, is_1904: bool) -> None:
        self._epoch = _EPOCH_1904 if is_1904 else _EPOCH
        self._styles: list[int] = []
        self._codes: dict[int, str] = dict(_SHARES)
        if part is None or part not in archive:
            return
        with archive.open(part) as source:
            for element in read_elements(source, "s:numFmt", "s:cellXfs"):
                if element.tag == "s:numFmt":
                    code = _LITERAL.sub("", element.get("formatCode", "").partition(";")[0])
                    elapsed = _ELAPSED.search(element.get("formatCode", ""))
                    format_id = to_whole(element.get("numFmtId")) or 0
                    self._codes[format_id] = "h:mm" if elapsed else code
                else:
                    self._styles = [to_whole(one.get("numFmtId")) or 0 for one in element]

    def show(self, value: str, style: str) -> str:
        """The number as a reader of the sheet sees it, about; what is no number as it is."""
        try:
            number = float(value)
        except ValueError:
            return value
        at = to_whole(style) or 0
        format_id = self._styles[at] if at < len(self._styles) else 0
        code = self._codes.get(format_id, "").lower() if format_id >= 0 else ""
        if "%" in code:
            decimals = _DECIMALS.search(code)
            return f"{number * 100:.{len(decimals[1]) if decimals else 0}f}%"
        has_date = format_id in _DATES or format_id == _BOTH or any(one in code for one in "dy")
        has_time = format_id in _TIMES or format_id == _BOTH or any(one in code for one in "hs")
        if (has_date or has_time) and 0 <= number < _MAX_DAYS:
            return self._moment(number, has_date=has_date, has_time=has_time)
        return f"{number:.15g}" if abs(number) < 1e15 else value

    def _moment(self, days: float, *, has_date: bool, has_time: bool) -> str:
        moment = self._epoch + datetime.timedelta(seconds=round(days * _DAY_S))
        if not has_date:
            hours, seconds = divmod(round(days * _DAY_S), 3600)
            return f"{hours}:{seconds // 60:02d}:{seconds % 60:02d}"
        return moment.isoformat(" ") if has_time else moment.date().isoformat()
