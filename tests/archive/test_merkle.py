"""Roots and proofs of the writer's own tree code: public vectors, the public tessera log, and RFC 6962 itself."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveIntegrityError
from archive.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    perfect_root,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from archive.note import open_checkpoint, parse_verifier_key
from archive.tree import TreeWriter
from tests.archive.verify.corpus import require

INCLUSION_VECTORS = 98
CONSISTENCY_VECTORS = 98
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA_SIZE = 15
MAX_SIZE = 600
HASHES = [leaf_hash(number.to_bytes(2, "big")) for number in range(MAX_SIZE)]


def mth(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(mth(hashes[:split]), mth(hashes[split:]))


NODES: dict[tuple[int, int], bytes] = {}


def read_node(height: int, index: int) -> bytes:
    if (height, index) not in NODES:
        NODES[height, index] = perfect_root(HASHES[index << height : (index + 1) << height])
    return NODES[height, index]


def refused(*arguments: object, verify: Callable[..., None] = verify_inclusion) -> bool:
    try:
        verify(*arguments)
    except ArchiveIntegrityError:
        return True
    return False


def is_no_beginning(*arguments: object) -> bool:
    return refused(*arguments, verify=verify_consistency)


def test_all_public_inclusion_vectors() -> None:
    seen = 0
    for path in sorted((require("merkle") / "inclusion").rglob("*.json")):
        case = json.loads(path.read_bytes())
        root, leaf = (base64.b64decode(case[name]) for name in ("root", "leafHash"))
        proof = [base64.b64decode(value) for value in case["proof"] or []]
        assert refused(leaf, case["leafIdx"], case["treeSize"], proof, root) == case["wantErr"], path
        seen += 1
    assert seen == INCLUSION_VECTORS


def test_every_head_of_the_tessera_log_follows_from_its_entries(tmp_path) -> None:
    log = require("tlog") / "log"
    key = parse_verifier_key(TESSERA_KEY)
    bundle = (log / f"tile/entries/000.p/{TESSERA_SIZE}").read_bytes()
    entries = []
    while bundle:
        size = int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2 : 2 + size])
        bundle = bundle[2 + size :]
    assert len(entries) == TESSERA_SIZE
    writer = TreeWriter(tmp_path)
    for size in range(TESSERA_SIZE + 1):
        checkpoint = open_checkpoint((log / f"checkpoint.{size}").read_bytes(), key)
        assert (checkpoint.size, checkpoint.root) == (size, writer.root())
        if size:
            hashes = b"".join(leaf_hash(entry) for entry in entries[:size])
            tile = log / f"tile/0/000.p/{size}"
            assert not tile.exists() or tile.read_bytes() == hashes
        if size < TESSERA_SIZE:
            assert writer.append(entries[size]) == (size, leaf_hash(entries[size]))
    assert open_checkpoint((log / "checkpoint").read_bytes(), key).root == writer.root()


def test_every_root_up_to_600_leaves() -> None:
    for size in range(MAX_SIZE + 1):
        assert tree_root(size, read_node) == mth(HASHES[:size])


def test_inclusion_proofs_up_to_600_leaves_lead_to_the_root() -> None:
    for size in [*range(1, 70), *range(70, MAX_SIZE, 37), 255, 256, 257, 511, 512, 513, MAX_SIZE]:
        root = tree_root(size, read_node)
        for index in {0, 1, 2, size // 2, size - 2, size - 1} & set(range(size)):
            proof = inclusion_proof(index, size, read_node)
            verify_inclusion(HASHES[index], index, size, proof, root)
            for other in {index - 1, index + 1, size} - {index}:
                assert refused(HASHES[index], other, size, proof, root)
            assert refused(HASHES[index], index, size, [*proof, root], root)
            assert not proof or refused(HASHES[index], index, size, proof[:-1], root)
            assert not proof or refused(HASHES[index], index, size, [proof[0][::-1], *proof[1:]], root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_no_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(index, size, read_node)


@pytest.mark.parametrize("short", [b"", b"x" * 31, b"x" * 33])
def test_hashes_of_another_length_are_refused(short: bytes) -> None:
    assert refused(short, 0, 1, [], short)
    assert refused(HASHES[0], 0, 2, [short], node_hash(HASHES[0], short))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-2, 70), st.integers(-2, 70), st.lists(st.sampled_from(HASHES[:4]), max_size=9), st.sampled_from(HASHES)
)
def test_any_proof_is_accepted_or_refused_in_the_family(index: int, size: int, proof: list[bytes], root: bytes) -> None:
    accepted = not refused(HASHES[0], index, size, proof, root)
    assert accepted == ((index, size, proof, root) == (0, 1, [], HASHES[0]))


def test_all_public_consistency_vectors() -> None:
    seen = 0
    for path in sorted((require("merkle") / "consistency").rglob("*.json")):
        case = json.loads(path.read_bytes())
        root1, root2 = (base64.b64decode(case[name] or "") for name in ("root1", "root2"))
        proof = [base64.b64decode(value) for value in case["proof"] or []]
        assert is_no_beginning(case["size1"], root1, case["size2"], root2, proof) == case["wantErr"], path
        seen += 1
    assert seen == CONSISTENCY_VECTORS


def subproof(size: int, hashes: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2, word by word."""
    if size == len(hashes):
        return [] if whole else [mth(hashes)]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if size <= split:
        return [*subproof(size, hashes[:split], whole=whole), mth(hashes[split:])]
    return [*subproof(size - split, hashes[split:], whole=False), mth(hashes[:split])]


def test_consistency_proofs_of_all_sizes_up_to_40_are_those_of_rfc_6962_and_no_other_is_accepted() -> None:
    roots = [mth(HASHES[:size]) for size in range(41)]
    for new in range(1, 41):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, read_node)
            assert proof == subproof(old, HASHES[:new], whole=True)
            verify_consistency(old, roots[old], new, roots[new], proof)
            assert is_no_beginning(old, roots[old], new, roots[new], [*proof, roots[old]])
            assert is_no_beginning(old, roots[old - 1], new, roots[new], proof)
            assert is_no_beginning(old, roots[old], new, roots[new - 1], proof)
            assert not proof or is_no_beginning(old, roots[old], new, roots[new], proof[:-1])
            for place in range(len(proof)):
                changed = [*proof[:place], proof[place][::-1], *proof[place + 1 :]]
                assert is_no_beginning(old, roots[old], new, roots[new], changed)
            for other in {old - 1, old + 1} & set(range(1, new)):
                assert is_no_beginning(other, roots[old], new, roots[new], proof)


def test_no_proof_leads_from_the_empty_tree_to_another() -> None:
    root = tree_root(3, read_node)
    assert consistency_proof(0, 3, read_node) == []
    assert is_no_beginning(0, EMPTY_ROOT, 3, root, [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert is_no_beginning(0, root, 3, root, [])
    assert is_no_beginning(0, EMPTY_ROOT, 3, root, [root])
    assert is_no_beginning(0, root, 0, root, [])
    assert is_no_beginning(0, EMPTY_ROOT, 0, root, [])


@pytest.mark.parametrize("short", [b"", b"x" * 31, b"x" * 33])
def test_consistency_with_hashes_of_another_length_is_refused(short: bytes) -> None:
    assert is_no_beginning(1, HASHES[0], 2, node_hash(HASHES[0], short), [short])
    assert is_no_beginning(0, EMPTY_ROOT, 1, short, [])


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_no_consistency_proof_from_a_larger_tree(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="not the beginning"):
        consistency_proof(old, new, read_node)
    assert is_no_beginning(old, HASHES[0], new, HASHES[0], [])
