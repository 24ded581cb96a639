"""Anchor leaves: one of our own heads with what a witness or a time stamp authority said of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive.errors import ArchiveError, ArchiveFormatError, ArchiveIntegrityError
from archive.verify.cosignature import WitnessKey, parse_witness_key, verify_cosignature
from archive.verify.note import (
    Checkpoint,
    VerifierKey,
    decode_base64,
    parse_checkpoint,
    parse_note,
    parse_signature_line,
    verify_note,
)
from archive.verify.report import Findings

if TYPE_CHECKING:
    from archive.timestamp.token import Authority

WITNESS, AUTHORITY = "witness", "timestamp_authority"


@dataclass(frozen=True)
class Trust:
    """Who is believed: verifier keys of witnesses as text, and time stamp authorities. Raises ArchiveFormatError for a
    key that is none when it is used.
    """

    witnesses: tuple[str, ...] = ()
    authorities: tuple["Authority", ...] = ()

    def witness_keys(self) -> list[WitnessKey]:
        return [parse_witness_key(text) for text in self.witnesses]


@dataclass(frozen=True)
class Anchor:
    """A head of `key`'s log that somebody saw at a time. `is_known` is whether who says so is trusted and the
    evidence was verified; `leaf` is the leaf that holds it, None when it was not in the log; `file` its place. What
    only our own signature stands for states no time.
    """

    by: str
    name: str
    key: VerifierKey
    size: int
    root: bytes
    unix_ns: int | None
    is_known: bool
    file: str
    leaf: int | None = None


class AnchorReader:
    """Checks what an anchor leaf says by itself: its head is signed by `key` alone and older than the leaf, the
    evidence is over just these bytes. Whether the head is one of this log, the tree says later.
    """

    def __init__(self, key: VerifierKey, trust: Trust | None, findings: Findings) -> None:
        self._key = key
        self._trusted = set(trust.witnesses) if trust else set()
        self._authorities = {authority.name: authority for authority in trust.authorities} if trust else {}
        self._findings = findings
        self._last: tuple[str, Checkpoint] | None = None

    def read(self, number: int, fields: dict[str, Any], file: str) -> Anchor | None:
        """The anchor of a leaf with well-formed fields; None, with a defect, when it is not what it claims."""
        try:
            checkpoint = self._open_checkpoint(fields["checkpoint"])
        except ArchiveError as error:
            self._findings.add_defect("anchor_checkpoint", file, detail=error, leaf=number)
            return None
        if checkpoint.size > number:
            detail = f"its head has {checkpoint.size} leaves"
            self._findings.add_defect("anchor_checkpoint", file, detail=detail, leaf=number)
            return None
        try:
            is_known = self._check_evidence(fields)
        except ArchiveError as error:
            detail = f"{fields['name']}: {error}"
            self._findings.add_defect("anchor_evidence", file, detail=detail, leaf=number)
            return None
        by, name, unix_ns = fields["by"], fields["name"], int(fields["unix_ns"])
        return Anchor(by, name, self._key, checkpoint.size, checkpoint.root, unix_ns, is_known, file, number)

    def _open_checkpoint(self, text: str) -> Checkpoint:
        """Several anchors in a row are often of one head, whose signature is then verified once."""
        if self._last is None or self._last[0] != text:
            data = text.encode("utf-8", "surrogatepass")
            if len(parse_note(data).signatures) != 1:
                raise ArchiveFormatError("it has more signatures than ours")
            self._last = text, open_checkpoint(data, (self._key,))[1]
        return self._last[1]

    def _check_evidence(self, fields: dict[str, Any]) -> bool:
        checkpoint = fields["checkpoint"].encode()
        if fields["by"] == WITNESS:
            key = parse_witness_key(fields["vkey"])
            if key.name != fields["name"]:
                raise ArchiveIntegrityError(f"its key is of {key.name}")
            line = parse_signature_line(fields["evidence"])
            unix_ns = verify_cosignature(parse_note(checkpoint).text, line, key)
            is_known = fields["vkey"] in self._trusted
        else:
            if fields["vkey"]:
                raise ArchiveFormatError("an authority has no verifier key")
            response = decode_base64(fields["evidence"])
            authority = self._authorities.get(fields["name"])
            if authority is None:
                return False
            unix_ns = verify_time_stamp(response, checkpoint, authority)
            is_known = True
        if unix_ns != int(fields["unix_ns"]):
            raise ArchiveIntegrityError("it states another time than the leaf")
        return is_known


def open_checkpoint(data: bytes, keys: tuple[VerifierKey, ...]) -> tuple[VerifierKey, Checkpoint]:
    """Which of `keys` signed the checkpoint, and the checkpoint. Raises ArchiveFormatError, ArchiveIntegrityError."""
    note = parse_note(data)
    checkpoint = parse_checkpoint(note)
    claimed = {(signature.name, signature.key_id) for signature in note.signatures}
    for key in keys:
        if checkpoint.origin == key.name and (key.name, key.key_id) in claimed:
            verify_note(note, key)
            return key, checkpoint
    raise ArchiveIntegrityError(f"it is of {checkpoint.origin} and not signed by a key of this log")


def verify_time_stamp(response: bytes, data: bytes, authority: "Authority") -> int:
    """Nanoseconds since 1970 at which `authority` stamped `data`. Raises ArchiveError. The module is loaded only where
    there is a time stamp: it brings a library of its own.
    """
    from archive.timestamp.token import verify_token

    return verify_token(response, data, authority).unix_ns
