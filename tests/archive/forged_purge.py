"""A log with one day that may be purged, and purge leaves that whoever has the real key could seal in it."""

import copy
import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from archive.retention.frames import decode_frame, encode_frame
from archive.sealing.inbox import PreparedLeaf
from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.purge_log import PurgeLog

SECOND = Path(__file__).parents[1] / "second_verifier.py"
HOLD = "hold-2026-0001"
Fields = dict[str, Any]
Change = Callable[[Fields, dict[str, bytes]], None]


class Forger:
    """`fields` and `files` are of a purge leaf as it should be; `forge` seals another one in a copy of the log."""

    def __init__(self, directory: Path, *, days: int = 92) -> None:
        self._directory = directory
        self._number = 0
        made = PurgeLog(directory / "made", retention_days=90)
        self.day = made.day()
        self.first = made.receive("collector", *(b"<13>person%03d" % number for number in range(20)))
        made.root(self.first, {5: [4, 9]})
        self.second = made.receive("collector", b"HEAD" + b"A" * 20, b"", b"line")
        made.root(self.second, {1: [4, 20]})
        self.other = made.receive("radius", b'{"event":"start"}', listener="radius-acct")
        self.identity = made.receive("identity", b'{"event":"name"}', listener="identity")
        for _ in range(days):
            made.pass_day()
        self.later = made.receive("collector", b"of a later day")
        made.root(self.later)
        made.close()
        self._made = made
        right = self.copy()
        self.units = [(self.first, 5, 0), (self.first, 5, 4), (self.first, 9, 0), (self.second, 1, 4)]
        report = right.ask(self.day, self.units, [HOLD])
        assert report["state"] == "done", report
        [(self.number, leaf)] = right.purges()
        self.fields = {name: value for name, value in leaf.items() if name not in ("v", "kind", "log")}
        held = leaf["held"]
        self.files = {name: (right.paths.log / name).read_bytes() for name in (held["file"], held["rows_file"])}
        self.purged = right
        right.close()

    def copy(self) -> PurgeLog:
        """The log before any purge, its sealer running."""
        self._number += 1
        folder = self._directory / str(self._number)
        shutil.copytree(self._made.paths.directory, folder / "data")
        shutil.copy(self._made.paths.head, folder / "data.head")
        return PurgeLog(folder, retention_days=90, clock=copy.copy(self._made.clock))

    def forge(self, change: Change, *, removes: bool = True) -> Report:
        """Seal the leaf and files after `change`, remove what it lists, and verify."""
        log = self.copy()
        log.turn()  # A start removes held files that no leaf names.
        fields, files = copy.deepcopy(self.fields), dict(self.files)
        change(fields, files)
        for name, data in files.items():
            (log.paths.log / name).parent.mkdir(parents=True, exist_ok=True)
            (log.paths.log / name).write_bytes(data)
        log.extra = [PreparedLeaf("purge", fields)]
        log.turn()
        if removes:
            for folder in fields["streams"]:
                shutil.rmtree(log.paths.segments / folder["stream"] / fields["day"], ignore_errors=True)
        log.close()
        return self.verify(log)

    def verify(self, log: PurgeLog) -> Report:
        return verify_archive(log.paths.directory, log.paths.head)

    def clean(self) -> None:
        """Remove the last copy."""
        shutil.rmtree(self._directory / str(self._number))

    def last_paths(self) -> tuple[Path, Path]:
        folder = self._directory / str(self._number)
        return folder / "data", folder / "data.head"


def second_defects(data: Path, head: Path) -> list[str]:
    """What the second verifier says, in this process."""
    spec = importlib.util.spec_from_file_location("second_verifier_of_test", SECOND)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.check_archive(data, head, [], [])
    return list(module.DEFECTS)


def held_lines(files: dict[str, bytes]) -> tuple[str, list[bytes]]:
    """Name and lines of the held file."""
    [name] = [name for name in files if name.endswith(".held")]
    return name, decode_frame(files[name]).splitlines(keepends=True)


def put_lines(fields: Fields, files: dict[str, bytes], lines: list[bytes]) -> None:
    """Other lines in the held file, with a hash that is right."""
    name, _ = held_lines(files)
    files[name] = encode_frame(b"".join(lines))
    fields["held"]["sha256"] = hashlib.sha256(files[name]).hexdigest()


def samples(log: PurgeLog) -> Iterator[tuple[int, Fields]]:
    """Clock leaf and sample, in order."""
    for number, leaf in log.leaves():
        if leaf["kind"] == "clock":
            for sample in leaf["samples"]:
                yield number, sample
