"""The sealer when the disk refuses and over many days: nothing sealed is ever removed, nothing waits for a person."""

import errno
import os
from pathlib import Path

import pytest
from small_log import SmallLog

import archive.segment as segment
import archive.tree as tree
from archive.chunk import decode_chunk
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.segment import read_stored_chunk
from archive.tree import TreeReader

DAY_SECONDS = 86_400


def write(log: SmallLog, stream: str, payload: bytes) -> None:
    writer = log.writer(stream)
    writer.append(payload, listener="syslog")
    writer.close()
    log.writers.remove(writer)


def payloads(log: SmallLog) -> list[bytes]:
    size = log.check()
    reader = TreeReader(log.paths.log, size)
    found: list[bytes] = []
    for index in range(size):
        leaf = decode_leaf(reader.leaf(index))
        if "segment" in leaf:
            found += (
                decode_chunk(read_stored_chunk(log.paths.segments, stored_chunk(leaf))).column("payload").to_pylist()
            )
    return [p for p in found if b"writer_started" not in p]


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_start_touches_no_segment_of_an_earlier_day(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    for day in range(3):
        write(small_log, "collector", b"day %d" % day)
        write(small_log, "radius", b"login %d" % day)
        small_log.clock.advance(1)
        sealer.run_once()
        small_log.clock.advance(DAY_SECONDS)
    small_log.drop_sealer(sealer)
    write(small_log, "collector", b"day 3")
    small_log.sealer().run_once()
    assert sorted(payloads(small_log)) == sorted(
        [*(b"day %d" % n for n in range(4)), *(b"login %d" % n for n in range(3))]
    )


def test_a_start_after_the_clock_went_back_a_day_cuts_only_what_no_leaf_covers(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    for wall_seconds in (DAY_SECONDS, -DAY_SECONDS):
        write(small_log, "collector", b"%d" % wall_seconds)
        sealer.run_once()
        small_log.clock.advance(10, wall_seconds=wall_seconds)
    # In the older day's segment now; the sealer dies before the head.
    write(small_log, "collector", b"again the first day")
    small_log.clock.advance(1)
    sealer._tree.store = no_space  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        sealer.run_once()
    small_log.drop_sealer(sealer)
    small_log.sealer().run_once()
    assert len(payloads(small_log)) == 3


def test_a_sealed_file_without_header_does_not_stop_the_next_start(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    folder = small_log.paths.spool / "collector"
    folder.mkdir()
    torn = folder / f"{0:020d}.open"
    torn.touch()
    sealer.run_once()
    assert not torn.exists()
    # As after a death between head and removal.
    torn.touch()
    small_log.drop_sealer(sealer)
    small_log.sealer().run_once()
    assert not torn.exists()
    small_log.check()


def test_a_file_that_cannot_be_read_holds_up_its_own_stream_only(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    (small_log.paths.spool / "audit" / f"{0:020d}.spool").mkdir(parents=True)
    write(small_log, "collector", b"goes on")
    small_log.clock.advance(1)
    with pytest.raises(OSError, match="Is a directory"):
        sealer.run_once()
    assert payloads(small_log) == [b"goes on"]
    (small_log.paths.spool / "audit" / f"{0:020d}.spool").rmdir()
    sealer.run_once()


def test_a_disk_that_is_full_is_freed_of_what_is_sealed(small_log: SmallLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = small_log.sealer()
    for n in range(3):
        write(small_log, "collector", b"%d" % n)
    real, calls = segment.write_all, []

    def full_after_two(descriptor: int, data: bytes) -> None:
        calls.append(len(data))
        if len(calls) > 2:
            os.write(descriptor, data[:7])
            no_space()
        real(descriptor, data)

    monkeypatch.setattr(segment, "write_all", full_after_two)
    small_log.clock.advance(1)
    sealer._published_monotonic_ns = small_log.clock.monotonic_ns()
    sealer._head_interval_ns = 1
    for _ in range(2):
        small_log.clock.advance(1)
        with pytest.raises(OSError, match="No space"):
            sealer.run_once()
    assert len(list(small_log.paths.spool.glob("collector/*.spool"))) == 1
    assert payloads(small_log) == [b"0", b"1"]
    monkeypatch.setattr(segment, "write_all", real)
    small_log.clock.advance(1)
    sealer.run_once()
    assert payloads(small_log) == [b"0", b"1", b"2"]


def test_bytes_of_a_failed_append_never_lie_before_a_sealed_chunk(
    small_log: SmallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = small_log.sealer()
    write(small_log, "collector", b"first")
    sealer.run_once()
    write(small_log, "collector", b"second")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", no_space)
        broken.setattr(os, "truncate", no_space)
        small_log.clock.advance(1)
        with pytest.raises(OSError, match="No space"):
            sealer.run_once()
        broken.undo()
        broken.setattr(os, "truncate", no_space)
        with pytest.raises(OSError, match="No space"):
            sealer.run_once()
    small_log.clock.advance(1)
    sealer.run_once()
    assert payloads(small_log) == [b"first", b"second"]
    assert len(list(small_log.paths.segments.glob("collector/*/*.seg"))) == 2


@pytest.mark.parametrize("fails_at", range(6))
def test_a_tree_half_stored_is_stored_whole_later(
    small_log: SmallLog, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    sealer = small_log.sealer()
    for n in range(3):
        write(small_log, "collector", b"%d" % n)
    real, calls = tree.replace_file, []

    def full(path: Path, data: bytes, **options: int) -> None:
        calls.append(path)
        if len(calls) > fails_at:
            no_space()
        real(path, data, **options)

    monkeypatch.setattr(tree, "replace_file", full)
    with pytest.raises(OSError, match="No space"):
        sealer.run_once()
    monkeypatch.setattr(tree, "replace_file", real)
    write(small_log, "collector", b"3")
    small_log.clock.advance(1)
    sealer.run_once()
    assert payloads(small_log) == [b"0", b"1", b"2", b"3"]


def test_foreign_files_in_the_spool_stay_and_disturb_nobody(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    write(small_log, "collector", b"kept")
    folder = small_log.paths.spool / "collector"
    for name in ("7.spool", "notes.txt", "old.open", ".hidden.spool"):
        (folder / name).write_bytes(b"foreign")
    (small_log.paths.spool / "stray").write_bytes(b"foreign")
    small_log.clock.advance(1)
    sealer.run_once()
    small_log.drop_sealer(sealer)
    small_log.sealer().run_once()
    assert payloads(small_log) == [b"kept"]
    assert (folder / "7.spool").exists()


def test_a_file_that_cannot_be_removed_keeps_no_other(small_log: SmallLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = small_log.sealer()
    for n in range(3):
        write(small_log, "collector", b"%d" % n)
    stuck = min((small_log.paths.spool / "collector").glob("*.spool"))
    real = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise OSError(errno.EPERM, "Operation not permitted")
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="not permitted"):
        sealer.run_once()
    assert list((small_log.paths.spool / "collector").glob("*.spool")) == [stuck]
    write(small_log, "collector", b"3")
    small_log.clock.advance(1)
    with pytest.raises(OSError, match="not permitted"):
        sealer.run_once()
    assert list((small_log.paths.spool / "collector").glob("*.spool")) == [stuck]
    monkeypatch.setattr(Path, "unlink", real)
    write(small_log, "collector", b"4")
    small_log.clock.advance(1)
    sealer.run_once()
    assert not stuck.exists()
    assert payloads(small_log) == [b"%d" % n for n in range(5)]


def test_a_checkpoint_that_cannot_be_written_follows_its_head_later(
    small_log: SmallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import archive.sealer as module

    sealer = small_log.sealer()
    write(small_log, "collector", b"0")
    with monkeypatch.context() as broken:
        broken.setattr(module, "replace_file", no_space)
        with pytest.raises(OSError, match="No space"):
            sealer.run_once()
    assert small_log.paths.head.read_bytes() != (small_log.paths.log / "checkpoint").read_bytes()
    small_log.clock.advance(1)
    sealer.run_once()
    assert small_log.paths.head.read_bytes() == (small_log.paths.log / "checkpoint").read_bytes()
    assert list((small_log.paths.spool / "collector").glob("*.spool")) == []
    assert payloads(small_log) == [b"0"]
