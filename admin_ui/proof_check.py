"""A proof checked again here, from the leaf's bytes to the root in the checkpoint (RFC 9162 section 2.1.3.2). Pure.

Shares no code with the archive that made the proof. The checkpoint's signature is checked by the archive, whose
key this room does not read; `phayan verify` checks it with everything stopped.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

_NODE, _LEAF = b"\x01", b"\x00"


@dataclass(frozen=True)
class ProofCheck:
    """What was found. `steps` is the length of the path, `size` the number of leaves the checkpoint covers."""

    holds: bool
    leaf_hash: str
    root: str
    size: int
    steps: int


def check_proof(proof: dict[str, Any]) -> ProofCheck:
    """Recompute the root. A proof that cannot be read does not hold; nothing is raised."""
    try:
        index = int(proof["leaf_index"])
        lines = str(proof["checkpoint"]).split("\n")
        size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
        path = [base64.b64decode(value, validate=True) for value in proof["proof"]]
        leaf = hashlib.sha256(_LEAF + str(proof["leaf"]).encode()).digest()
    except (KeyError, IndexError, ValueError, TypeError, binascii.Error):
        return ProofCheck(False, "", "", 0, 0)
    holds = 0 <= index < size and _root_of(leaf, index, size, path) == root
    return ProofCheck(holds, leaf.hex(), root.hex(), size, len(path))


def _root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    node, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            value = hashlib.sha256(_NODE + sibling + value).digest()
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            value = hashlib.sha256(_NODE + value + sibling).digest()
        node >>= 1
        last >>= 1
    return value if last == 0 else None
