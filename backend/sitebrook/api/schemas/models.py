"""The wire of models."""

from __future__ import annotations

from typing import Literal

import msgspec


class ModelResponse(msgspec.Struct, frozen=True):
    """A model that this site may ask for."""

    id: str
    owned_by: str
    created: int
    object: Literal["model"] = "model"


class ModelListResponse(msgspec.Struct, frozen=True):
    """All of them, in the order in which ``auto`` would take them."""

    data: list[ModelResponse]
    object: Literal["list"] = "list"
