"""What a `data` or `empty` leaf says of its stream, read in one step where the leaf has its usual form. Pure."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple


class SpoolLeaf(NamedTuple):
    """`previous` is None or the leaf before and its hash in hex. What only chunks have is of no meaning when
    `segment` is None.
    """

    stream: str
    sequence: int
    previous: tuple[int, str] | None
    dropped: dict[str, int]
    torn_bytes: int
    segment: str | None = None
    offset: int = 0
    length: int = 0
    sha256: str = ""
    records: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0


_COUNT = r"(0|[1-9][0-9]{0,14})"
"""A part of what the leaf format allows (below 2^53), so that digits need no second look."""
_NANOSECONDS = r'"(?:0|-?[1-9][0-9]{0,19})"'
_TEXT = r'"[A-Za-z0-9 _.:/@+-]*"'
"""Characters that have one spelling in JSON."""
_MOMENT = rf'(?:null|\{{"boot_id":{_TEXT},"monotonic_ns":{_NANOSECONDS},"unix_ns":{_NANOSECONDS}\}})'
_NO_DROPS: dict[str, int] = {}


def compile_reader(origin: str) -> Callable[[bytes], SpoolLeaf | None]:
    """A reader of canonical `data` leaves of the log `origin` that nothing was dropped in.

    None says nothing but that the leaf needs the whole parser: what the expression matches is canonical JSON with
    exactly the fields of docs/FORMAT.md, each of its type. A fifth of the time of parsing and encoding again.
    """
    log = re.escape(origin) if re.fullmatch(_TEXT, f'"{origin}"') else "(?!)"
    match = re.compile(
        rf'\{{"closed":{_MOMENT},"dropped":\{{\}},"first_unix_ns":"(0|-?[1-9][0-9]{{0,19}})","kind":"data",'
        rf'"last_unix_ns":"(0|-?[1-9][0-9]{{0,19}})","length":{_COUNT},"log":"{log}","offset":{_COUNT},'
        rf'"opened":{_MOMENT},"previous":(?:null|\{{"hash":"([0-9a-f]{{64}})","leaf":{_COUNT}\}}),"records":{_COUNT},'
        r'"segment":"([A-Za-z0-9_./-]*)","sha256":"([0-9a-f]{64})",'
        rf'"spool_sequence":{_COUNT},"stream":"([A-Za-z0-9][A-Za-z0-9_.-]{{0,63}})","torn_bytes":{_COUNT},"v":1,'
        rf'"writer":{_TEXT}\}}'
    ).fullmatch

    def read(leaf: bytes) -> SpoolLeaf | None:
        found = match(leaf.decode("latin-1"))
        if found is None:
            return None
        first, last, length, offset, digest, before, records, segment, sha256, sequence, stream, torn = found.groups()
        previous = None if before is None else (int(before), digest)
        return SpoolLeaf(
            stream, int(sequence), previous, _NO_DROPS, int(torn), segment, int(offset), int(length), sha256,
            int(records), int(first), int(last),
        )  # fmt: skip

    return read


def from_fields(fields: dict[str, Any]) -> SpoolLeaf:
    """Of a parsed leaf with well-formed fields."""
    previous = fields["previous"]
    reference = None if previous is None else (previous["leaf"], previous["hash"])
    begun = fields["stream"], fields["spool_sequence"], reference, fields["dropped"], fields["torn_bytes"]
    if fields["kind"] != "data":
        return SpoolLeaf(*begun)
    return SpoolLeaf(
        *begun,
        fields["segment"],
        fields["offset"],
        fields["length"],
        fields["sha256"],
        fields["records"],
        int(fields["first_unix_ns"]),
        int(fields["last_unix_ns"]),
    )
