"""Roots and proofs against the public vectors (transparency-dev/merkle) and the definition in RFC 6962."""

import base64
import hashlib
import json

import pytest

from archive.errors import ArchiveIntegrityError
from archive.verify.merkle import (
    EMPTY_ROOT,
    compute_root,
    hash_leaf,
    hash_node,
    verify_consistency,
    verify_inclusion,
)
from tests.archive.verify.corpus import require
from tests.archive.verify.hand_made_log import root_of

VECTORS_OF_A_KIND = 98


def decode(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


def refused(call: object, *arguments: object) -> bool:
    try:
        call(*arguments)  # type: ignore[operator]
    except ArchiveIntegrityError:
        return True
    return False


def test_all_public_inclusion_vectors() -> None:
    seen = 0
    for path in sorted((require("merkle") / "inclusion").rglob("*.json")):
        case = json.loads(path.read_bytes())
        root, leaf_hash = decode([case["root"], case["leafHash"]])
        answer = refused(verify_inclusion, leaf_hash, case["leafIdx"], case["treeSize"], decode(case["proof"]), root)
        assert answer == case["wantErr"], path
        seen += 1
    assert seen == VECTORS_OF_A_KIND


def test_all_public_consistency_vectors() -> None:
    seen = 0
    for path in sorted((require("merkle") / "consistency").rglob("*.json")):
        case = json.loads(path.read_bytes())
        root1, root2 = decode([case["root1"], case["root2"]])
        answer = refused(verify_consistency, case["size1"], case["size2"], decode(case["proof"]), root1, root2)
        assert answer == case["wantErr"], path
        seen += 1
    assert seen == VECTORS_OF_A_KIND


def inclusion_proof(hashes: list[bytes], index: int) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 section 2.1.1."""
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if index < split:
        return [*inclusion_proof(hashes[:split], index), root_of(hashes[split:])]
    return [*inclusion_proof(hashes[split:], index - split), root_of(hashes[:split])]


def consistency_proof(hashes: list[bytes], size: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2."""
    if size == len(hashes):
        return [] if whole else [root_of(hashes)]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if size <= split:
        return [*consistency_proof(hashes[:split], size, whole=whole), root_of(hashes[split:])]
    return [*consistency_proof(hashes[split:], size - split, whole=False), root_of(hashes[:split])]


HASHES = [hash_leaf(bytes([number])) for number in range(70)]


@pytest.mark.parametrize("size", range(71))
def test_roots_follow_the_definition(size: int) -> None:
    assert compute_root(HASHES[:size]) == root_of(HASHES[:size])


def test_root_of_subtrees_is_the_root_of_their_leaves() -> None:
    for size in range(1, 71):
        subtrees = [compute_root(HASHES[start : min(start + 8, size)]) for start in range(0, size, 8)]
        assert compute_root(subtrees) == root_of(HASHES[:size])


def test_every_inclusion_proof_up_to_40_leaves_and_no_other() -> None:
    for size in range(1, 41):
        root = root_of(HASHES[:size])
        for index in range(size):
            proof = inclusion_proof(HASHES[:size], index)
            verify_inclusion(HASHES[index], index, size, proof, root)
            for bad in (proof[:-1], [*proof, HASHES[0]], [hash_node(p, p) for p in proof]):
                assert bad == proof or refused(verify_inclusion, HASHES[index], index, size, bad, root)
            for other in {index - 1, index + 1, index ^ 1, size} - {index}:
                assert refused(verify_inclusion, HASHES[index], other, size, proof, root)


def test_every_consistency_proof_up_to_30_leaves_and_no_other() -> None:
    for size2 in range(1, 31):
        root2 = root_of(HASHES[:size2])
        for size1 in range(1, size2 + 1):
            root1 = root_of(HASHES[:size1])
            proof = consistency_proof(HASHES[:size2], size1)
            verify_consistency(size1, size2, proof, root1, root2)
            assert refused(verify_consistency, size1, size2, [*proof, root1], root1, root2)
            assert refused(verify_consistency, size1, size2, proof, HASHES[0][::-1], root2)
            assert not proof or refused(verify_consistency, size1, size2, proof[:-1], root1, root2)


def test_empty_tree_is_its_own_beginning_and_proves_nothing_more() -> None:
    assert hashlib.sha256().digest() == EMPTY_ROOT
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert refused(verify_consistency, 0, 3, [], EMPTY_ROOT, root_of(HASHES[:3]))
    assert refused(verify_consistency, 0, 0, [], HASHES[0], HASHES[0])
    assert refused(verify_inclusion, HASHES[0], 0, 0, [], HASHES[0])


@pytest.mark.parametrize("short", [b"", b"x" * 31, b"x" * 33])
def test_hashes_of_another_length_are_refused(short: bytes) -> None:
    good = HASHES[0]
    assert refused(verify_inclusion, short, 0, 1, [], short)
    assert refused(verify_inclusion, good, 0, 2, [short], hash_node(good, short))
    assert refused(verify_consistency, 0, 0, [], short, short)
    assert refused(verify_consistency, 2, 3, [good], short, short)
    assert refused(verify_consistency, 1, 2, [short], good, hash_node(good, short))
