"""The queue's tables are procrastinate's as of one version; a newer one must bring a revision."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sitebrook.db import migrate

COPY = Path(migrate.__file__).parent / "migrations/sql/procrastinate_3_10.sql"
# Those whose effect the copy has.
KNOWN_MIGRATIONS = "03.04.00_50_post_add_retry_failed_job_procedure.sql"


def test_the_installed_library_has_the_schema_of_our_revision() -> None:
    shipped = resources.files("procrastinate.sql")
    migrations = sorted(
        one.name for one in (shipped / "migrations").iterdir() if one.name.endswith(".sql")
    )
    newer = [name for name in migrations if name > KNOWN_MIGRATIONS]
    advice = (
        "procrastinate brings a newer schema: add a revision that runs what is new in "
        f"procrastinate/sql/migrations ({', '.join(newer) or 'see schema.sql'}), and name it here."
    )
    assert not newer, advice
    assert (shipped / "schema.sql").read_text("utf-8") == COPY.read_text("utf-8"), advice
