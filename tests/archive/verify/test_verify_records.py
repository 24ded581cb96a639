"""Records roots: units files, cuts, salts and roots, each against one fault in an archive that is otherwise sound."""

import hashlib
import json
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ArchiveFormatError
from archive.verify.chunk_payloads import read_payloads
from archive.verify.report import Report
from archive.verify.run import verify_archive
from archive.verify.units import Part, check_cuts, compute_units_root, decode_part, make_salts
from tests.archive.verify.hand_made_log import HandMadeLog, encode_chunk, encode_part, put, records_root

UNITS = "000000000003.units"
LINES = [[b"<13>line one"], [b""], [b"head", b"flow 1", b"flow 2"], [b"x"]]
"""Units of four records: a line, nothing, a datagram of three units, one byte."""


def payloads(units: list[list[bytes]]) -> list[bytes]:
    return [b"".join(record) for record in units]


@pytest.fixture
def log(tmp_path: Path) -> HandMadeLog:
    """Leaves 1 and 2 are chunks; leaf 3 has both roots."""
    log = HandMadeLog(tmp_path / "data")
    log.append_records_chunk("collector", payloads(LINES))
    log.append_records_chunk("collector", payloads(LINES[::-1]))
    log.append_roots([(1, 0, LINES), (2, 0, LINES[::-1])])
    return log.publish()


def verify(log: HandMadeLog, **options: Any) -> Report:
    return verify_archive(log.directory, log.head_path, **options)


def found(report: Report) -> list[tuple[str, str, int | None]]:
    return [(defect.code, defect.file.rpartition("/")[2], defect.leaf) for defect in report.defects]


def test_sound_roots_are_intact_and_counted(log: HandMadeLog) -> None:
    report = verify(log)
    assert (report.exit_code, report.defects, report.units, report.leaves_without_root) == (0, [], 12, 0)
    assert verify(log, records_roots=False).units == 0


def test_data_leaves_without_root_are_a_statement(log: HandMadeLog) -> None:
    log.append_records_chunk("radius", [b"one"])
    report = verify(log.publish())
    assert (report.exit_code, report.leaves_without_root) == (0, 1)
    assert "leaves_without_root" in {statement.code for statement in report.statements}


def test_later_generations_follow_the_first_in_turn(log: HandMadeLog) -> None:
    finer = [[b"<13>line", b" one"], *LINES[1:]]
    log.append_roots([(1, 1, finer)])
    log.append_roots([(1, 2, LINES)])
    assert verify(log.publish()).exit_code == 0
    log.append_roots([(2, 2, LINES[::-1])])
    log.append_roots([(1, 0, LINES)])
    assert [code for code, _, leaf in found(verify(log.publish()))] == ["records_leaf", "records_leaf"]


def units_path(log: HandMadeLog) -> Path:
    return next((log.log / "segments").rglob("*.units"))


def test_every_flip_in_a_units_file_and_every_other_salt_key_is_found(log: HandMadeLog) -> None:
    path = units_path(log)
    data = path.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        assert found(verify(log)) == [("units_changed", UNITS, 3)]
    path.write_bytes(data)
    key = path.with_name("salt.key")
    good = key.read_bytes()
    key.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert found(verify(log)) == [("records_root", UNITS, 3)] * 2
    for code, content in (("salt_damaged", good[:-1]), ("salt_damaged", good + b"x")):
        key.write_bytes(content)
        assert found(verify(log)) == [(code, "salt.key", None)]
    key.unlink()
    assert found(verify(log)) == [("salt_missing", "salt.key", None)]


def test_missing_units_are_a_defect_while_the_records_are_there(log: HandMadeLog) -> None:
    units_path(log).unlink()
    assert found(verify(log)) == [("units_missing", UNITS, 3)]
    next((log.log / "segments").rglob("*.seg")).unlink()
    assert {code for code, _, _ in found(verify(log))} == {"segment_missing"}


def test_units_files_no_leaf_names_are_a_crash(log: HandMadeLog) -> None:
    put(units_path(log).with_name("000000000009.units"), b"begun")
    report = verify(log)
    assert report.exit_code == 0
    assert "units_beyond_head" in {statement.code for statement in report.statements}


def rewrite(log: HandMadeLog, content: bytes) -> None:
    """The units file and its sealed SHA-256, as a signer would have them."""
    fields = json.loads(log.leaves[3])
    put(units_path(log), content)
    del log.leaves[3]
    changed = {name: value for name, value in fields.items() if name not in ("v", "kind", "log")}
    log.append("records", **changed | {"sha256": hashlib.sha256(content).hexdigest()})
    log.publish()


