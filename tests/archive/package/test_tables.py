"""data/answer.csv and data/dictionary.csv: what spreadsheets need, and what the verifier compares."""

import csv
import io
from pathlib import Path

import made_content
import pytest

from archive.package.content import PackageContent
from archive.package.records_csv import records_csv
from archive.package.tables import ANSWER_COLUMNS, RECORDS_COLUMNS, answer_csv, as_cell, dictionary_csv
from archive.package.verify_package import RECORD_COLUMNS, REQUIRED, TEXTS


def rows_of(data: bytes) -> list[dict[str, str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("+66812345678", "'+66812345678"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\tx", "'\tx"),
        ("\r=1", "'\r=1"),
        ("'x", "''x"),
        ("0071234", "'0071234"),
        ("1100400123456789012", "'1100400123456789012"),
        ("1e5", "'1e5"),
        ("2026-11-20", "'2026-11-20"),
        ("8:01", "'8:01"),
        ("1/2", "'1/2"),
        ("65001", "'65001"),
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:40000", "203.0.113.5:40000"),
        ("2001:db8::1", "2001:db8::1"),
        ("1::2", "1::2"),
        ("somchai", "somchai"),
        ("ปู่ น้ำ", "ปู่ น้ำ"),
        ("02:00:00:00:00:01", "'02:00:00:00:00:01"),
        ("", ""),
    ],
)
def test_cells_that_a_spreadsheet_would_compute_or_convert(value: str, cell: str) -> None:
    assert as_cell(value) == cell
    assert cell.removeprefix("'") == value


def test_the_answer_has_a_row_for_each_step() -> None:
    content = made_content.several()
    data = answer_csv(content)
    assert b"\r\n" in data
    assert b"\n" not in data.replace(b"\r\n", b"")
    rows = rows_of(data)
    assert list(rows[0]) == list(ANSWER_COLUMNS)
    steps = [step for one in content.answer["candidates"] for step in one["steps"]]
    assert [row["value"].removeprefix("'") for row in rows] == [step["value"] for step in steps]
    assert {row["person"] for row in rows} == set(made_content.LONG_NAMES)
    assert rows[0]["show"] == "cat data/records/1-100-0.bin"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("content", [made_content.exact(), made_content.several(), made_content.not_received()])
def test_records_row_is_the_row_a_spreadsheet_shows(content: PackageContent) -> None:
    lines = rows_of(records_csv(content.records, made_content.ZONE))
    for row in rows_of(answer_csv(content)):
        if not row["leaf_index"]:
            assert not row["records_row"]
            continue
        line = lines[int(row["records_row"]) - 2]
        assert (line["leaf_index"], line["row"]) == (row["leaf_index"], row["row"])
        if row["step"] == "person":
            assert f'"person":"{row["person"]}"' in line["fields"]


def test_the_dictionary_has_every_column_in_both_languages() -> None:
    rows = rows_of(dictionary_csv())
    assert [(row["file"], row["column"]) for row in rows] == [
        *(("data/answer.csv", name) for name in ANSWER_COLUMNS),
        *(("data/records.csv", name) for name in RECORD_COLUMNS),
    ]
    assert tuple(RECORDS_COLUMNS) == RECORD_COLUMNS
    assert all(cell for row in rows for cell in row.values())


def test_the_contract_names_every_column_and_file() -> None:
    contract = (Path(__file__).parents[3] / "docs/CONTRACT.md").read_text(encoding="utf-8")
    section = contract.partition("## Package\n")[2].partition("\n## ")[0]
    for file, columns in (("answer", ANSWER_COLUMNS), ("records", RECORDS_COLUMNS)):
        assert f"| `data/{file}.csv` | {', '.join(f'`{name}`' for name in columns)} |" in section
    for name in (*REQUIRED, *TEXTS):
        assert f"`{name}`" in section, name
