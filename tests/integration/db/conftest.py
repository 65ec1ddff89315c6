"""Data folders of embedded servers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.db.servers import clean_up, rows

from sitebrook.db.embedded import start


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    clean_up(folder / "data")
    shutil.rmtree(folder)


@pytest.fixture
def private_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that only the caller can reach: pytest's are 0700."""
    yield tmp_path
    clean_up(tmp_path / "data")


@pytest.fixture(params=["open", "private"])
def data_dir(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_folder") / "data"


@pytest.fixture(scope="session")
def filled_data_dir() -> Iterator[Path]:
    """A data folder that many tests use in turn: initdb is most of a first start."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def filled(filled_data_dir: Path) -> Iterator[Path]:
    """A data folder whose stopped database holds one note."""
    if not filled_data_dir.exists():
        postgres = start(filled_data_dir, fsync=False)
        rows(postgres, "CREATE TABLE note (text text)", "INSERT INTO note VALUES ('kept')")
        postgres.stop()
    yield filled_data_dir
    clean_up(filled_data_dir)
