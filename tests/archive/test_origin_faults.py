"""Making a log, cut off at any step: the next try makes it whole; a log that is there is never made again."""

from pathlib import Path

import pytest

import archive.durable as durable
import archive.head as head
import archive.keys as keys
import archive.origin as origin
import archive.tree as tree
from archive.errors import ArchiveStateError
from archive.origin import create_log, default_paths
from archive.verify.run import verify_archive
from tests.clocks import ManualClock

FILES = 11
"""Files a new log is made of, the mark of its making included."""


class Died(Exception):
    pass


@pytest.mark.parametrize("after", range(FILES))
def test_a_start_that_was_cut_off_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    paths = default_paths(tmp_path / "data")
    real, written = durable.replace_file, []

    def die(path: Path, data: bytes, **options: int) -> None:
        if len(written) == after:
            raise Died
        real(path, data, **options)
        written.append(path.name)

    with monkeypatch.context() as patched:
        for module in (origin, keys, tree, head):
            patched.setattr(module, "replace_file", die)
        with pytest.raises(Died):
            create_log(paths, "phayan.test/first", ManualClock())
    create_log(paths, "phayan.test/second", ManualClock())
    assert paths.origin() == "phayan.test/second"
    assert verify_archive(paths.directory, paths.head).exit_code == 0


def test_a_log_whose_mark_stayed_is_not_made_again(tmp_path: Path) -> None:
    paths = default_paths(tmp_path / "data")
    create_log(paths, "phayan.test/first", ManualClock())
    (paths.directory / "making").touch()
    with pytest.raises(ArchiveStateError):
        create_log(paths, "phayan.test/second", ManualClock())
    assert paths.origin() == "phayan.test/first"
    assert verify_archive(paths.directory, paths.head).exit_code == 0


@pytest.mark.parametrize("kept", ["keys", "data.head"])
def test_keys_or_a_head_of_another_log_are_never_removed(tmp_path: Path, kept: str) -> None:
    paths = default_paths(tmp_path / "data")
    paths.keys.mkdir(parents=True)
    file = paths.keys / "checkpoint.pem" if kept == "keys" else paths.head
    file.write_bytes(b"precious")
    for _ in range(2):
        with pytest.raises(ArchiveStateError):
            create_log(paths, "phayan.test/first", ManualClock())
    assert file.read_bytes() == b"precious"
