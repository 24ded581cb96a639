"""LibreOffice opens the tables of a package: Thai is whole, nothing is computed and no number or time is converted."""

import csv
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "archive/package"))

import made_content

from archive.package.records_csv import records_csv
from archive.package.tables import answer_csv, dictionary_csv

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="libreoffice-calc-nogui (soffice) is not installed"),
]
UTF8_COMMA = "CSV:44,34,76,1"
"""Separator, quote, character set, first line: what its dialog finds by itself from the byte order mark."""
OUT_UTF8 = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
CONVERT_SECONDS = 120


@pytest.fixture(scope="module")
def tables() -> dict[str, bytes]:
    content = made_content.several()
    return {
        "answer": answer_csv(content),
        "records": records_csv(content.records, made_content.ZONE),
        "dictionary": dictionary_csv(),
    }


def convert(path: Path, to: str, folder: Path, *, reading: str | None = UTF8_COMMA) -> Path:
    arguments = ["soffice", "--headless", f"-env:UserInstallation=file://{folder}/profile"]
    arguments += [f"--infilter={reading}"] if reading else []
    out = folder / "out"
    done = subprocess.run(
        [*arguments, "--convert-to", to, "--outdir", out, path],
        capture_output=True,
        timeout=CONVERT_SECONDS,
        check=False,
    )
    (made,) = out.glob(f"{path.stem}*.{to.partition(':')[0]}")
    assert done.returncode == 0
    return made


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def there_and_back(data: bytes, folder: Path) -> list[list[str]]:
    """What LibreOffice has in its cells: to a spreadsheet of its own, and from that to text."""
    path = folder / "table.csv"
    path.write_bytes(data)
    sheet = convert(path, "xlsx", folder)
    # A sheet for each file: its name carries the sheet's.
    return cells(convert(sheet, OUT_UTF8, folder, reading=None).read_bytes())


@pytest.mark.parametrize("name", ["answer", "records", "dictionary"])
def test_every_cell_comes_back_as_it_was(name: str, tables: dict[str, bytes], tmp_path: Path) -> None:
    assert there_and_back(tables[name], tmp_path) == cells(tables[name])


def test_what_spreadsheets_spoil_survives(tables: dict[str, bytes], tmp_path: Path) -> None:
    rows = there_and_back(tables["answer"], tmp_path)
    shown = {cell for row in rows for cell in row}
    for value in (
        "'=cmd|'/c calc'!A1",
        "'0071234",
        "'1100400123456789012",
        made_content.iso(-60),
        *made_content.LONG_NAMES,
    ):
        assert value in shown, value


def test_without_the_apostrophe_they_would_be_spoilt(tables: dict[str, bytes], tmp_path: Path) -> None:
    """That the test can fail."""
    bare = tables["answer"].replace(b"'0071234", b"0071234").replace(b"'1100400123456789012", b"1100400123456789012")
    shown = {cell for row in there_and_back(bare, tmp_path) for cell in row}
    assert not {"0071234", "1100400123456789012"} & shown


def test_it_prints_the_answer(tables: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "answer.csv"
    path.write_bytes(tables["answer"])
    assert convert(path, "pdf", tmp_path).read_bytes().startswith(b"%PDF-")
