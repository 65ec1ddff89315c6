"""sitebrook for other Python programs, without HTTP.

``ask`` and ``ask_stream`` answer one question; ``open`` keeps everything open for many; ``task``
puts a question together step by step. The ``_sync`` twins need no event loop. Settings are those
of the server: the environment and the file that SITEBROOK_CONFIG names. Errors are those of
``sitebrook.errors``. Nothing asked here is stored.
"""

from sitebrook.embed.answers import AnswerStream, WholeAnswer
from sitebrook.embed.options import Options, Turn
from sitebrook.embed.session import Sitebrook, ask, ask_stream, open  # noqa: A004 - embed.open
from sitebrook.embed.sync import (
    SyncAnswerStream,
    SyncSitebrook,
    ask_stream_sync,
    ask_sync,
    open_sync,
)
from sitebrook.embed.task import Task, task

__all__ = [
    "AnswerStream",
    "Options",
    "Sitebrook",
    "SyncAnswerStream",
    "SyncSitebrook",
    "Task",
    "Turn",
    "WholeAnswer",
    "ask",
    "ask_stream",
    "ask_stream_sync",
    "ask_sync",
    "open",
    "open_sync",
    "task",
]
