"""What ``scripts/lib.sh`` asks the installer for, which here only notes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NOTE = '#!/bin/sh\nprintf "%s\\n" "$*" >>"$(dirname "$0")/asked"\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a virtual environment whose programs only note how they are called."""
    for name in ("scripts/lib.sh", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(_ROOT / name, tmp_path / name)
    (tmp_path / "backend").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "uv"):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(_NOTE, "utf-8")
        program.chmod(0o755)
    return tmp_path


def install(checkout: Path, lock: str, content: str) -> list[str]:
    """The calls of the installer for a lock file."""
    (checkout / "backend" / lock).write_text(content, "utf-8")
    asked = checkout / ".venv" / "bin" / "asked"
    asked.unlink(missing_ok=True)
    script = f". scripts/lib.sh; install_locked {lock}"
    subprocess.run(["bash", "-euc", script], cwd=checkout, check=True, capture_output=True)
    return asked.read_text("utf-8").splitlines() if asked.exists() else []


def test_an_update_leaves_what_else_was_installed(checkout: Path) -> None:
    calls = install(checkout, "requirements.lock", "one")
    lock = checkout / "backend" / "requirements.lock"
    assert f"pip install --no-compile-bytecode --requirements {lock}" in calls[0]
    assert "--require-hashes" in calls[0]
    assert f"--editable {checkout}" in calls[1]
    assert install(checkout, "requirements.lock", "one") == []
    assert not any(" sync " in call for call in install(checkout, "requirements.lock", "two"))


def test_developers_have_what_their_lock_says_and_no_more(checkout: Path) -> None:
    calls = install(checkout, "requirements-dev.lock", "one")
    assert calls[0].startswith("pip sync --compile-bytecode")
