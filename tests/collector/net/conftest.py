from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.spool import SpoolWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    writer = SpoolWriter(tmp_path / "spool", "collector")
    yield writer
    writer.close()
