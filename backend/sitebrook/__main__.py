"""``python -m sitebrook`` is the command line."""

from sitebrook.cli import main

main()
