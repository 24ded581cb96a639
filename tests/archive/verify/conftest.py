import shutil
from pathlib import Path

import pytest

from tests.archive.verify.hand_made_log import HandMadeLog

SIZE = 700
"""Two full tiles and a partial one at level 0, a partial one at level 1."""


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> HandMadeLog:
    """A sound archive; tests must leave it as it is."""
    return HandMadeLog(tmp_path_factory.mktemp("pristine") / "data").fill(SIZE).publish()


@pytest.fixture
def archive(pristine: HandMadeLog, tmp_path: Path) -> HandMadeLog:
    """A copy to damage, with the state of its writer."""
    shutil.copytree(pristine.directory, tmp_path / "data")
    shutil.copy(pristine.head_path, tmp_path / "data.head")
    copy = HandMadeLog(tmp_path / "data", pristine.seed)
    copy.leaves = list(pristine.leaves)
    copy._last = dict(pristine._last)
    copy._ends = dict(pristine._ends)
    copy.now_unix_ns = pristine.now_unix_ns
    return copy
