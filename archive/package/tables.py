"""data/answer.csv and data/dictionary.csv: UTF-8 with BOM and CRLF, as spreadsheets want them. Pure."""

import csv
import io
import ipaddress
import re
from typing import Any

from archive.package.citations import says
from archive.package.content import PackageContent
from archive.package.letter_answer import cited_records
from archive.package.names import raw_name
from archive.package.records_csv import records_rows, show_command
from archive.package.table_columns import ANSWER_COLUMNS, RECORDS_COLUMNS

BOM = b"\xef\xbb\xbf"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
"""A spreadsheet takes a cell that begins so for a formula; the apostrophe so that one more is told from none."""
_NUMBER_LIKE = re.compile(r"[0-9][0-9.,:/ -]*(?:[eE][0-9]+)?\Z")
"""What a spreadsheet would turn into a number, a date or a time, and so change."""


def as_cell(value: str) -> str:
    """A text from outside as a cell that a spreadsheet shows and does not compute or convert: with an apostrophe before
    it where it must. data/answer.json and data/records.csv have it as it is."""
    if value.startswith(FORMULA_STARTS) or (_NUMBER_LIKE.match(value) and not _is_endpoint(value)):
        return f"'{value}"
    return value


def _is_endpoint(value: str) -> bool:
    """An address, with or without a port: no spreadsheet converts one, and people copy it."""
    address = value.rpartition(":")[0] if value.count(":") == 1 else value
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def answer_csv(content: PackageContent) -> bytes:
    """One row per step of each candidate."""
    cited, lines = cited_records(content), _record_lines(content)
    rows = []
    for number, candidate in enumerate(content.answer["candidates"], 1):
        for step in candidate["steps"]:
            record = None
            if step["leaf_index"] is not None:
                record = cited[step["log"], step["leaf_index"], step["row"]]
            values: dict[str, Any] = {
                "candidate": number,
                "person": as_cell(candidate["person"] or ""),
                "account": as_cell(candidate["account"] or ""),
                **{name: step[name] or "" for name in ("step", "certainty", "why", "from", "to", "log")},
                "value": as_cell(step["value"] or ""),
            }
            if record is not None:
                values |= {
                    "leaf_index": step["leaf_index"],
                    "row": step["row"],
                    "raw_file": raw_name(record),
                    "show": show_command(record),
                    "records_row": _line_of(step, record, lines),
                }
            rows.append([values.get(name, "") for name in ANSWER_COLUMNS])
    return _csv([list(ANSWER_COLUMNS), *rows])


def _record_lines(content: PackageContent) -> list[tuple[Any, Any]]:
    """Record and index row (None for a template) of each line of data/records.csv after its head, in order."""
    return [(record, row) for record in content.records for row in records_rows(record)]


def _line_of(step: dict[str, Any], record: Any, lines: list[tuple[Any, Any]]) -> int | str:
    """Row of data/records.csv as a spreadsheet numbers it (the head is 1): the first of the record that says what the
    step says, else the first of the record."""
    own = [(number, row) for number, (one, row) in enumerate(lines, 2) if one.place == record.place]
    saying = [number for number, row in own if row is not None and says(step, row)]
    return next(iter([*saying, *(number for number, _ in own)]), "")


def dictionary_csv() -> bytes:
    """Every column of data/answer.csv and data/records.csv."""
    head = ["file", "column", "English", "ไทย", "unit or format", "หน่วยหรือรูปแบบ"]
    files = (("data/answer.csv", ANSWER_COLUMNS), ("data/records.csv", RECORDS_COLUMNS))
    return _csv([head, *([file, name, *texts] for file, columns in files for name, texts in columns.items())])


def _csv(rows: list[list[Any]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\r\n").writerows(rows)
    return BOM + sink.getvalue().encode()
