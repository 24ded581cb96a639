"""The end of a log that names who continues it, and the beginning of the one that does."""

from typing import Any

from archive.errors import ArchiveFormatError
from archive.verify.note import parse_verifier_key
from archive.verify.report import Report, format_time
from archive.verify.tiles import TILE_WIDTH, bundle_path

MOVED, RESTORED = "moved", "restored"


def check_successor(found: list[tuple[int, dict[str, Any]]], size: int, report: Report) -> dict[str, Any] | None:
    """`found` are the successor leaves of a log of `size` leaves, with their numbers; the last leaf alone may be one.
    Returns its fields."""
    for number, fields in found:
        bundle = number // TILE_WIDTH
        file = f"log/{bundle_path(bundle, min(TILE_WIDTH, size - bundle * TILE_WIDTH))}"
        if number != size - 1:
            detail = f"{size - 1 - number} leaves follow it"
            report.add_defect("successor_leaf", file, detail=detail, leaf=number)
        try:
            if parse_verifier_key(fields["vkey"]).name != fields["origin"]:
                raise ArchiveFormatError("its key has another name than its origin")
        except ArchiveFormatError as error:
            report.add_defect("successor_leaf", file, detail=error, leaf=number)
    return found[-1][1] if found else None


def why_not_continued(named: dict[str, str], key_text: str | None, successor: dict[str, Any] | None) -> str | None:
    """What does not fit between what leaf 0 of the later log says (`named`, `key_text` its key) and the last leaf of
    the earlier one."""
    if successor is None:
        return "it was moved without naming this log" if named["why"] == MOVED else None
    if named["why"] == MOVED:
        return None if successor["vkey"] == key_text else f"it names {successor['origin']} as its successor"
    if named["why"] == RESTORED:
        return None
    return f"it had ended, and {successor['origin']} was to continue it"


def describe_gap(last_unix_ns: int | None, begun_unix_ns: int | None) -> str:
    """From the last leaf of the earlier log to the first of the later one."""
    ends = ("unknown time" if one is None else format_time(one) for one in (last_unix_ns, begun_unix_ns))
    return " to ".join(ends)
