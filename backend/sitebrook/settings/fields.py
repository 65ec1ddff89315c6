"""One setting: its name in the environment, its default, its meaning, and how text becomes it."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from sitebrook.errors import StartError

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def setting(
    default: T, env: str, meaning: str, *, is_secret: bool = False, least: float | None = None
) -> T:
    """A dataclass field that carries its environment name, its meaning and its least number."""
    metadata = {"env": env, "meaning": meaning, "is_secret": is_secret, "least": least}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedSetting:
    """One setting as loaded: what it is called, its value, and where the value came from."""

    section: str
    name: str
    env: str
    meaning: str
    value: object
    source: str
    is_secret: bool

    def shown(self) -> str:
        """The value as text, masked when it is a secret."""
        if self.value is None:
            return ""
        if self.is_secret:
            return "********"
        if isinstance(self.value, tuple):
            return ",".join(str(part) for part in typing.cast("tuple[object, ...]", self.value))
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value)


def load_section(
    section: type[T], name: str, environ: Mapping[str, str], table: Mapping[str, Any]
) -> tuple[T, list[LoadedSetting]]:
    """A settings section read from the environment first, then the file's table, then defaults."""
    hints = typing.get_type_hints(section)
    values: dict[str, object] = {}
    loaded: list[LoadedSetting] = []
    fields = dataclasses.fields(typing.cast("Any", section))
    unknown = sorted(set(table) - {field.name for field in fields})
    if unknown:
        known = ", ".join(field.name for field in fields)
        raise StartError(f"[{name}] in the settings file has no '{unknown[0]}'. Known: {known}.")
    for field in fields:
        env = str(field.metadata["env"])
        if environ.get(env, "").strip():
            raw, shown, source = environ[env].strip(), env, "environment"
        elif field.name in table:
            raw, shown, source = table[field.name], f"[{name}] {field.name}", "file"
        else:
            raw, shown, source = None, "", "default"
        value = field.default if raw is None else _parse(raw, hints[field.name], shown)
        _check_least(value, field.metadata["least"], shown)
        values[field.name] = value
        meaning, is_secret = str(field.metadata["meaning"]), bool(field.metadata["is_secret"])
        loaded.append(LoadedSetting(name, field.name, env, meaning, value, source, is_secret))
    return section(**values), loaded


def _check_least(value: object, least: float | None, name: str) -> None:
    if least is not None and typing.cast("float", value) < least:
        raise StartError(f"{name} is {value}; it must be at least {least:g}.")


def _parse(raw: object, kind: Any, name: str) -> object:
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    try:
        return _convert(raw, kind)
    except (ValueError, TypeError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")
        raise StartError(f"{name} is {raw!r}; it must be {wanted}.") from None


def _convert(raw: object, kind: Any) -> object:
    if kind is bool:
        if isinstance(raw, bool):
            return raw
        text = str(raw).lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise ValueError(text)
    if typing.get_origin(kind) is tuple:
        if isinstance(raw, list):
            return tuple(str(part) for part in typing.cast("list[object]", raw))
        return tuple(part.strip() for part in str(raw).split(",") if part.strip())
    if kind is Path:
        return Path(str(raw)).expanduser()
    value = kind(str(raw))
    if kind is float and not math.isfinite(value):
        raise ValueError(raw)
    return value
