"""The tree on disk at every size: roots, tiles, proofs, restarts."""

from pathlib import Path

import pytest

from archive.errors import ArchiveFormatError, ArchiveStateError
from archive.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, node_hash, tree_root, verify_inclusion
from archive.tile_layout import MAX_LEAF_BYTES, bundle_path, decode_bundle, encode_bundle, tile_path
from archive.tree import TreeReader, TreeWriter

LAST = 600
EDGES = (1, 2, 3, 255, 256, 257, 511, 512, 513, LAST)
LEAVES = [f"leaf {number}".encode() for number in range(LAST)]


class Peaks:
    """Roots by RFC 6962, one leaf at a time, from the perfect subtrees at the right edge."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def append(self, digest: bytes) -> None:
        height = 0
        while self._peaks and self._peaks[-1][0] == height:
            digest = node_hash(self._peaks.pop()[1], digest)
            height += 1
        self._peaks.append((height, digest))

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


@pytest.fixture(scope="module")
def roots() -> list[bytes]:
    peaks = Peaks()
    found = [peaks.root()]
    for leaf in LEAVES:
        peaks.append(leaf_hash(leaf))
        found.append(peaks.root())
    return found


@pytest.fixture(autouse=True)
def without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is tested elsewhere; here 600 sizes are stored."""
    monkeypatch.setattr("os.fsync", lambda _: None)


def test_the_root_of_every_size_in_memory(tmp_path: Path, roots: list[bytes]) -> None:
    writer = TreeWriter(tmp_path)
    assert writer.root() == roots[0]
    for number, leaf in enumerate(LEAVES):
        assert writer.append(leaf) == (number, leaf_hash(leaf))
        assert writer.root() == roots[number + 1]


def test_every_size_on_disk_is_read_back(tmp_path: Path, roots: list[bytes]) -> None:
    writer = TreeWriter(tmp_path)
    for number, leaf in enumerate(LEAVES):
        writer.append(leaf)
        writer.store()
        size = number + 1
        reader = TreeReader(tmp_path, size)
        assert tree_root(size, reader.node) == roots[size]
        for index in {0, size // 2, size - 1}:
            assert reader.leaf(index) == LEAVES[index]
            proof = inclusion_proof(index, size, reader.node)
            verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, roots[size])
        if size in EDGES:
            assert TreeWriter.load(tmp_path, size).root() == roots[size]
        writer.remove_stale_partials()
    partial = [p for p in (tmp_path / "tile").rglob("*.p/*") if p.is_file()]
    assert sorted(str(p.relative_to(tmp_path)) for p in partial) == sorted(
        [tile_path(0, 2, 88), tile_path(1, 0, 2), bundle_path(2, 88)]
    )


def test_the_tiles_of_the_head_before_stay_until_the_new_one_is_published(tmp_path: Path, roots: list[bytes]) -> None:
    writer = TreeWriter(tmp_path)
    for leaf in LEAVES[:250]:
        writer.append(leaf)
    writer.store()
    for leaf in LEAVES[250:260]:
        writer.append(leaf)
    writer.store()
    for size in (250, 260):
        assert tree_root(size, TreeReader(tmp_path, size).node) == roots[size]
    writer.remove_stale_partials()
    assert tree_root(260, TreeReader(tmp_path, 260).node) == roots[260]
    with pytest.raises(FileNotFoundError):
        TreeReader(tmp_path, 250).leaf(0)


def test_a_tree_grows_over_restarts_and_store_at_any_size(tmp_path: Path, roots: list[bytes]) -> None:
    size = 0
    writer = TreeWriter(tmp_path)
    for step in (1, 7, 247, 1, 1, 254, 2, 87):
        for leaf in LEAVES[size : size + step]:
            writer.append(leaf)
        size += step
        writer.store()
        writer = TreeWriter.load(tmp_path, size)
        writer.remove_foreign_partials()
        assert writer.root() == roots[size]
        assert [TreeReader(tmp_path, size).leaf(i) for i in range(size)] == LEAVES[:size]
    assert size == LAST


@pytest.mark.parametrize("missing", [tile_path(0, 1, 44), tile_path(1, 0, 1), bundle_path(1, 44)])
def test_a_missing_edge_is_refused(tmp_path: Path, missing: str) -> None:
    writer = TreeWriter(tmp_path)
    for leaf in LEAVES[:300]:
        writer.append(leaf)
    writer.store()
    (tmp_path / missing).unlink()
    with pytest.raises(ArchiveStateError):
        TreeWriter.load(tmp_path, 300)


def test_leaves_of_every_length_fit_a_bundle() -> None:
    leaves = [b"", b"x", b"y" * MAX_LEAF_BYTES]
    assert decode_bundle(encode_bundle(leaves)) == leaves


def test_a_leaf_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFormatError):
        TreeWriter(tmp_path).append(b"x" * (MAX_LEAF_BYTES + 1))


def test_every_changed_or_missing_byte_of_a_bundle_is_found() -> None:
    stored = encode_bundle(LEAVES[:9])
    for position in range(len(stored)):
        changed = bytearray(stored)
        changed[position] ^= 1
        for bad in (bytes(changed), stored[:position]):
            with pytest.raises(ArchiveFormatError):
                decode_bundle(bad)


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067"), (10**9, "x001/x000/x000/000")],
)
def test_paths_follow_tlog_tiles(number: int, path: str) -> None:
    assert tile_path(0, number) == f"tile/0/{path}"
    assert tile_path(5, number, 7) == f"tile/5/{path}.p/7"
    assert bundle_path(number, 255) == f"tile/entries/{path}.p/255.zst"
