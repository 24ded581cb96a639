"""The verifier beside a sealer that publishes and removes older partial tiles as fast as it can."""

import threading
from pathlib import Path

import pytest

import archive.verify.log_check as log_check
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog, number_path, put


def partial_paths(log: HandMadeLog, size: int) -> set[Path]:
    paths = set()
    level = 0
    while size:
        if width := size % 256:
            paths.add(log.log / "tile" / str(level) / f"{number_path(size // 256)}.p" / str(width))
            if level == 0:
                bundles = log.log / "tile" / "entries" / f"{number_path(size // 256)}.p"
                paths.add(bundles / f"{width}.zst")
        size //= 256
        level += 1
    return paths


def seal_more(log: HandMadeLog) -> None:
    """One turn of the sealer: chunk, tree, head, checkpoint, then the partial tiles of the head before."""
    old_size = len(log.leaves)
    for stream in ("collector", "radius"):
        log.append_data(stream, number=5)
    log.write_tree()
    put(log.head_path, log.checkpoint(len(log.leaves)))
    put(log.log / "checkpoint", log.checkpoint(len(log.leaves)))
    for path in partial_paths(log, old_size) - partial_paths(log, len(log.leaves)):
        path.unlink()


def test_verifying_a_log_that_grows_finds_no_defect(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data").fill(505).publish()
    stop = threading.Event()

    def seal() -> None:
        while not stop.is_set() and len(log.leaves) < 900:
            seal_more(log)

    sealer = threading.Thread(target=seal)
    sealer.start()
    try:
        sizes = []
        for _ in range(25):
            report = verify_archive(log.directory, log.head_path)
            assert (report.exit_code, report.defects) == (0, [])
            sizes.append(report.tree_size)
    finally:
        stop.set()
        sealer.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


@pytest.mark.parametrize("publications", [1, 3])
def test_head_replaced_between_reading_it_and_its_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publications: int
) -> None:
    """Deterministic: the sealer publishes exactly between the two reads, a few times in a row."""
    log = HandMadeLog(tmp_path / "data").fill(300).publish()
    left = [publications]

    class OvertakenStore(log_check.TileStore):
        def load_partial(self) -> list[str]:
            if left[0]:
                left[0] -= 1
                seal_more(log)
            return super().load_partial()

    monkeypatch.setattr(log_check, "TileStore", OvertakenStore)
    monkeypatch.setattr(log_check, "SNAPSHOT_PAUSE_SECONDS", 0)
    report = verify_archive(log.directory, log.head_path)
    assert (report.exit_code, report.defects) == (0, [])
    assert report.tree_size == 300 + 2 * publications


def test_checkpoint_published_between_reading_head_and_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = HandMadeLog(tmp_path / "data").fill(300).publish()
    real = Path.read_bytes
    pending = [True]

    def read_bytes(path: Path) -> bytes:
        data = real(path)
        if path == log.head_path and pending:
            pending.clear()
            seal_more(log)
        return data

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    report = verify_archive(log.directory, log.head_path)
    assert (report.exit_code, report.defects, report.tree_size) == (0, [], 302)


def test_tile_that_is_really_gone_is_a_defect_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = HandMadeLog(tmp_path / "data").fill(300).publish()
    (log.log / "tile" / "0" / "001.p" / "44").unlink()
    pauses: list[float] = []
    monkeypatch.setattr(log_check.time, "sleep", pauses.append)
    [defect] = verify_archive(log.directory, log.head_path).defects
    assert (defect.code, defect.file) == ("tile_missing", "log/tile/0/001.p/44")
    assert len(pauses) <= 2
