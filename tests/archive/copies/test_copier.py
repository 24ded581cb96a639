"""Copying to a directory: what arrives is the log, after every interruption, and nothing that is damaged goes there."""

import json
import shutil
from pathlib import Path

import pytest
from copy_targets import CopiedLog, Failing, Flipping

from archive.copies.directory_target import DirectoryTarget
from archive.copies.target import CopyError
from archive.key_source import KeySource
from archive.succession import KEY_CHANGED, begin_new_log


@pytest.fixture
def log(tmp_path: Path) -> CopiedLog:
    return CopiedLog(tmp_path)


def same_files(one: Path, other: Path) -> None:
    names = {path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()}
    assert names == {path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file()}
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_copy_is_the_log_and_its_head_without_keys(log: CopiedLog) -> None:
    log.grow(*(b"line %d" % number for number in range(4)), roots=True)
    log.copier().run()
    same_files(log.paths.log, log.place / "log")
    assert (log.place / "head").read_bytes() == log.paths.head.read_bytes()
    assert not [path for path in log.place.rglob("*") if path.suffix == ".pem"]
    report = log.verify_copy()
    assert report is not None
    assert report.exit_code == 0, report.to_text()
    assert report.chunks == 4


def test_later_passes_send_only_what_came(log: CopiedLog) -> None:
    log.grow(bytes(200_000), b"x" * 90_000)
    copier = log.copier()
    copier.run()
    first = copier.sent_bytes
    log.grow(b"one more")
    copier.run()
    assert copier.sent_bytes - first < 20_000
    copier.run()
    same_files(log.paths.log, log.place / "log")


def test_over_bundles_of_256_leaves(log: CopiedLog) -> None:
    for _ in range(3):
        log.grow(*(b"%d" % number for number in range(130)))
        log.copier().run()
        same_files(log.paths.log, log.place / "log")
        report = log.verify_copy()
        assert report is not None
        assert report.exit_code == 0, report.to_text()


@pytest.mark.parametrize("after", [False, True])
def test_a_copy_cut_off_at_any_call_is_a_consistent_log(tmp_path: Path, full_counts: bool, after: bool) -> None:
    log = CopiedLog(tmp_path)
    log.grow(b"first", b"second", roots=True)
    log.copier().run()
    log.grow(b"third", roots=True)
    log.grow(b"of another stream", stream="radius")
    log.clock.advance(86_400)
    log.grow(*(b"%d" % number for number in range(260)))
    (log.paths.directory / "anchors").mkdir(exist_ok=True)
    size = int((log.paths.log / "checkpoint").read_bytes().split(b"\n")[1])
    shutil.copy(log.paths.log / "checkpoint", log.paths.directory / "anchors" / f"{size}.checkpoint")
    before, memory = tmp_path / "before", tmp_path / "memory"
    shutil.copytree(log.place, before)
    shutil.copytree(log.paths.directory / "copies", memory)
    counting = Failing(DirectoryTarget(log.place), at=0)
    log.copier(counting).run()
    for at in range(1, counting.calls + 1, 1 if full_counts else 6):
        for is_remembered in (True, False) if full_counts else (at % 4 == 1,):
            shutil.rmtree(log.place)
            shutil.copytree(before, log.place)
            shutil.rmtree(log.paths.directory / "copies")
            shutil.copytree(memory, log.paths.directory / "copies")
            with pytest.raises(CopyError):
                log.copier(Failing(DirectoryTarget(log.place), at, after)).run()
            report = log.verify_copy()
            assert report is not None
            assert report.exit_code == 0, f"call {at}: {report.to_text()}"
            if not is_remembered:
                shutil.rmtree(log.paths.directory / "copies")
            log.copier().run()
            same_files(log.paths.log, log.place / "log")
            report = log.verify_copy()
            assert report is not None
            assert report.exit_code == 0, report.to_text()
            assert report.tree_size == size


@pytest.mark.parametrize("part", [".seg", ".units", "salt.key", "tile/0", "tile/entries", "head", "checkpoint"])
def test_a_bit_flipped_on_its_way_is_found_and_sent_again(log: CopiedLog, part: str) -> None:
    log.grow(b"first", roots=True)
    with pytest.raises(CopyError) as caught:
        log.copier(Flipping(log.place, part)).run()
    assert caught.value.code == "changed"
    if part == "head":
        (log.place / "head").unlink()  # A head that does not verify is nothing to go on from.
    log.copier().run()
    same_files(log.paths.log, log.place / "log")


def test_a_chunk_that_is_not_its_leafs_is_not_copied(log: CopiedLog) -> None:
    log.grow(b"first" * 50)
    log.copier().run()
    log.grow(b"second" * 50)
    segment = next(log.paths.segments.rglob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    with pytest.raises(CopyError, match="leaf says"):
        log.copier().run()
    report = log.verify_copy()
    assert report is not None
    assert report.exit_code == 0, report.to_text()


def test_an_unmounted_or_foreign_place_is_left_alone(log: CopiedLog, tmp_path: Path) -> None:
    log.grow(b"line")
    (log.place / "phayan-copy.json").unlink()
    with pytest.raises(CopyError, match="prepare"):
        log.copier().run()
    assert not list(log.place.iterdir())
    log.place.rmdir()
    with pytest.raises(CopyError, match="mounted"):
        log.copier().run()
    log.place.mkdir()
    mark = {"format": 1, "origin": "elsewhere.test/log", "tree_size": 9, "unix_ns": "0"}
    (log.place / "phayan-copy.json").write_text(json.dumps(mark))
    with pytest.raises(CopyError, match="no log of this archive"):
        log.copier().run()


def test_a_copy_follows_a_change_of_keys(log: CopiedLog) -> None:
    log.grow(b"before", roots=True)
    log.copier().run()
    log.grow(b"between")
    begin_new_log(log.paths, KeySource(log.paths.keys), "phayan.test/second", KEY_CHANGED, log.clock)
    log.grow(b"after")
    for at in (4, 8, 12, 16):
        with pytest.raises(CopyError):
            log.copier(Failing(DirectoryTarget(log.place), at)).run()
    log.copier().run()
    report = log.verify_copy()
    assert report is not None
    assert report.exit_code == 0, report.to_text()
    assert [one["origin"] for one in report.former] == ["phayan.test/copied"]
    assert not list(log.place.rglob("keys"))


def test_two_processes_do_not_make_the_same_copy(log: CopiedLog) -> None:
    copier = log.copier()
    with copier._file.locked(), pytest.raises(CopyError) as caught:
        log.copier().run()
    assert caught.value.code == "busy"
