"""Evidence from outside the leaves: checkpoints and time stamps that were given, and our own copies in DIR/anchors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.errors import ArchiveError, ArchiveFormatError, ArchiveIntegrityError
from archive.verify.anchors import AUTHORITY, WITNESS, Anchor, Trust, open_checkpoint, verify_time_stamp
from archive.verify.cosignature import find_cosignatures, verify_cosignature
from archive.verify.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note
from archive.verify.report import Report

GIVEN, RETAINED = "given", "retained"
"""`by` of a checkpoint that nobody but us signed: brought by who verifies, or kept in DIR/anchors."""
GIVEN_FILE = "log/key.vkey"
RETAINED_NAME = re.compile(r"(0|[1-9][0-9]{0,15})\.checkpoint")


@dataclass(frozen=True)
class Given:
    """What who verifies has brought: signed notes, and time stamp responses over them."""

    checkpoints: Sequence[bytes] = ()
    tokens: Sequence[bytes] = ()


def read_retained(directory: Path) -> dict[str, bytes]:
    """The checkpoints in DIR/anchors by file name. To be read before the head, which is then never older."""
    found = {}
    for path in sorted((directory / "anchors").glob("*.checkpoint")):
        try:
            found[path.name] = path.read_bytes()
        except FileNotFoundError:
            continue
    return found


class EvidenceReader:
    """Opens evidence with the keys of this archive's logs, the newest log's first, and those of `trust`."""

    def __init__(self, keys: tuple[VerifierKey, ...], trust: Trust | None, report: Report) -> None:
        self._keys = keys
        self._witnesses = trust.witness_keys() if trust else []
        self._authorities = trust.authorities if trust else ()
        self._report = report

    def read_given(self, data: bytes) -> list[Anchor]:
        """A given note: itself, and the cosignatures of trusted witnesses. Raises ArchiveFormatError when it is none at
        all; that is not the archive's fault.
        """
        parse_checkpoint(parse_note(data))
        try:
            key, checkpoint = open_checkpoint(data, self._keys)
        except ArchiveIntegrityError as error:
            self._report.add_defect("anchor_foreign", GIVEN_FILE, detail=error)
            return []
        own = Anchor(GIVEN, "", key, checkpoint.size, checkpoint.root, None, True, self._report.head_file)
        return [own, *self._read_cosignatures(data, key, checkpoint, self._report.head_file)]

    def read_retained(self, name: str, data: bytes) -> list[Anchor]:
        """A file of DIR/anchors."""
        file = f"anchors/{name}"
        try:
            key, checkpoint = open_checkpoint(data, self._keys)
            match = RETAINED_NAME.fullmatch(name)
            if match is None or int(match[1]) != checkpoint.size:
                raise ArchiveFormatError(f"it has {checkpoint.size} leaves")
        except ArchiveError as error:
            self._report.add_defect("retained_damaged", file, detail=error)
            return []
        own = Anchor(RETAINED, "", key, checkpoint.size, checkpoint.root, None, False, file)
        return [own, *self._read_cosignatures(data, key, checkpoint, file)]

    def read_token(self, response: bytes, notes: Sequence[bytes]) -> Anchor | None:
        """A time stamp over one of `notes`, or over one without the signatures of others."""
        if not self._authorities:
            self._report.add_statement("token_not_checked")
            return None
        reason: ArchiveError | None = None
        for data in notes:
            for stamped in dict.fromkeys((data, self._strip(data))):
                for authority in self._authorities:
                    try:
                        unix_ns = verify_time_stamp(response, stamped, authority)
                        key, checkpoint = open_checkpoint(stamped, self._keys)
                    except ArchiveError as error:
                        reason = error
                        continue
                    size, root, file = checkpoint.size, checkpoint.root, self._report.head_file
                    return Anchor(AUTHORITY, authority.name, key, size, root, unix_ns, True, file)
        self._report.add_defect("token_wrong", GIVEN_FILE, detail=reason or "there is no checkpoint it could be over")
        return None

    def _strip(self, data: bytes) -> bytes:
        """The note with the signature lines of our keys alone."""
        names = {f"\u2014 {key.name} ".encode() for key in self._keys}
        text, separator, rest = data.rpartition(b"\n\n")
        lines = rest.splitlines(keepends=True)
        return text + separator + b"".join(line for line in lines if any(line.startswith(name) for name in names))

    def _read_cosignatures(self, data: bytes, key: VerifierKey, checkpoint: Checkpoint, file: str) -> list[Anchor]:
        note = parse_note(data)
        found = []
        for witness in self._witnesses:
            for line in find_cosignatures(note, witness):
                try:
                    unix_ns = verify_cosignature(note.text, line, witness)
                except ArchiveIntegrityError as error:
                    detail = f"{witness.name}: {error}"
                    self._report.add_defect("cosignature_wrong", file, detail=detail)
                    continue
                root = checkpoint.root
                found.append(Anchor(WITNESS, witness.name, key, checkpoint.size, root, unix_ns, True, file))
        return found
