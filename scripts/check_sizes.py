"""Fails when a module is longer than 400 lines: no module grows by habit."""

import subprocess
import sys
from pathlib import Path

LIMIT = 400
PATTERNS = ("backend/**/*.py", "tests/**/*.py", "scripts/*", "widget/src/*.js", "widget/*.js")

root = Path(__file__).resolve().parent.parent
listed = subprocess.run(
    ["git", "ls-files", *(f":(glob){pattern}" for pattern in PATTERNS)],
    cwd=root,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
long = {
    name: count
    for name in listed
    if (root / name).is_file()
    and (count := len((root / name).read_text("utf-8").splitlines())) > LIMIT
}
for name, count in sorted(long.items()):
    print(f"{name} has {count} lines; the limit is {LIMIT}")
sys.exit(bool(long))
