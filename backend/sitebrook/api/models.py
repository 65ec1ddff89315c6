"""``/v1/models``: what a site may ask for."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from sitebrook.access.gate import Caller
from sitebrook.api.schemas.models import ModelListResponse, ModelResponse
from sitebrook.parts import Parts

# When the first version was made: models of a configuration have no date of their own.
_CREATED: Final = 1_795_219_200


@get("/v1/models", summary="List models", tags=["models"])
async def list_models(
    parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> ModelListResponse:
    """The usable models, in the order in which ``auto`` takes them."""
    del server
    return ModelListResponse([_to_response(model) for model in parts.router.models])


@get("/v1/models/{model_id:path}", summary="Read a model", tags=["models"])
async def read_model(
    model_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> ModelResponse:
    """One model; ``auto`` gives the one that it stands for."""
    del server
    return _to_response(parts.router.find_model(str(model_id).lstrip("/")))


def _to_response(model: str) -> ModelResponse:
    return ModelResponse(model, "sitebrook", _CREATED)
