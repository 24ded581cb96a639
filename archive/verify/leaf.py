"""Leaves: canonical JSON (RFC 8785), fields of each kind and their types (docs/FORMAT.md, "Leaf"). Pure.

Names in leaves are ASCII, so sorting by code point is RFC 8785's order.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from archive.errors import ArchiveFormatError

LEAF_VERSION = 1
MAX_INTEGER = 2**53 - 1
"""RFC 8785 numbers are IEEE 754 doubles; beyond this integers lose digits."""

STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NANOSECONDS = re.compile(r"0|-?[1-9][0-9]{0,19}")
_DAY = re.compile(r"[0-9]{8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_nanoseconds(value: Any) -> bool:
    return type(value) is str and _NANOSECONDS.fullmatch(value) is not None


def _is_sha256(value: Any) -> bool:
    return type(value) is str and _SHA256.fullmatch(value) is not None


def _is_stream(value: Any) -> bool:
    return type(value) is str and STREAM_NAME.fullmatch(value) is not None


def _is_clock(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() == _CLOCK_FIELDS
        and _is_nanoseconds(value["unix_ns"])
        and _is_nanoseconds(value["monotonic_ns"])
        and type(value["boot_id"]) is str
    )


def _is_clock_or_null(value: Any) -> bool:
    return value is None or _is_clock(value)


def _is_dropped(value: Any) -> bool:
    return type(value) is dict and all(_is_count(count) for count in value.values())


def _is_previous(value: Any) -> bool:
    if value is None:
        return True
    return (
        type(value) is dict
        and value.keys() == _PREVIOUS_FIELDS
        and _is_count(value["leaf"])
        and _is_sha256(value["hash"])
    )


def _is_integer_or_null(value: Any) -> bool:
    return value is None or (type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER)


def _is_step(value: Any) -> bool:
    return value is None or _has_exactly(value, _STEP_FIELDS)


def _is_samples(value: Any) -> bool:
    return type(value) is list and all(_has_exactly(sample, _SAMPLE_FIELDS) for sample in value)


def _is_roots(value: Any) -> bool:
    return type(value) is list and bool(value) and all(_has_exactly(root, _ROOT_FIELDS) for root in value)


def _is_day(value: Any) -> bool:
    return type(value) is str and _DAY.fullmatch(value) is not None


def _is_folders(value: Any) -> bool:
    return type(value) is list and all(_has_exactly(folder, _FOLDER_FIELDS) for folder in value)


def _is_holds(value: Any) -> bool:
    return type(value) is list and all(map(_is_text, value)) and value == sorted(set(value))


def _is_held(value: Any) -> bool:
    return value is None or _has_exactly(value, _HELD_FIELDS)


def _is_former(value: Any) -> bool:
    return value is None or _has_exactly(value, _FORMER_FIELDS)


def _has_exactly(value: Any, checks: dict[str, Check]) -> bool:
    """An object with these fields and no other."""
    return (
        type(value) is dict
        and value.keys() == checks.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def _one_of(*texts: str) -> Check:
    return lambda value: type(value) is str and value in texts


_STEP_FIELDS: dict[str, Check] = {"from_unix_ns": _is_nanoseconds, "to_unix_ns": _is_nanoseconds}
_SAMPLE_FIELDS: dict[str, Check] = {
    "unix_ns": _is_nanoseconds,
    "monotonic_ns": _is_nanoseconds,
    "synchronised": lambda value: type(value) is bool,
    "offset_ns": _is_integer_or_null,
    "dispersion_ns": _is_integer_or_null,
    "source": _is_text,
}
_ROOT_FIELDS: dict[str, Check] = {
    "leaf": _is_count,
    "generation": lambda value: _is_count(value) and value < 2**32,
    "units": lambda value: _is_count(value) and value < 2**32,
    "root": _is_sha256,
}
_FOLDER_FIELDS: dict[str, Check] = {
    "stream": _is_stream,
    "first_leaf": _is_count,
    "last_leaf": _is_count,
    "chunks": _is_count,
    "records": _is_count,
    "bytes": _is_count,
}
_HELD_FIELDS: dict[str, Check] = {
    "file": _is_text,
    "sha256": _is_sha256,
    "units": _is_count,
    "rows_file": _is_text,
    "rows_sha256": _is_sha256,
    "rows": _is_count,
}
_PURGE_CLOCK_FIELDS: dict[str, Check] = {"age_leaf": _is_count, "now_leaf": _is_count}
FORMER_REASONS = ("key_changed", "restored", "moved")
_FORMER_FIELDS: dict[str, Check] = {
    "origin": _is_text,
    "vkey": _is_text,
    "checkpoint": _is_text,
    "why": _one_of(*FORMER_REASONS),
}
_CLOCK_FIELDS = {"unix_ns", "monotonic_ns", "boot_id"}
_PREVIOUS_FIELDS = {"leaf", "hash"}
_SPOOL_FIELDS: dict[str, Check] = {
    "stream": _is_stream,
    "spool_sequence": _is_count,
    "writer": _is_text,
    "opened": _is_clock_or_null,
    "closed": _is_clock_or_null,
    "dropped": _is_dropped,
    "torn_bytes": _is_count,
    "previous": _is_previous,
}
_CHUNK_FIELDS: dict[str, Check] = {
    "segment": _is_text,
    "offset": _is_count,
    "length": _is_count,
    "sha256": _is_sha256,
    "records": _is_count,
    "first_unix_ns": _is_nanoseconds,
    "last_unix_ns": _is_nanoseconds,
}
_FIELDS: dict[str, dict[str, Check]] = {
    "key": {
        "vkey": _is_text,
        "package_certificate_sha256": _is_sha256,
        "unix_ns": _is_nanoseconds,
        "former": _is_former,
    },
    "data": _SPOOL_FIELDS | _CHUNK_FIELDS,
    "empty": _SPOOL_FIELDS,
    "heartbeat": {"unix_ns": _is_nanoseconds, "monotonic_ns": _is_nanoseconds, "boot_id": _is_text},
    "outage": _STEP_FIELDS | {"boot_id": _is_text, "why": _is_text, "cut_bytes": _is_count},
    "clock": {"boot_id": _is_text, "step": _is_step, "samples": _is_samples},
    "anchor": {
        "by": _one_of("witness", "timestamp_authority"),
        "name": _is_text,
        "checkpoint": _is_text,
        "unix_ns": _is_nanoseconds,
        "vkey": _is_text,
        "evidence": _is_text,
    },
    "records": {"stream": _is_stream, "file": _is_text, "sha256": _is_sha256, "roots": _is_roots},
    "purge": {
        "day": _is_day,
        "unix_ns": _is_nanoseconds,
        "retention_days": _is_count,
        "age_unix_ns": _is_nanoseconds,
        "clock": lambda value: _has_exactly(value, _PURGE_CLOCK_FIELDS),
        "streams": _is_folders,
        "holds": _is_holds,
        "held": _is_held,
        "previous": lambda value: value is None or _is_count(value),
    },
    "successor": {"origin": _is_text, "vkey": _is_text, "unix_ns": _is_nanoseconds},
}
_NAMES = {kind: {"v", "kind", "log", *checks} for kind, checks in _FIELDS.items()}
_CHECKS = {kind: tuple(checks.items()) for kind, checks in _FIELDS.items()}


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"number {text} is not an integer")


_decode = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number).decode


def parse_leaves(leaves: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Parse leaves at once; None when any is not the canonical JSON of one object.

    They are joined with a marker nobody can have foreseen between them, parsed and encoded again: equal bytes
    and every marker in its place mean that each leaf is canonical by itself. One call for 256 leaves costs a
    third of 256.
    """
    marker = secrets.token_hex(8)
    try:
        text = (b"[" + f',"{marker}",'.encode().join(leaves) + b"]").decode("utf-8")
        values = _decode(text)
        if _encode(values) != text:
            return None
    except (ValueError, RecursionError):
        return None
    parsed = values[0::2]
    if len(parsed) != len(leaves) or any(value != marker for value in values[1::2]):
        return None
    return parsed if all(type(value) is dict for value in parsed) else None


def parse_leaf(leaf: bytes) -> dict[str, Any]:
    """One leaf. Raises ArchiveFormatError."""
    parsed = parse_leaves([leaf])
    if parsed is None:
        raise ArchiveFormatError("leaf is not one canonical JSON object")
    return parsed[0]


def check_fields(leaf: dict[str, Any], origin: str) -> str | None:
    """What is wrong with the fields of a parsed leaf, or None."""
    kind = leaf.get("kind")
    if type(kind) is not str or kind not in _NAMES:
        return "kind"
    names = _NAMES[kind]
    if leaf.keys() != names:
        return ", ".join(sorted(leaf.keys() ^ names))
    if type(leaf["v"]) is not int or leaf["v"] != LEAF_VERSION:
        return "v"
    if leaf["log"] != origin:
        return "log"
    for name, check in _CHECKS[kind]:
        if not check(leaf[name]):
            return name
    return None
