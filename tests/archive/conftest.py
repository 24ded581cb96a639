"""A small log in a temporary directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_log import SmallLog

from archive.origin import create_log, default_paths
from tests.archive.tsa_maker import MadeAuthority
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


@pytest.fixture(scope="session")
def made_authority(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    """A time stamp authority with a root and a signer of its own."""
    return MadeAuthority("tsa-one", tmp_path_factory.mktemp("tsa") / "one")