SECOND = encode_part(2, 0, LINES[::-1])
WITH_EMPTY_UNITS = [*LINES[:2], [b"headflow 1flow 2", b"", b""], LINES[3]]
WRONG_PARTS: dict[str, Callable[[], bytes]] = {
    "another leaf": lambda: encode_part(2, 0, LINES) + SECOND,
    "another generation": lambda: encode_part(1, 1, LINES) + SECOND,
    "record missing": lambda: encode_part(1, 0, LINES[:-1]) + SECOND,
    "unit missing": lambda: encode_part(1, 0, [LINES[0], [], *LINES[2:]]) + SECOND,
    "cut inside another record": lambda: encode_part(1, 0, [[b"<13>line on"], [b"e"], *LINES[2:]]) + SECOND,
    "empty unit in a payload": lambda: encode_part(1, 0, WITH_EMPTY_UNITS) + SECOND,
    "no checksum": lambda: encode_part(1, 0, LINES, checksum=False) + SECOND,
    "no frame": lambda: b"\x04\0\0\0oops" + SECOND,
    "part missing": lambda: encode_part(1, 0, LINES),
    "part too many": lambda: encode_part(1, 0, LINES) + SECOND + SECOND,
    "cut off": lambda: encode_part(1, 0, LINES) + SECOND[:-1],
    "length cut off": lambda: encode_part(1, 0, LINES) + SECOND[:3],
    "nothing": lambda: b"",
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_PARTS)
def test_units_sealed_wrongly_are_found_although_signed(log: HandMadeLog, case: str) -> None:
    rewrite(log, WRONG_PARTS[case]())
    assert ("units_structure", UNITS, 3) in found(verify(log))


def test_root_over_other_units_is_found(log: HandMadeLog) -> None:
    other = [[b"<13>line", b" one"], LINES[1], [b"headflow 1", b"flow 2"], LINES[3]]
    assert sum(map(len, other)) == sum(map(len, LINES))
    rewrite(log, encode_part(1, 0, other) + SECOND)
    assert found(verify(log)) == [("records_root", UNITS, 3)]


ODD_LEAVES: dict[str, Callable[[HandMadeLog], object]] = {
    "of no data leaf": lambda a: a.append_roots([(1, 1, LINES)], roots=[root_of_leaf(0)]),
    "of a later leaf": lambda a: a.append_roots([(1, 1, LINES)], roots=[root_of_leaf(99)]),
    "of another number": lambda a: a.append_roots([(1, 1, LINES)], file="collector/20261118/000000000003.units"),
    "outside": lambda a: a.append_roots([(1, 1, LINES)], file="../../../etc/passwd"),
    "of another stream": lambda a: a.append_roots([(1, 1, LINES)], stream="radius"),
}


def root_of_leaf(leaf: int) -> dict[str, Any]:
    return {"leaf": leaf, "generation": 0, "units": 1, "root": "0" * 64}


@pytest.mark.parametrize("case", ODD_LEAVES)
def test_records_leaf_that_names_the_wrong_thing_is_found(log: HandMadeLog, case: str) -> None:
    ODD_LEAVES[case](log)
    assert "records_leaf" in {code for code, _, _ in found(verify(log.publish()))}


def test_chunk_that_is_none_is_found_where_its_units_are(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data")
    log.append_data("collector", b"no chunk", records=1)
    log.append_roots([(1, 0, [[b"no chunk"]])])
    assert ("units_structure", "000000000002.units", 2) in found(verify(log.publish()))


def test_salts_are_those_of_one_block_each() -> None:
    """CTR in one call against ECB of each block, also where leaf and generation fill their bytes."""
    units = [b"%d" % n for n in range(300)]
    for leaf, generation in ((0, 0), (2**40 + 7, 2**32 - 1)):
        key = hashlib.sha256(b"%d" % leaf).digest()
        salts = make_salts(key, leaf, generation, len(units))
        root = compute_units_root(salts, b"".join(units), [len(unit) for unit in units])
        assert root == records_root(key, leaf, generation, units)


def test_payloads_of_a_chunk_with_several_batches() -> None:
    import pyarrow as pa
    import zstandard

    sink = pa.BufferOutputStream()
    schema = pa.schema([("payload", pa.binary())])
    with pa.ipc.new_stream(sink, schema) as writer:
        for values in ([b"a", b"bb"], [], [b"", b"ccc"]):
            writer.write_table(pa.table({"payload": pa.array(values, pa.binary())}))
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(sink.getvalue().to_pybytes())
    assert read_payloads(frame) == (b"abbccc", [1, 3, 3, 6])
    assert read_payloads(encode_chunk([])) == (b"", [])


def test_part_of_a_size_nobody_expects_is_refused() -> None:
    bomb = encode_part(1, 0, [[b"x" * 10]] * 5000)[4:]
    with pytest.raises(ArchiveFormatError):
        decode_part(bomb, 1, 1)
    check_cuts(Part(1, 0, array("I"), array("I")), [])
