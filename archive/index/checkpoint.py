"""The checkpoint that the log has published."""

from archive.note import Checkpoint, VerifierKey, open_checkpoint, parse_verifier_key
from archive.origin import ArchivePaths


def read_checkpoint(paths: ArchivePaths) -> Checkpoint:
    """The published checkpoint, its signature verified."""
    return read_checkpoint_note(paths)[1]


def read_checkpoint_note(paths: ArchivePaths) -> tuple[bytes, Checkpoint]:
    """The published checkpoint as bytes and as what they say, its signature verified."""
    note = (paths.log / "checkpoint").read_bytes()
    return note, open_checkpoint(note, read_log_key(paths))


def read_log_key(paths: ArchivePaths) -> VerifierKey:
    """The log's verifier key, as its file has it. Raises OSError, ArchiveFormatError."""
    return parse_verifier_key((paths.log / "key.vkey").read_text(encoding="utf-8").strip())
