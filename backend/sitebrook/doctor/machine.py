"""What is checked of this machine: the data folder and the clock."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from sitebrook.doctor.findings import Finding, fail, ok, warn

_FOLDER: Final = "data folder"
_LITTLE_BYTES: Final = 1_000_000_000
# Tokens and tickets are dated by one machine and read by another.
_WARN_S: Final = 2.0
_FAIL_S: Final = 30.0


def check_folder(folder: Path) -> Finding:
    """Whether the data folder can be written, or made where it is not there yet."""
    try:
        place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
            file.flush()
        free_bytes = shutil.disk_usage(place).free
    except OSError as error:
        return fail(
            _FOLDER,
            f"{folder} cannot be written: {error.strerror}.",
            f"Make it a folder that user {os.geteuid()} may write, or name another one in "
            "SITEBROOK_DATA_DIR.",
        )
    verb = "written" if place == folder else "made"
    if free_bytes < _LITTLE_BYTES:
        free = f"{free_bytes / 1e6:,.0f} MB"
        return warn(_FOLDER, f"{folder} can be {verb}, {free} are free.", "Free some space.")
    return ok(_FOLDER, f"{folder} can be {verb}, {free_bytes / 1e9:,.0f} GB are free.")


def check_clock(of: str, theirs: datetime, ours: datetime) -> Finding:
    """Whether the clock of another server, read when ours was ``ours``, goes with this one's."""
    seconds = (theirs - ours).total_seconds()
    name = f"clock of {of}"
    if abs(seconds) < _WARN_S:
        return ok(name, f"It goes with this machine's ({seconds:+.1f} s).")
    says = f"It is {abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's."
    advice = "Let both machines set their clocks by NTP; see `timedatectl` on each."
    return fail(name, says, advice) if abs(seconds) >= _FAIL_S else warn(name, says, advice)
