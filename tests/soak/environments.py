"""Environments of the real clients: each its own, in a cache folder, kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"
_NPM = CLIENTS / "npm"
_INSTALL_S = 300


def python_with(name: str, *requirements: str) -> Path:
    """The interpreter of a virtual environment that has the pinned packages."""
    folder = _cache() / "-".join(requirements).replace("==", "-")
    stamp, python = folder / ".installed", folder / "bin" / "python"
    if not stamp.exists():
        uv = _found("uv", Path(sys.executable).with_name("uv"), "pip install uv")
        _install(name, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder])
        _install(name, [uv, "pip", "install", "--quiet", "--python", python, *requirements])
        stamp.touch()
    return python


def node_folder() -> Path:
    """A folder with the drivers in JavaScript and the packages of their lock file."""
    npm = _found("npm", None, "install Node.js 20 or later with npm")
    files = [_NPM / name for name in ("package.json", "package-lock.json", ".npmrc")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    root = _cache() / f"npm-{digest}"
    folder, stamp = root / "npm", root / ".installed"
    folder.mkdir(parents=True, exist_ok=True)
    if not stamp.exists():
        for file in files:
            shutil.copy(file, folder)
        _install("npm", [npm, "ci", "--silent"], cwd=folder)
        stamp.touch()
    shutil.copy(CLIENTS / "asked.json", root)
    for driver in _NPM.glob("*.js"):
        shutil.copy(driver, folder)
    return folder


def node() -> str:
    """The command that runs a driver in JavaScript."""
    return _found("node", None, "install Node.js 20 or later")


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "sitebrook-clients"


def _found(name: str, beside: Path | None, how: str) -> str:
    found = str(beside) if beside is not None and beside.exists() else shutil.which(name)
    if found is None:
        _give_up(f"{name} is not there: {how}")
    return found


def _install(name: str, command: list[str | Path], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        _give_up(f"installing {name} took over {_INSTALL_S} s; is the network there?")
    if done.returncode:
        _give_up(f"{name} could not be installed; is the network there?\n{done.stderr[-1000:]}")


def _give_up(reason: str) -> None:
    """In CI everything must be there."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
