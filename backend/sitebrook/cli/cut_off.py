"""The bound on a stop: a process that does not end by itself is ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger(__name__)
# What the last act may take.
_LAST_ACT_S: Final = 0.3


def cut_off_after(timeout_s: float, last_act: Callable[[], object]) -> None:
    """Ends this process with status 1 when it is still there after ``timeout_s``.

    Python waits for its threads without a bound. ``last_act`` is called in a thread of its own.
    """
    _start_timer(timeout_s - _LAST_ACT_S, lambda: _end(last_act))
    _start_timer(timeout_s, lambda: os._exit(1))


def _end(last_act: Callable[[], object]) -> None:
    _LOG.error("the server did not end in time and is cut off")
    last_act()
    os._exit(1)


def _start_timer(timeout_s: float, act: Callable[[], object]) -> None:
    timer = threading.Timer(timeout_s, act)
    timer.daemon = True
    timer.start()
