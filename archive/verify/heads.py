"""Origin, key, signed head and checkpoint: which tree is to be verified, and who signed it."""

from dataclasses import dataclass
from pathlib import Path

from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.verify.note import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    verify_note,
)
from archive.verify.report import Report

ORIGIN_FILE, KEY_FILE, CHECKPOINT_FILE = "log/origin", "log/key.vkey", "log/checkpoint"


@dataclass(frozen=True)
class Heads:
    """`head` is None when its file is unusable; then the tree of `checkpoint` is verified instead."""

    head: Checkpoint | None
    head_bytes: bytes | None
    checkpoint: Checkpoint | None

    @property
    def tree(self) -> Checkpoint | None:
        return self.head or self.checkpoint


def read_key(directory: Path, report: Report) -> tuple[VerifierKey | None, str | None]:
    """The log's key and its text, which leaf 0 must repeat; defects of both files go to `report`."""
    key, text = None, None
    try:
        text = _read_line(directory / KEY_FILE)
        key = parse_verifier_key(text)
    except FileNotFoundError:
        report.add_defect("key_damaged", KEY_FILE, detail="the file is missing")
    except ArchiveFormatError as error:
        report.add_defect("key_damaged", KEY_FILE, detail=error)
        text = None
    try:
        origin = _read_line(directory / ORIGIN_FILE)
        if key is not None and origin != key.name:
            report.add_defect("origin_damaged", ORIGIN_FILE, detail=f"the key is of {key.name}")
    except FileNotFoundError:
        report.add_defect("origin_damaged", ORIGIN_FILE, detail="the file is missing")
    except ArchiveFormatError as error:
        report.add_defect("origin_damaged", ORIGIN_FILE, detail=error)
    return key, text


def _read_line(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveFormatError("not UTF-8") from error
    return text.removesuffix("\n")


def read_heads(directory: Path, head_path: Path, key: VerifierKey | None, report: Report) -> Heads:
    """The head first, because it is written first: a checkpoint newer than it can then only mean tampering,
    unless the sealer published in between, which a second look at the head shows.
    """
    head_name = report.head_file
    head_bytes = _read_bytes(head_path)
    checkpoint_bytes = _read_bytes(directory / CHECKPOINT_FILE)
    checkpoint = _check_note("checkpoint", CHECKPOINT_FILE, checkpoint_bytes, key, report)
    if checkpoint is not None and (seen := _size_of(head_bytes)) is not None and seen < checkpoint.size:
        head_bytes = _read_bytes(head_path)
    head = _check_note("head", head_name, head_bytes, key, report)
    if head is not None and checkpoint is not None and checkpoint.size > head.size:
        report.add_defect("checkpoint_ahead", head_name, detail=checkpoint.size)
        checkpoint = None
    return Heads(head, head_bytes, checkpoint)


def _check_note(what: str, file: str, data: bytes | None, key: VerifierKey | None, report: Report) -> Checkpoint | None:
    if data is None:
        report.add_defect(f"{what}_missing", file)
        return None
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note)
        if key is not None and checkpoint.origin != key.name:
            raise ArchiveIntegrityError(f"it is of {checkpoint.origin}")
        if key is not None:
            verify_note(note, key)
    except ArchiveFormatError as error:
        report.add_defect(f"{what}_damaged", file, detail=error)
        return None
    except ArchiveIntegrityError as error:
        report.add_defect(f"{what}_signature", file, detail=error)
        return None
    return checkpoint


def _size_of(data: bytes | None) -> int | None:
    try:
        return None if data is None else parse_checkpoint(parse_note(data)).size
    except ArchiveFormatError:
        return None


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
