"""Leaves whose fields another process wrote as JSON: anchors and the clock's samples. Each is checked before it is
sealed, for nobody can take it out again."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from archive.errors import ArchiveError, ArchiveFormatError
from archive.sealing.inbox import InboxFolder, PreparedLeaf, read_handed_in

MAX_FILE_BYTES = 48 * 1024
"""Of a file whose fields become one leaf of at most 65,535 bytes."""
MAX_SAMPLES = 120
"""Two hours of samples, one a minute; a leaf has one hour's."""
MAX_SOURCE_CHARACTERS = 200
MAX_INTEGER = 2**53 - 1
_NANOSECONDS = re.compile(r"0|-?[1-9][0-9]{0,19}", re.ASCII)

Check = Callable[[dict[str, Any]], None]


class JsonLeaves:
    """Makes leaves of one kind from files `*.json`. `check` raises ArchiveError for fields that may not be sealed."""

    def __init__(self, kind: str, folder: Path, check: Check) -> None:
        self._kind = kind
        self._inbox = InboxFolder(folder, ".json")
        self._check = check

    @property
    def refused(self) -> int:
        return self._inbox.refused

    def prepare(self, taken: set[Path]) -> Iterator[PreparedLeaf]:
        """Anchors and samples can wait for the next head: they speak of what lies before them."""
        for path in self._inbox.files(taken):
            try:
                fields = read_fields(path)
                self._check(fields)
            except ArchiveError as error:
                self._inbox.refuse(path, error)
                continue
            except OSError:
                self._inbox.look_again()
                raise
            yield PreparedLeaf(self._kind, fields, (path,), urgent=False)


def read_fields(path: Path) -> dict[str, Any]:
    """The one JSON object in a file. Raises ArchiveFormatError."""
    data = read_handed_in(path, MAX_FILE_BYTES)
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveFormatError("not JSON") from error
    if not isinstance(fields, dict):
        raise ArchiveFormatError("not a JSON object")
    return fields


def check_clock_fields(fields: dict[str, Any]) -> None:
    """`boot_id`, `step` (null) and `samples` as docs/FORMAT.md says. Raises ArchiveFormatError."""
    samples = fields.get("samples")
    if fields.keys() != {"boot_id", "step", "samples"} or fields["step"] is not None:
        raise ArchiveFormatError("fields are boot_id, step (null) and samples")
    if type(fields["boot_id"]) is not str or type(samples) is not list or not 0 < len(samples) <= MAX_SAMPLES:
        raise ArchiveFormatError(f"boot_id is text, samples are 1 to {MAX_SAMPLES}")
    for sample in samples:
        if type(sample) is not dict or sample.keys() != _SAMPLE_CHECKS.keys():
            raise ArchiveFormatError(f"a sample has the fields {', '.join(_SAMPLE_CHECKS)}")
        for name, is_valid in _SAMPLE_CHECKS.items():
            if not is_valid(sample[name]):
                raise ArchiveFormatError(f"{name} of a sample is not valid")


def _is_nanoseconds(value: Any) -> bool:
    return type(value) is str and _NANOSECONDS.fullmatch(value) is not None


def _is_integer_or_null(value: Any) -> bool:
    return value is None or (type(value) is int and abs(value) <= MAX_INTEGER)


_SAMPLE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "unix_ns": _is_nanoseconds,
    "monotonic_ns": _is_nanoseconds,
    "synchronised": lambda value: type(value) is bool,
    "offset_ns": _is_integer_or_null,
    "dispersion_ns": _is_integer_or_null,
    "source": lambda value: type(value) is str and len(value) <= MAX_SOURCE_CHARACTERS,
}
