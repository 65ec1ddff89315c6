"""Commands that Ctrl-C ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from sitebrook.cli.session import run_command
from sitebrook.errors import Unavailable


@pytest.fixture(autouse=True)
def _hears_ctrl_c() -> Iterator[None]:
    """What runs in the background of a shell script inherits that SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def _interrupted(failure: type[Exception] | None = None) -> None:
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
    try:
        await asyncio.sleep(60)
    finally:
        if failure is not None:
            raise failure("The database does not answer.")


async def _failing() -> None:
    raise Unavailable("The database does not answer.")


@pytest.mark.parametrize("failure", [None, Unavailable])
def test_ctrl_c_is_ctrl_c_whatever_fails_while_the_command_ends(
    failure: type[Exception] | None,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_command(_interrupted(failure))


def test_a_failure_is_told_as_it_is() -> None:
    with pytest.raises(Unavailable):
        run_command(_failing())
