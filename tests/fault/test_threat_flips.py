"""Threats 1 and 17: a stored bit changed, found every time; a bit that flips on its way to the disk, never sealed."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import archive.tree as tree
from archive.errors import ArchiveError
from archive.sealer import Sealer
from archive.verify.run import verify_archive
from tests.archive.verify.whole_log import WholeLog

JOURNAL_BYTES = 8 * 1024
SAMPLE_FLIPS = 100
"""Of a file in `make test`; `make fault` changes every bit of the journal and of each file beside it."""
SAMPLE_WRITES, FULL_WRITES = 40, 1_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeLog]:
    """Eight leaves with a chunk, its units, samples of the clock and a witness's anchor."""
    log = WholeLog(tmp_path_factory.mktemp("flips"))
    noise = random.Random(1)
    leaf = log.receive("collector", *(noise.randbytes(1_000) for _ in range(8)))
    log.report(leaf, {-1: [400, 600]})
    log.sample_clock()
    log.anchor()
    log.clock.advance(901)
    log.turn()
    yield log
    log.close()


def _files(log: WholeLog) -> dict[str, Path]:
    folder = next((log.paths.segments / "collector").iterdir())
    found = {path.name: path for path in (*folder.iterdir(), log.paths.head)}
    tiles = [path for path in (log.paths.log / "tile").rglob("*") if path.is_file()]
    found |= {str(path.relative_to(log.paths.log)): path for path in tiles}
    return found | {name: log.paths.log / name for name in ("checkpoint", "origin", "key.vkey")}


def _is_found(log: WholeLog) -> bool:
    return verify_archive(log.paths.directory, log.paths.head).exit_code == 1


def test_every_bit_of_a_small_archive(log: WholeLog, full_counts: bool) -> None:
    files = _files(log)
    assert {"000000.seg", "salt.key", "data.head", "checkpoint", "origin", "key.vkey"} < files.keys()
    assert len(files) >= 9, "a units file, tile and bundle as well"
    assert files["000000.seg"].stat().st_size >= JOURNAL_BYTES
    cases = 0
    for name, path in files.items():
        stored = path.read_bytes()
        bits: list[int] | range = range(8 * len(stored))
        if not full_counts:
            bits = random.Random(name).sample(bits, min(SAMPLE_FLIPS, len(bits)))
        for bit in bits:
            changed = bytearray(stored)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            assert _is_found(log), f"bit {bit} of {name}"
        path.write_bytes(stored)
        cases += len(bits)
    print(f"row 1: {cases} flips in {len(files)} files")
    assert not _is_found(log)
    assert not full_counts or cases >= 8 * JOURNAL_BYTES


def _seal_one(log: WholeLog, number: int) -> None:
    """Receive a record and seal it; raises what the sealer raises."""
    log.receive("radius", b'{"event":"start","number":%d}' % number)


def _restart(log: WholeLog) -> None:
    """The process ends, which tries to publish once more, and is started again."""
    try:
        log.sealer.close()
    except (ArchiveError, OSError):
        pass
    log._open()
    log.turn()


def _flip(data: bytes, place: random.Random) -> bytes:
    bit = place.randrange(8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _flip_segment(sealer: Sealer, place: random.Random, patch: pytest.MonkeyPatch) -> None:
    """On the way to the disk, after the chunk was made."""
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        real(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(".seg"):
            start = getattr(sealer, "_flip_from", 0)
            stored = Path(path).read_bytes()
            with open(path, "r+b") as file:
                file.seek(start)
                file.write(_flip(stored[start:], place))

    segments = sealer._segments
    append = segments.append

    def note_start(stream: str, day: str, frame: bytes) -> object:
        path = max((segments._root / stream / day).glob("*.seg"), default=None)
        sealer._flip_from = path.stat().st_size if path else 0  # type: ignore[attr-defined]
        return append(stream, day, frame)

    patch.setattr(segments, "append", note_start)
    patch.setattr(os, "fdatasync", sync)


def _flip_file(sealer: Sealer, place: random.Random, patch: pytest.MonkeyPatch) -> None:
    """A tile or bundle on its way to the disk."""
    real, chosen = tree.replace_file, place.randrange(2)
    written: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        written.append(path)
        real(path, _flip(data, place) if len(written) == chosen + 1 else data)

    patch.setattr(tree, "replace_file", write)


def _flip_leaf(sealer: Sealer, place: random.Random, patch: pytest.MonkeyPatch) -> None:
    """A leaf in memory, between its hash and its bundle."""
    _flip_before_store(sealer, place, patch, lambda: sealer._tree._bundle)


def _flip_edge(sealer: Sealer, place: random.Random, patch: pytest.MonkeyPatch) -> None:
    """A hash of the tree's edge, which stays in memory for weeks."""
    _flip_before_store(sealer, place, patch, lambda: sealer._tree._edge[0])


def _flip_before_store(
    sealer: Sealer, place: random.Random, patch: pytest.MonkeyPatch, find: Callable[[], list[bytes]]
) -> None:
    store = sealer._tree.store

    def flip_and_store() -> None:
        held = find()
        if held:
            number = place.randrange(len(held))
            held[number] = _flip(held[number], place)
        else:
            # Just filled: it waits as a whole tile or bundle.
            name, data = sealer._tree._full[0]
            sealer._tree._full[0] = (name, _flip(data, place))
        store()

    patch.setattr(sealer._tree, "store", flip_and_store)


WAYS = {"segment": _flip_segment, "file": _flip_file, "leaf": _flip_leaf, "edge": _flip_edge}


@pytest.mark.parametrize("way", WAYS)
def test_a_bit_that_flips_on_its_way_is_never_sealed(way: str, tmp_path: Path, full_counts: bool) -> None:
    log = WholeLog(tmp_path)
    _seal_one(log, 0)
    place = random.Random(way)
    cases = (FULL_WRITES if full_counts else SAMPLE_WRITES) // len(WAYS)
    for number in range(1, cases + 1):
        before = log.paths.head.read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            WAYS[way](log.sealer, place, patch)
            with pytest.raises((ArchiveError, OSError)):
                _seal_one(log, number)
            assert log.paths.head.read_bytes() == before, f"{way}: flip {number} was signed"
        _restart(log)
        assert not _is_found(log)
    log.close()
    print(f"row 17: {cases} flips ({way})")
