"""demo.env: the demo site's address and keys for a shell, in the data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from sitebrook.errors import StartError


@dataclass(frozen=True, slots=True)
class DemoKeys:
    """The keys of the demo site in clear."""

    secret_key: str
    publishable_key: str


@contextlib.contextmanager
def claim_demo_env(path: Path) -> Generator[bool]:
    """Whether demo.env is this process's to write, during the block.

    It is the first server's of a data folder; a second one on another port leaves it alone.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a folder that cannot be written matters only to who writes the file
            pass
        yield True


def read_demo_env(path: Path) -> DemoKeys | None:
    """The keys that an earlier start wrote, or None."""
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from None
    values: dict[str, str] = {}
    try:
        for line in text.splitlines():
            name, equals, value = line.removeprefix("export ").partition("=")
            if equals:
                values[name] = "".join(shlex.split(value))
        return DemoKeys(values["SITEBROOK_SECRET_KEY"], values["SITEBROOK_PUBLISHABLE_KEY"])
    except (KeyError, ValueError):  # edited until it is no longer what a start wrote
        return None


def write_demo_env(path: Path, keys: DemoKeys, *, url: str, model: str) -> None:
    """Writes what a shell can ``source``, readable by the owner only."""
    values = {
        "SITEBROOK_URL": url,
        "SITEBROOK_MODEL": model,
        "SITEBROOK_SECRET_KEY": keys.secret_key,
        "SITEBROOK_PUBLISHABLE_KEY": keys.publishable_key,
    }
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}.") from None
