"""Held files: what holds kept of a purged day, unit by unit under its records root (docs/FORMAT.md, "Held files")."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive.errors import ArchiveError
from archive.verify.leaf_source import LeafSource
from archive.verify.merkle import hash_leaf, verify_inclusion
from archive.verify.units import SALT_BYTES, decode_frame

MAX_HELD_BYTES = 1024 * 1024 * 1024
"""Most a held file may hold decompressed; bounds a decompression bomb."""
_RECORD = {
    "leaf": int, "row": int, "received_unix_ns": str, "source_address": str, "source_port": int, "transport": str,
    "listener": str, "truncated": bool, "length": int,
}  # fmt: skip
_UNIT = {
    "leaf": int, "generation": int, "row": int, "offset": int, "unit": int, "units": int, "records_leaf": int,
    "salt": str, "data": str, "path": list,
}  # fmt: skip

Covered = Callable[[int], bool]


class HeldCheck:
    """Checks the files that one purge leaf names. `is_covered` says whether a data leaf is one that the day's purges
    list."""

    def __init__(self, log: Path, leaves: LeafSource) -> None:
        self._log = log
        self._leaves = leaves

    def check(self, number: int, fields: dict[str, Any], is_covered: Covered) -> tuple[str, str, str] | None:
        """Code, file and detail of what is wrong first; None if nothing is. Raises PermissionError."""
        held = fields["held"]
        names = [f"held/{fields['day']}/{number:012d}{suffix}" for suffix in (".held", ".rows")]
        if names != [held["file"], held["rows_file"]]:
            return "purge_leaf", f"log/{names[0]}", f"held files {held['file']}, {held['rows_file']}"
        contents = []
        for name, sha256 in zip(names, (held["sha256"], held["rows_sha256"]), strict=True):
            try:
                data = (self._log / name).read_bytes()
            except PermissionError:
                raise
            except FileNotFoundError:
                return "held_missing", f"log/{name}", ""
            except OSError as error:
                return "unreadable", f"log/{name}", str(error.strerror)
            if hashlib.sha256(data).hexdigest() != sha256:
                return "held_changed", f"log/{name}", ""
            contents.append(data)
        try:
            self._check_content(number, fields, decode_frame(contents[0], MAX_HELD_BYTES), is_covered)
            decode_frame(contents[1], MAX_HELD_BYTES)
        except (ArchiveError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            return "held_unit", f"log/{names[0]}", str(error)
        return None

    def _check_content(self, number: int, fields: dict[str, Any], content: bytes, is_covered: Covered) -> None:
        lines = content.splitlines(keepends=True)
        values = [json.loads(line) for line in lines]
        for line, value in zip(lines, values, strict=True):
            if json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n" != line:
                raise ValueError("a line is not in its one spelling")
        head = {"v": 1, "day": fields["day"], "log": fields["log"], "leaf": number}
        if not values or values[0] != head:
            raise ValueError("its first line is of another day, log or leaf")
        record: dict[str, Any] | None = None
        last_place, end, units, of_record = (-1, -1), 0, 0, 1
        for value in values[1:]:
            if value.keys() == {"record"}:
                if not of_record:
                    raise ValueError("a record without a unit")
                record = self._check_record(value["record"], is_covered)
                place = record["leaf"], record["row"]
                if place <= last_place:
                    raise ValueError("its records are not in order")
                last_place, end, of_record = place, 0, 0
                continue
            if record is None:
                raise ValueError("a unit of no record")
            end = self._check_unit(value, record, end)
            units, of_record = units + 1, of_record + 1
        if not of_record or units != fields["held"]["units"]:
            raise ValueError(f"it has {units} units, and {fields['held']['units']} are sealed")

    def _check_record(self, record: dict[str, Any], is_covered: Covered) -> dict[str, Any]:
        _check_types(record, _RECORD)
        data = self._leaves.leaf(record["leaf"])
        if not is_covered(record["leaf"]) or data is None or data["kind"] != "data":
            raise ValueError(f"leaf {record['leaf']} is none that was purged of this day")
        received = int(record["received_unix_ns"])
        if record["row"] >= data["records"] or not int(data["first_unix_ns"]) <= received <= int(data["last_unix_ns"]):
            raise ValueError(f"leaf {record['leaf']} has no such record {record['row']}")
        return record

    def _check_unit(self, unit: dict[str, Any], record: dict[str, Any], end: int) -> int:
        """The end of the unit in its record."""
        _check_types(unit, _UNIT)
        if (unit["leaf"], unit["row"]) != (record["leaf"], record["row"]):
            raise ValueError(f"a unit of leaf {unit['leaf']}, record {unit['row']}, in another record")
        data, salt = base64.b64decode(unit["data"], validate=True), bytes.fromhex(unit["salt"])
        if unit["offset"] < end or unit["offset"] + len(data) > record["length"] or len(salt) != SALT_BYTES:
            raise ValueError(f"a unit of leaf {unit['leaf']} is not within its record")
        path = [base64.b64decode(one, validate=True) for one in unit["path"]]
        verify_inclusion(hash_leaf(salt + data), unit["unit"], unit["units"], path, bytes.fromhex(self._root(unit)))
        return unit["offset"] + len(data)

    def _root(self, unit: dict[str, Any]) -> str:
        fields = self._leaves.leaf(unit["records_leaf"])
        for root in fields["roots"] if fields is not None and fields["kind"] == "records" else ():
            if (root["leaf"], root["generation"], root["units"]) == (unit["leaf"], unit["generation"], unit["units"]):
                return root["root"]
        raise ValueError(f"leaf {unit['records_leaf']} has no root of leaf {unit['leaf']}")


def _check_types(values: dict[str, Any], kinds: dict[str, type]) -> None:
    if values.keys() != kinds.keys() or any(type(values[name]) is not kind for name, kind in kinds.items()):
        raise ValueError("a line has other fields than the format says")
    if any(type(one) is int and one < 0 for one in values.values()):
        raise ValueError("a number is negative")
