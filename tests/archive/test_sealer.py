"""The sealer: whatever happens between two steps, the next start extends the same log and loses no received record."""

import os
import shutil
from pathlib import Path

import pytest
from small_log import SmallLog

from archive.chunk import decode_chunk
from archive.errors import ArchiveError, ArchiveStateError
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.segment import read_stored_chunk
from archive.tree import TreeReader


def leaves_of(log: SmallLog) -> list[dict]:
    size = log.check()
    reader = TreeReader(log.paths.log, size)
    return [decode_leaf(reader.leaf(index)) for index in range(size)]


def payloads_of(log: SmallLog, stream: str) -> list[bytes]:
    found: list[bytes] = []
    for leaf in leaves_of(log):
        if leaf.get("stream") == stream and "segment" in leaf:
            table = decode_chunk(read_stored_chunk(log.paths.segments, stored_chunk(leaf)))
            found += table.column("payload").to_pylist()
    return [p for p in found if b"writer_started" not in p]


def test_records_of_several_streams_are_sealed_once(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    for round_number in range(4):
        for stream in ("collector", "radius"):
            writer = small_log.writer(stream)
            for n in range(10):
                writer.append(f"{stream} {round_number} {n}".encode(), listener="syslog")
            writer.close()
            small_log.writers.remove(writer)
        small_log.clock.advance(1)
        sealer.run_once()
        small_log.check()
    for stream in ("collector", "radius"):
        expected = [f"{stream} {r} {n}".encode() for r in range(4) for n in range(10)]
        assert payloads_of(small_log, stream) == expected
    assert list(small_log.paths.spool.glob("*/*.spool")) == []


def test_the_file_of_a_dead_writer_is_sealed_up_to_its_last_whole_record(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    writer = small_log.writer("collector")
    writer.wait_durable(writer.append(b"whole", listener="syslog"))
    path = next((small_log.paths.spool / "collector").glob("*.open"))
    sealer.run_once()
    assert path.exists(), "a file that is being written belongs to its writer"
    # What kill -9 leaves: no lock, and half a frame at the end.
    copy = path.read_bytes()
    writer.close()
    small_log.writers.remove(writer)
    (small_log.paths.spool / "collector" / path.with_suffix(".spool").name).unlink()
    path.write_bytes(copy + b"PYSD\x10\x00\x00\x00torn")
    small_log.clock.advance(1)
    sealer.run_once()
    assert payloads_of(small_log, "collector") == [b"whole"]
    leaf = [leaf for leaf in leaves_of(small_log) if leaf.get("stream") == "collector"][-1]
    assert leaf["torn_bytes"] == 12
    assert leaf["closed"] is None


@pytest.mark.parametrize("step", ["segments.append", "tree.store", "head.advance", "after head"])
def test_a_death_at_every_step_is_continued_without_loss_or_fork(small_log: SmallLog, step: str) -> None:
    heads = [small_log.paths.head.read_bytes()]
    sealer = small_log.sealer()
    writer = small_log.writer("collector")
    writer.append(b"first", listener="syslog")
    writer.close()
    small_log.writers.remove(writer)

    class Died(Exception):
        pass

    def die(*_: object) -> None:
        raise Died

    if step == "segments.append":
        real = sealer._segments.append
        sealer._segments.append = lambda *a: (real(*a), die())  # type: ignore[method-assign,assignment]
    elif step == "tree.store":
        real_store = sealer._tree.store
        sealer._tree.store = lambda: (real_store(), die())  # type: ignore[method-assign,assignment]
    elif step == "head.advance":
        sealer._head.advance = die  # type: ignore[method-assign,assignment]
    else:
        sealer._tree.remove_stale_partials = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        sealer.run_once()
    small_log.drop_sealer(sealer)
    heads.append(small_log.paths.head.read_bytes())
    small_log.clock.advance(5)
    again = small_log.sealer()
    writer = small_log.writer("collector")
    writer.append(b"second", listener="syslog")
    writer.close()
    small_log.writers.remove(writer)
    small_log.clock.advance(1)
    again.run_once()
    heads.append(small_log.paths.head.read_bytes())
    assert payloads_of(small_log, "collector") == [b"first", b"second"]
    # Every head ever signed is a prefix of the log as it is now: no fork.
    from archive.verify.run import verify_archive

    for head in heads:
        report = verify_archive(small_log.paths.directory, small_log.paths.head, checkpoints=[head])
        assert report.exit_code == 0, report.to_text()


def test_a_restored_older_directory_may_not_sign(small_log: SmallLog, tmp_path: Path) -> None:
    sealer = small_log.sealer()
    sealer.run_once()
    small_log.drop_sealer(sealer)
    backup = tmp_path / "backup"
    shutil.copytree(small_log.paths.directory, backup)
    sealer = small_log.sealer()
    sealer.run_once()
    small_log.drop_sealer(sealer)
    shutil.rmtree(small_log.paths.directory)
    shutil.copytree(backup, small_log.paths.directory)
    with pytest.raises(ArchiveError):
        small_log.sealer()


def test_without_its_head_a_log_is_not_continued(small_log: SmallLog) -> None:
    os.unlink(small_log.paths.head)
    with pytest.raises(ArchiveStateError) as caught:
        small_log.sealer()
    assert caught.value.code == "head_missing"


def test_two_sealers_cannot_hold_one_head(small_log: SmallLog) -> None:
    small_log.sealer()
    with pytest.raises(ArchiveStateError) as caught:
        small_log.sealer()
    assert caught.value.code == "head_locked"


def test_a_silent_log_still_signs(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    sealer.run_once()
    size = small_log.check()
    small_log.clock.advance(299)
    sealer.run_once()
    assert small_log.check() == size
    small_log.clock.advance(2)
    sealer.run_once()
    assert leaves_of(small_log)[-1]["kind"] == "heartbeat"


def test_a_backward_clock_is_stated_and_sealing_goes_on(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    sealer.run_once()
    small_log.clock.advance(10, wall_seconds=-3600)
    sealer.run_once()
    leaf = leaves_of(small_log)[-1]
    assert leaf["kind"] == "clock"
    assert int(leaf["step"]["from_unix_ns"]) - int(leaf["step"]["to_unix_ns"]) == 3610 * 10**9


def test_bytes_that_no_leaf_covers_are_cut_at_the_next_start(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    writer = small_log.writer("collector")
    writer.append(b"kept", listener="syslog")
    writer.close()
    small_log.writers.remove(writer)
    sealer.run_once()
    small_log.drop_sealer(sealer)
    segment = next(small_log.paths.segments.glob("collector/*/*.seg"))
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(b"half a frame")
    small_log.sealer().run_once()
    assert segment.stat().st_size == size
    assert leaves_of(small_log)[-1]["cut_bytes"] == 12


def test_the_log_grows_past_full_tiles(small_log: SmallLog) -> None:
    sealer = small_log.sealer()
    for _ in range(300):
        small_log.clock.advance(301)
        sealer.run_once()
    assert small_log.check() > 256
    small_log.drop_sealer(sealer)
    small_log.sealer().run_once()
    assert small_log.check() > 257
