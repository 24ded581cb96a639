"""Requests, held files and rows files: what goes in comes out, and nothing else is read."""

import random
from dataclasses import replace

import numpy as np
import pytest

from archive.errors import ArchiveFormatError
from archive.retention.frames import decode_frame, encode_frame
from archive.retention.held_file import HeldFile, HeldRecord, decode_held, decode_rows, encode_held, encode_rows
from archive.retention.request import PurgeRequest, decode_request, encode_request, read_request, write_request
from archive.schema import SCHEMAS
from archive.unit_proof import UnitProof
from tests.archive.purge_log import log_rows

UNIT = UnitProof(7, 0, 2, 0, 5, 9, 11, bytes(16), b"abc", (bytes(32),))
RECORD = HeldRecord(7, 2, 1_795_000_000_000_000_001, "192.0.2.9", 514, "udp", "syslog/udp-5514", False, 8, (UNIT,))
HELD = HeldFile("20261119", "phayan.test/x", 12, (RECORD, replace(RECORD, row=3, units=(replace(UNIT, row=3),))))
WANTED = [(7, 2, 0), (7, 3, 4)]
REQUEST = PurgeRequest(
    "20261119",
    ("hold-2026-0001", "hold-2026-0002"),
    *(np.array([one[at] for one in WANTED], kind) for at, kind in enumerate((np.uint64, np.uint32, np.uint32))),
    {"logs": log_rows(WANTED)},
)


def test_a_request_comes_out_as_it_went_in(tmp_path) -> None:
    found = read_request(write_request(tmp_path, REQUEST))
    assert (found.day, found.holds) == (REQUEST.day, REQUEST.holds)
    assert [*zip(found.leaf.tolist(), found.row.tolist(), found.offset.tolist(), strict=True)] == WANTED
    rows = found.rows["logs"]
    assert rows.drop_columns(["place"]).equals(REQUEST.rows["logs"])
    assert set(rows.column("place").to_pylist()) == {0}, "rows without places are of whole records"


@pytest.mark.parametrize(
    "wrong",
    [
        replace(REQUEST, day="2026111"),
        replace(REQUEST, holds=("hold-1",)),
        replace(REQUEST, rows={"identity": SCHEMAS["identity"].empty_table()}),
    ],
)
def test_a_request_that_is_none_is_refused(wrong: PurgeRequest) -> None:
    with pytest.raises(ArchiveFormatError):
        decode_request(encode_request(wrong))


def test_a_request_of_another_day_than_its_name_is_refused(tmp_path) -> None:
    path = write_request(tmp_path, REQUEST)
    other = path.with_name("20261120.request")
    path.rename(other)
    with pytest.raises(ArchiveFormatError, match="20261119"):
        read_request(other)


def test_held_files_come_out_as_they_went_in() -> None:
    assert decode_held(encode_held(HELD)) == HELD
    rows = {"logs": log_rows(WANTED)}
    assert decode_rows(encode_rows(rows))["logs"].equals(rows["logs"])
    assert decode_rows(encode_rows({})) == {}


def test_no_bit_of_a_held_file_can_change() -> None:
    data = encode_held(HELD)
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            assert decode_held(bytes(damaged)) == HELD, "frame headers have bits of no meaning"
        except ArchiveFormatError:
            continue


WRONG_LINES = {
    "unit of another record": lambda lines: [lines[0], lines[1], lines[4], lines[3], lines[4]],
    "a record without a unit": lambda lines: [*lines[:2], *lines[3:]],
    "records not in order": lambda lines: [lines[0], *lines[3:], *lines[1:3]],
    "a unit twice": lambda lines: [*lines[:3], *lines[2:]],
    "nothing": lambda lines: [],
    "no newline": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "another spelling": lambda lines: [b" " + lines[0], *lines[1:]],
}


@pytest.mark.parametrize("case", WRONG_LINES)
def test_other_lines_are_no_held_file(case: str) -> None:
    lines = decode_frame(encode_held(HELD)).splitlines(keepends=True)
    with pytest.raises(ArchiveFormatError):
        decode_held(encode_frame(b"".join(WRONG_LINES[case](lines))))


def test_any_bytes_are_refused_as_what_they_are_not() -> None:
    draw = random.Random(3)
    samples = [encode_held(HELD), encode_request(REQUEST), encode_rows(REQUEST.rows)]
    for number in range(600):
        data = bytearray(samples[number % 3])
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        inner = bytearray(decode_frame(samples[number % 3]))
        inner[draw.randrange(len(inner))] ^= 1 << draw.randrange(8)
        for one in (bytes(data), encode_frame(bytes(inner)), bytes(data[: draw.randrange(len(data))])):
            for decode in (decode_held, decode_request, decode_rows):
                try:
                    decode(one)
                except ArchiveFormatError:
                    continue
