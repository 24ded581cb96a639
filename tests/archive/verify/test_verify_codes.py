"""The code that each simple damage of a file gets, and the file it blames."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog, put


def stranger(log: HandMadeLog) -> HandMadeLog:
    other = HandMadeLog(log.directory.with_name("stranger"), seed=99)
    other.leaves = log.leaves
    return other


def dispute(log: HandMadeLog) -> None:
    """A bundle and its tile that disagree, and the hash above is of neither."""
    for file, place in (("tile/0/000", 5), ("tile/1/000.p/2", 5)):
        path = log.log / file
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)


Damage = Callable[[HandMadeLog], object]
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "no origin": (lambda a: (a.log / "origin").unlink(), "origin_damaged", "log/origin"),
    "another origin": (lambda a: put(a.log / "origin", b"x\n"), "origin_damaged", "log/origin"),
    "no key": (lambda a: (a.log / "key.vkey").unlink(), "key_damaged", "log/key.vkey"),
    "key is none": (lambda a: put(a.log / "key.vkey", b"x\n"), "key_damaged", "log/key.vkey"),
    "no head": (lambda a: a.head_path.unlink(), "head_missing", "data.head"),
    "head is none": (lambda a: put(a.head_path, b"x"), "head_damaged", "data.head"),
    "head of another": (lambda a: put(a.head_path, stranger(a).checkpoint(700)), "head_signature", "data.head"),
    "no checkpoint": (lambda a: (a.log / "checkpoint").unlink(), "checkpoint_missing", "log/checkpoint"),
    "checkpoint is none": (lambda a: put(a.log / "checkpoint", b"x"), "checkpoint_damaged", "log/checkpoint"),
    "checkpoint of another": (
        lambda a: put(a.log / "checkpoint", stranger(a).checkpoint(700)),
        "checkpoint_signature",
        "log/checkpoint",
    ),
    "no bundle": (
        lambda a: (a.log / "tile" / "entries" / "001.zst").unlink(),
        "bundle_missing",
        "log/tile/entries/001.zst",
    ),
    "disputed": (dispute, "leaf_disputed", "log/tile/entries/000.zst"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_has_its_code_and_place(archive: HandMadeLog, case: str) -> None:
    damage, code, file = DAMAGES[case]
    damage(archive)
    report = verify_archive(archive.directory, archive.head_path)
    assert (code, file) in {(defect.code, defect.file) for defect in report.defects}


def test_file_the_disk_cannot_read_is_a_defect(archive: HandMadeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "001.zst":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    [defect] = verify_archive(archive.directory, archive.head_path).defects
    assert (defect.code, defect.file) == ("unreadable", "log/tile/entries/001.zst")
