"""A small log in a temporary directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_log import SmallLog

from archive.origin import create_log, default_paths
from tests.clocks import ManualClock


@pytest.fixture
def small_log(tmp_path: Path) -> Iterator[SmallLog]:
    clock = ManualClock()
    paths = default_paths(tmp_path / "data")
    keys = create_log(paths, "phayan.test/small", clock)
    log = SmallLog(paths, keys, clock)
    yield log
    for writer in log.writers:
        writer.close()
    for sealer in log.sealers:
        sealer.close()
