"""A log of 64 chunks made by hand, whose key the test has, to be taken apart and put together again."""

import hashlib
import json
import shutil
from pathlib import Path

import rfc8785

from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog

CHUNKS = 64


def make_chunk_log(directory: Path) -> HandMadeLog:
    """The key and 64 chunks of one stream in one segment, 64 bytes each."""
    log = HandMadeLog(directory)
    for number in range(CHUNKS):
        log.append_data("collector", b"%04d" % number + log.random.randbytes(60))
    return log.publish()


def verify(log: HandMadeLog, *checkpoints: bytes, **options: object) -> Report:
    return verify_archive(log.directory, log.head_path, checkpoints=checkpoints, **options)  # type: ignore[arg-type]


def codes(report: Report) -> set[str]:
    return {defect.code for defect in report.defects}


def copy_of(of: HandMadeLog, directory: Path) -> HandMadeLog:
    shutil.copytree(of.directory, directory / "data")
    shutil.copy(of.head_path, directory / "data.head")
    copy = HandMadeLog(directory / "data", of.seed)
    copy.leaves, copy._last, copy._ends = list(of.leaves), dict(of._last), dict(of._ends)
    copy.now_unix_ns = of.now_unix_ns
    return copy


def segment_of(log: HandMadeLog) -> Path:
    return next((log.log / "segments" / "collector").rglob("*.seg"))


def rechained(leaves: list[bytes], first: int, shift: int) -> list[bytes]:
    """Leaves of one stream from `first` on made to fit what is before them: number, place and previous leaf."""
    found = list(leaves)
    for number in range(first, len(found)):
        fields = json.loads(found[number])
        if fields.get("previous") is not None or number > 1:
            digest = hashlib.sha256(b"\x00" + found[number - 1]).hexdigest()
            fields["previous"] = {"leaf": number - 1, "hash": digest} if number > 1 else None
        if number > first:
            fields["spool_sequence"] += bool(shift)
            fields["offset"] += shift
        found[number] = rfc8785.dumps(fields)
    return found
