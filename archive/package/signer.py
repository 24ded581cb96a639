"""Signing a package in the sealer process: only what a sealed record of the audit stream approves."""

import base64
import hashlib
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from archive.chunk import decode_chunk
from archive.clock import Clock
from archive.errors import AskError
from archive.event_record import decode_event
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.keys import LogKeys
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.package.verify_package import make_cms, make_signed_attributes
from archive.segment import read_stored_chunk
from archive.time_text import format_utc_time
from archive.tree import TreeReader

MAX_TAG_MANIFEST_BYTES = 64 * 1024
"""A tag manifest lists five files; anything longer is not one."""
READ_ATTEMPTS = 5
"""A newer head may remove the partial tile being read; then the newer head is used."""
APPROVAL_EVENT = "package_approved"


def sign_package(paths: ArchivePaths, keys: LogKeys, clock: Clock, arguments: dict[str, Any]) -> dict[str, str]:
    """A detached CMS signature over the tag manifest in `arguments`.

    Raises AskError `not_approved` unless the named record is sealed, in the audit stream, and approves exactly these
    bytes.
    """
    try:
        tag_manifest = base64.b64decode(str(arguments.get("tag_manifest_base64", "")), validate=True)
    except ValueError as error:
        raise AskError("this is not base64", code="bad_request") from error
    if not 0 < len(tag_manifest) <= MAX_TAG_MANIFEST_BYTES:
        raise AskError("this is not a tag manifest", code="not_approved")
    digest = hashlib.sha256(tag_manifest).hexdigest()
    leaf_index, row = arguments.get("approval_leaf_index"), arguments.get("approval_row")
    if type(leaf_index) is not int or type(row) is not int:
        raise AskError("approval_leaf_index and approval_row are whole numbers", code="bad_request")
    approval = _read_approval(paths, leaf_index, row)
    question = approval.get("question")
    approved = question.get("tag_manifest_sha256") if isinstance(question, dict) else None
    if approval.get("event") != APPROVAL_EVENT or approved != digest:
        raise AskError("the sealed record does not approve this package", code="not_approved")
    attributes = make_signed_attributes(tag_manifest, format_utc_time(clock.unix_ns()))
    value = keys.package.sign(_as_set(attributes), ec.ECDSA(hashes.SHA256()))
    return {"signature_base64": base64.b64encode(make_cms(keys.certificate, attributes, value)).decode()}


def _as_set(attributes: bytes) -> bytes:
    """RFC 5652 5.4: what is signed is the DER of a SET OF, not of the implicit [0] that is stored."""
    length = len(attributes)
    size = (
        bytes([length])
        if length < 0x80
        else bytes([0x81, length])
        if length < 0x100
        else b"\x82" + length.to_bytes(2, "big")
    )
    return b"\x31" + size + attributes


def _read_leaf(paths: ArchivePaths, leaf_index: int) -> dict[str, Any]:
    for _ in range(READ_ATTEMPTS):
        checkpoint = read_checkpoint(paths)
        if not 0 <= leaf_index < checkpoint.size:
            raise AskError("the approval is not sealed yet", code="not_approved")
        with suppress(FileNotFoundError):
            return decode_leaf(TreeReader(paths.log, checkpoint.size).leaf(leaf_index))
    raise AskError("the log changes too fast to be read", code="busy")


def _read_approval(paths: ArchivePaths, leaf_index: int, row: int) -> dict[str, Any]:
    leaf = _read_leaf(paths, leaf_index)
    if leaf.get("stream") != "audit" or "segment" not in leaf:
        raise AskError("the approval is no audit record", code="not_approved")
    table = decode_chunk(read_stored_chunk(paths.segments, stored_chunk(leaf)))
    if not 0 <= row < table.num_rows or table.column("listener")[row].as_py() != "audit":
        raise AskError("the approval is no audit record", code="not_approved")
    return decode_event(table.column("payload")[row].as_py())
