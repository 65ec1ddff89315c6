"""Installations with an embedded database of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.start.installation import Installation, new_installation


@pytest.fixture
def fresh() -> Iterator[Installation]:
    """One that was never started."""
    with new_installation() as installation:
        yield installation


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """One for all tests of a module; whoever starts it ends it."""
    with new_installation() as installation:
        yield installation
