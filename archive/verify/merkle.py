"""The tree of RFC 6962 section 2.1 and its proofs (RFC 9162 sections 2.1.3 and 2.1.4), verified strictly.
Pure.
"""

import hashlib
import hmac
from collections.abc import Sequence

from archive.errors import ArchiveIntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256


def hash_leaf(leaf: bytes) -> bytes:
    return _sha256(b"\x00" + leaf).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


def compute_root(hashes: Sequence[bytes]) -> bytes:
    """Root over node hashes of one level, of which only the last may be an incomplete subtree's.

    A lone right node is carried up, never doubled.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[0::2], level[1::2], strict=False)
        level = [_sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Leaf `index` of the tree of `size` leaves with `root` has `leaf_hash` (RFC 9162 section 2.1.3.2).

    Raises ArchiveIntegrityError otherwise, also for hashes that are not 32 bytes long.
    """
    _require_hashes([leaf_hash, root, *proof])
    if not 0 <= index < size:
        raise ArchiveIntegrityError("leaf index is not inside the tree", code="inclusion_proof")
    node, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise ArchiveIntegrityError("inclusion proof is too long", code="inclusion_proof")
        if node & 1 or node == last:
            computed = hash_node(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = hash_node(computed, sibling)
        node >>= 1
        last >>= 1
    if last or not hmac.compare_digest(computed, root):
        raise ArchiveIntegrityError("inclusion proof does not lead to the root", code="inclusion_proof")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """The tree of `size1` leaves is the beginning of that of `size2` (RFC 9162 section 2.1.4.2).

    Trees of one size have one root and an empty proof, the empty tree's root being that of no leaves. From
    the empty tree to another there is no proof: it would prove nothing. Hashes are 32 bytes wherever any is
    computed. Raises ArchiveIntegrityError.
    """
    if size1 == size2 and not proof:
        if root1 != root2 or size1 < 0 or (size1 == 0 and root1 != EMPTY_ROOT):
            raise ArchiveIntegrityError("trees of one size have different roots", code="consistency_proof")
        return
    _require_hashes([root1, root2, *proof])
    if not 0 < size1 < size2:
        raise ArchiveIntegrityError("no proof can lead from one size to the other", code="consistency_proof")
    hashes = list(proof)
    if size1 & (size1 - 1) == 0:
        hashes.insert(0, root1)
    if not hashes:
        raise ArchiveIntegrityError("consistency proof is empty", code="consistency_proof")
    node, last = size1 - 1, size2 - 1
    while node & 1:
        node >>= 1
        last >>= 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ArchiveIntegrityError("consistency proof is too long", code="consistency_proof")
        if node & 1 or node == last:
            older, newer = hash_node(sibling, older), hash_node(sibling, newer)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            newer = hash_node(newer, sibling)
        node >>= 1
        last >>= 1
    if last or not hmac.compare_digest(older, root1) or not hmac.compare_digest(newer, root2):
        raise ArchiveIntegrityError("consistency proof does not lead to the roots", code="consistency_proof")


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ArchiveIntegrityError("a hash is not 32 bytes long", code="hash_length")
