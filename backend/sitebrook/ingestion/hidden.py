"""Which elements of a page hide their text by what they say of their own style.

Style sheets are not read: what a class hides is not known here.
"""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_STYLED: Final = "[style], font[color], font[size='0']"
_SHEETS: Final = "style, link[rel~=stylesheet]"
_NUMBER: Final = re.compile(r"(-?[\d.]+)\s*([a-z%]*)")
_RGB: Final = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)(?:[\s,/]+([\d.]+)(%?))?\s*\)")
_HEX: Final = re.compile(r"#([0-9a-f]{3,8})")
_NAMED: Final = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250)}
_TRANSPARENT: Final = (-1, -1, -1)
_NEAR: Final = 10  # of 255, in each channel
_FAR_PX: Final = -999
_SMALL_PX: Final = 2
_MAX_ASCENT: Final = 64
_CLIPPED: Final = re.compile(r"rect\(\s*(?:0|1px)|inset\(\s*(?:50|100)%")

Style = dict[str, str]
Colour = tuple[int, int, int]


def find_hidden(page: LexborHTMLParser) -> set[int]:
    """The elements, by ``mem_id``, whose text nobody sees."""
    has_sheet = page.css_first(_SHEETS) is not None
    return {
        node.mem_id
        for node in page.css(_STYLED)
        if _hides(style := _to_style(node))
        or _is_background_coloured(node, style, has_sheet=has_sheet)
    }


def _to_style(node: LexborNode) -> Style:
    found: Style = {}
    attributes = node.attributes
    for declaration in (attributes.get("style") or "").lower().split(";"):
        name, _, value = declaration.partition(":")
        found[name.strip()] = value.replace("!important", "").strip()
    if attributes.get("bgcolor"):
        found.setdefault("background-color", str(attributes["bgcolor"]).lower())
    if node.tag == "font":
        found.setdefault("color", (attributes.get("color") or "").lower())
        found.setdefault("font-size", "0" if attributes.get("size") == "0" else "")
    return found


def _hides(style: Style) -> bool:
    if style.get("display") == "none" or style.get("visibility") in {"hidden", "collapse"}:
        return True
    if _pixels(style.get("opacity", "")) == 0 or "scale(0)" in style.get("transform", ""):
        return True
    return _is_small(style) or _is_away(style)


def _is_small(style: Style) -> bool:
    size = _pixels(style.get("font-size", ""))
    if size is not None and size < _SMALL_PX:
        return True
    is_cut = "hidden" in style.get("overflow", "")
    sides = (_pixels(style.get(name, "")) for name in ("width", "height", "max-height"))
    return is_cut and any(side is not None and side < _SMALL_PX for side in sides)


def _is_away(style: Style) -> bool:
    is_placed = style.get("position") in {"absolute", "fixed"}
    names = ("text-indent", *(("left", "top", "right", "bottom") if is_placed else ()))
    places = (_pixels(style.get(name, "")) for name in names)
    is_far = any(place is not None and place <= _FAR_PX for place in places)
    clip = f"{style.get('clip', '')} {style.get('clip-path', '')}"
    return is_far or (is_placed and _CLIPPED.search(clip) is not None)


def _pixels(value: str) -> float | None:
    """The number in pixels, about; None of what is relative to what is not known."""
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    try:
        number = float(found[1])
    except ValueError:
        return None
    if number == 0:
        return 0.0
    factors = {"px": 1.0, "": 1.0, "pt": 1.33, "em": 16.0, "rem": 16.0}
    return number * factors[found[2]] if found[2] in factors else None


def _is_background_coloured(node: LexborNode, style: Style, *, has_sheet: bool) -> bool:
    """Whether the text has the colour of what is behind it, as far as elements say that."""
    colour = _colour(style.get("color", ""))
    if colour is None:
        return False
    if colour == _TRANSPARENT:
        return True
    background = _background(node)
    if background is None:
        # With a style sheet it could be anything.
        background = None if has_sheet else _NAMED["white"]
    return background is not None and all(
        abs(one - other) <= _NEAR for one, other in zip(colour, background, strict=True)
    )


def _background(node: LexborNode) -> Colour | None:
    current: LexborNode | None = node
    for _ in range(_MAX_ASCENT):
        if current is None or (current.tag or "").startswith("-"):
            return None
        style = _to_style(current)
        if "url(" in style.get("background", "") or "background-image" in style:
            return _TRANSPARENT  # a picture, of any colour
        value = style.get("background-color") or style.get("background", "").partition(" ")[0]
        found = _colour(value)
        if found is not None and found != _TRANSPARENT:
            return found
        current = current.parent
    return None


def _colour(value: str) -> Colour | None:
    if value == "transparent":
        return _TRANSPARENT
    if value in _NAMED:
        return _NAMED[value]
    if found := _HEX.fullmatch(value):
        return _from_hex(found[1])
    if found := _RGB.match(value):
        is_clear = found[4] is not None and float(found[4].strip(".") or 0) == 0
        return _TRANSPARENT if is_clear else (int(found[1]), int(found[2]), int(found[3]))
    return None


def _from_hex(digits: str) -> Colour | None:
    if len(digits) in {3, 4}:
        digits = "".join(digit * 2 for digit in digits)
    if len(digits) == 8 and digits.endswith("00"):  # #rrggbbaa
        return _TRANSPARENT
    if len(digits) not in {6, 8}:
        return None
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
