"""RFC 6962 section 2.1: hashes, roots and proofs of the log's tree. Pure."""

import hashlib
from collections.abc import Callable, Sequence

from archive.errors import ArchiveIntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""`(height, index)` -> hash of the perfect subtree over leaves [index * 2^height, (index + 1) * 2^height)."""


def leaf_hash(leaf: bytes) -> bytes:
    """H(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a power of two of equally high subtrees."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def subtree_root(start: int, end: int, read_node: NodeReader) -> bytes:
    """Root over leaves [start, end), where `start` is aligned as RFC 6962's recursion leaves it."""
    size = end - start
    if size & (size - 1) == 0:
        height = size.bit_length() - 1
        return read_node(height, start >> height)
    split = 1 << ((size - 1).bit_length() - 1)
    return node_hash(subtree_root(start, start + split, read_node), subtree_root(start + split, end, read_node))


def tree_root(size: int, read_node: NodeReader) -> bytes:
    """Root of the tree of `size` leaves."""
    return subtree_root(0, size, read_node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read_node: NodeReader) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1, leaf to root."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = 1 << ((end - start - 1).bit_length() - 1)
        if index < start + split:
            path.append(subtree_root(start + split, end, read_node))
            end = start + split
        else:
            path.append(subtree_root(start, start + split, read_node))
            start += split
    return path[::-1]


def consistency_proof(old: int, new: int, read_node: NodeReader) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2. Empty from size 0, of which there is nothing to prove."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    path: list[bytes] = []
    start, end = 0, new
    while 0 < old < end:
        split = 1 << ((end - start - 1).bit_length() - 1)
        if old <= start + split:
            path.append(subtree_root(start + split, end, read_node))
            end = start + split
        else:
            path.append(subtree_root(start, start + split, read_node))
            start += split
    if start:
        path.append(subtree_root(start, end, read_node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the leaf hash `leaf` is at `index` under `root`; else raise ArchiveIntegrityError (RFC 9162
    2.1.3.2)."""
    if any(len(value) != HASH_BYTES for value in (leaf, root, *proof)) or not 0 <= index < size:
        raise ArchiveIntegrityError("inclusion proof with a hash or index out of range")
    node, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ArchiveIntegrityError("inclusion proof is too long")
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    if last != 0 or current != root:
        raise ArchiveIntegrityError("inclusion proof does not lead to the root")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree of `old_size` leaves is the beginning of that of `new_size`; else raise
    ArchiveIntegrityError (RFC 9162 2.1.4.2).

    Trees of one size have one root and an empty proof. From size 0 to another there is no proof: it would prove
    nothing, and who asks for none (C2SP tlog-witness) has nothing to verify.
    """
    if not 0 <= old_size <= new_size:
        raise ArchiveIntegrityError("consistency proof with a size out of range")
    if old_size == new_size:
        # Roots of one size are compared and nothing else: their length is what the checkpoint's parser let through.
        _require_no_proof_needed(old_size, old_root, new_root, proof)
        return
    if old_size == 0:
        raise ArchiveIntegrityError("no proof leads from the empty tree to another")
    if any(len(value) != HASH_BYTES for value in (old_root, new_root, *proof)):
        raise ArchiveIntegrityError("consistency proof with a hash of another length")
    hashes = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if len(hashes) < 2:
        raise ArchiveIntegrityError("consistency proof is too short")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ArchiveIntegrityError("consistency proof is too long")
        if node & 1 or node == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, sibling)
        node >>= 1
        last >>= 1
    if last != 0 or older != old_root or newer != new_root:
        raise ArchiveIntegrityError("consistency proof does not lead to the roots")


def _require_no_proof_needed(size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ArchiveIntegrityError("consistency proof where none is needed")
    if old_root != new_root:
        raise ArchiveIntegrityError("trees of one size have different roots")
    if size == 0 and old_root != EMPTY_ROOT:
        raise ArchiveIntegrityError("the empty tree has another root")
