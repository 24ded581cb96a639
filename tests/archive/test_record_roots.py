"""Records roots: units reported by a decode worker become files and leaves whose roots a stranger recomputes."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from small_log import SmallLog

from archive.chunk import decode_chunk
from archive.decoder import Units
from archive.errors import ArchiveFormatError
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.records_root import (
    Cuts,
    check_cuts,
    chunk_payloads,
    compute_records_root,
    decode_parts,
    encode_part,
    make_salts,
)
from archive.sealer import Sealer
from archive.sealing.record_roots import LEAF_INTERVAL_SECONDS, MAX_ROOTS, RecordRoots
from archive.segment import read_stored_chunk
from archive.tree import TreeReader
from archive.unit_report import report_units

KEY = bytes(range(32))


def cuts_of(leaf: int, *records: list[int], generation: int = 0) -> Cuts:
    lengths = [length for record in records for length in record]
    return Cuts(leaf, generation, np.array([len(r) for r in records], np.uint32), np.array(lengths, np.uint32))


def units_of(*rows: tuple[int, int], leaf: int | None = None) -> Units:
    row, length = (np.array(column, np.uint32) for column in zip(*rows, strict=True))
    return Units(
        row, np.zeros(len(row), np.uint32), length, None if leaf is None else np.full(len(row), leaf, np.uint64)
    )


def slow_root(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + slow_root(entries[:k]) + slow_root(entries[k:])).digest()


def slow_salt(key: bytes, leaf: int, generation: int, unit: int) -> bytes:
    block = leaf.to_bytes(8, "big") + generation.to_bytes(4, "big") + unit.to_bytes(4, "big")
    return Cipher(AES256(key), ECB()).encryptor().update(block)  # noqa: S305


class Rooted:
    """A small log whose sealer takes reports of units."""

    def __init__(self, log: SmallLog) -> None:
        self.log = log
        self.units = log.paths.inbox / "units"
        self.start()

    def start(self) -> None:
        self.roots = RecordRoots(self.log.paths, self.log.clock, lambda: self.sealer.tree_size)
        self.sealer = Sealer(
            self.log.paths, self.log.keys, clock=self.log.clock, head_interval_seconds=0, sources=[self.roots]
        )
        self.log.sealers.append(self.sealer)

    def write(self, *payloads: bytes, stream: str = "collector") -> int:
        """Seal records; returns their leaf."""
        writer = self.log.writer(stream)
        for payload in payloads:
            writer.append(payload, listener="netflow/udp-2055")
        writer.close()
        self.log.writers.remove(writer)
        self.log.clock.advance(1)
        self.sealer.run_once(full_look=True)
        return max(
            index for index, leaf in enumerate(self.leaves()) if leaf.get("stream") == stream and "segment" in leaf
        )

    def turn(self, seconds: float = LEAF_INTERVAL_SECONDS) -> None:
        self.sealer.run_once()
        self.log.clock.advance(seconds)
        self.sealer.run_once()
        self.sealer.publish()

    def leaves(self) -> list[dict]:
        size = self.sealer.checkpoint.size
        reader = TreeReader(self.log.paths.log, size)
        return [decode_leaf(reader.leaf(index)) for index in range(size)]

    def chunk(self, leaf: int) -> pa.Table:
        return decode_chunk(read_stored_chunk(self.log.paths.segments, stored_chunk(self.leaves()[leaf])))

    def records_leaves(self) -> list[dict]:
        return [leaf for leaf in self.leaves() if leaf["kind"] == "records"]


@pytest.fixture
def rooted(small_log: SmallLog) -> Rooted:
    return Rooted(small_log)


@pytest.mark.parametrize("units", [0, 1, 2, 3, 7, 8, 9, 100])
def test_the_root_is_that_of_rfc_6962_over_salt_and_unit(units: int) -> None:
    payload = os.urandom(10 * units)
    cuts = cuts_of(3, *([10] for _ in range(units)), generation=2)
    salts = make_salts(KEY, 3, 2, units)
    expected = [slow_salt(KEY, 3, 2, n) + payload[10 * n : 10 * n + 10] for n in range(units)]
    assert compute_records_root(cuts, pa.py_buffer(payload), salts) == slow_root(expected)


def test_salts_differ_by_leaf_generation_and_unit() -> None:
    salts = {
        make_salts(KEY, leaf, g, 5)[16 * n : 16 * n + 16] for leaf in (1, 2**32 + 1) for g in (0, 1) for n in range(5)
    }
    assert len(salts) == 20


def test_units_come_back_from_their_file() -> None:
    parts = [cuts_of(5, [3, 4], [0], [9]), cuts_of(2**40, generation=7), cuts_of(6, [1] * 1000)]
    found = list(decode_parts(b"".join(map(encode_part, parts))))
    assert [(c.leaf_index, c.generation) for c in found] == [(5, 0), (2**40, 7), (6, 0)]
    assert all(a.has_same_units(b) for a, b in zip(found, parts, strict=True))


def test_every_changed_byte_of_a_units_file_is_refused_or_changes_the_units() -> None:
    part = encode_part(cuts_of(5, [3, 4], [0], [9]))
    for offset in range(len(part)):
        changed = bytearray(part)
        changed[offset] ^= 1
        try:
            found = list(decode_parts(bytes(changed)))
        except ArchiveFormatError:
            continue
        # zstd has bits that change nothing; the leaf's SHA-256 of the file finds those.
        assert len(found) == 1
        assert found[0].has_same_units(next(decode_parts(part)))


@pytest.mark.parametrize(
    ("records", "sizes"),
    [
        ([[3]], [4]), ([[3], [1]], [4]), ([[4]], [4, 4]), ([[4, 0]], [4]), ([[0, 4]], [4]), ([[]], [0]),
        ([[2, 3]], [4]), ([[4], []], [4, 0]),
    ],
)  # fmt: skip
def test_cuts_with_a_gap_an_overlap_or_another_count_are_refused(records: list[list[int]], sizes: list[int]) -> None:
    with pytest.raises(ArchiveFormatError):
        check_cuts(cuts_of(1, *records), np.array(sizes))


def test_a_quarter_hour_of_reports_becomes_one_leaf_a_stream(rooted: Rooted) -> None:
    first = rooted.write(b"headAAAABBBB", b"line")
    second = rooted.write(b"x" * 40)
    other = rooted.write(b"login", stream="radius")
    # Before them stands the record that the writer makes of its start.
    row = rooted.leaves()[first]["records"] - 2
    report_units(rooted.units, first, [units_of((row, 4), (row, 4), (row, 4))])
    report_units(rooted.units, second, [])
    report_units(rooted.units, other, [])
    rooted.sealer.run_once()
    rooted.sealer.publish()
    assert rooted.records_leaves() == []
    rooted.turn()
    leaves = rooted.records_leaves()
    assert [(leaf["stream"], [root["leaf"] for root in leaf["roots"]]) for leaf in leaves] == [
        ("collector", [first, second]), ("radius", [other]),
    ]  # fmt: skip
    folder = rooted.log.paths.segments / Path(leaves[0]["file"]).parent
    key = (folder / "salt.key").read_bytes()
    started = chunk_payloads(rooted.chunk(first))[0].to_pybytes().removesuffix(b"headAAAABBBBline")
    units = [started, b"head", b"AAAA", b"BBBB", b"line"]
    entries = [slow_salt(key, first, 0, n) + unit for n, unit in enumerate(units)]
    assert row == 1
    assert leaves[0]["roots"][0]["root"] == slow_root(entries).hex()
    assert (folder / "salt.key").stat().st_mode & 0o777 == 0o600
    assert list(rooted.units.glob("*.arrow")) == []
    rooted.log.check()


def test_units_told_apart_later_get_a_root_of_the_next_generation(rooted: Rooted) -> None:
    leaf = rooted.write(b"headAAAABBBB")
    rows = rooted.leaves()[leaf]["records"]
    row = rows - 1
    report_units(rooted.units, leaf, [])
    rooted.turn()
    report_units(rooted.units, leaf + 1, [units_of((row, 4), (row, 8), leaf=leaf)])
    (rooted.units / f"{leaf + 1:020d}.arrow").unlink()
    rooted.turn()
    report_units(rooted.units, leaf, [units_of((row, 4), (row, 8))])
    rooted.turn()
    roots = [root for one in rooted.records_leaves() for root in one["roots"]]
    assert [(root["leaf"], root["generation"], root["units"]) for root in roots] == [
        (leaf, 0, rows),
        (leaf, 1, rows + 1),
    ]
    assert roots[0]["root"] != roots[1]["root"]
    rooted.log.check()


def test_two_reports_of_a_leaf_at_once_are_two_roots(rooted: Rooted) -> None:
    leaf = rooted.write(b"headAAAABBBB")
    row = rooted.leaves()[leaf]["records"] - 1
    report_units(rooted.units, leaf, [units_of((row, 6), (row, 6), leaf=leaf)])
    rooted.turn()
    roots = [root for one in rooted.records_leaves() for root in one["roots"]]
    assert [root["generation"] for root in roots] == [0, 1]
    rooted.log.check()


def test_a_report_repeated_after_a_restart_seals_nothing_twice(rooted: Rooted) -> None:
    leaf = rooted.write(b"headAAAABBBB")
    report_units(rooted.units, leaf, [])
    rooted.turn()
    rooted.log.drop_sealer(rooted.sealer)
    rooted.start()
    report_units(rooted.units, leaf, [])
    rooted.turn()
    assert len(rooted.records_leaves()) == 1
    assert list(rooted.units.glob("*.arrow")) == []


def test_a_death_before_the_head_leaves_no_root_behind(rooted: Rooted) -> None:
    leaf = rooted.write(b"headAAAABBBB")
    report_units(rooted.units, leaf, [])
    rooted.sealer.run_once()
    rooted.log.clock.advance(LEAF_INTERVAL_SECONDS)

    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    rooted.sealer._tree.store = die  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        rooted.sealer.run_once()
    assert len(list(rooted.log.paths.segments.glob("*/*/*.units"))) == 1
    rooted.log.drop_sealer(rooted.sealer)
    rooted.start()
    assert list(rooted.log.paths.segments.glob("*/*/*.units")) == []
    rooted.turn()
    assert len(rooted.records_leaves()) == 1
    rooted.log.check()


def test_a_hold_or_a_package_does_not_wait_for_the_quarter_hour(rooted: Rooted) -> None:
    leaf = rooted.write(b"one")
    report_units(rooted.units, leaf, [])
    rooted.roots.force()
    rooted.sealer.run_once()
    assert [root["leaf"] for one in rooted.records_leaves() for root in one["roots"]] == [leaf]


def test_more_roots_than_a_leaf_holds_become_several(rooted: Rooted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.sealing.record_roots.MAX_ROOTS", 3)
    leaves = [rooted.write(b"line %d" % n) for n in range(8)]
    for leaf in leaves:
        report_units(rooted.units, leaf, [])
    rooted.turn()
    assert [len(one["roots"]) for one in rooted.records_leaves()] == [3, 3, 2]
    rooted.log.check()


def test_the_longest_leaf_fits_a_bundle() -> None:
    root = {"generation": 2**31, "leaf": 2**52, "root": "f" * 64, "units": 2**24}
    assert len(str([root] * MAX_ROOTS)) + 400 < 65_535


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.arrow", b""), (f"{1:020d}.arrow", b"no arrow"), (f"{0:020d}.arrow", None), (f"{9999:020d}.arrow", None)],
)
def test_a_bad_report_is_put_aside(rooted: Rooted, name: str, content: bytes | None) -> None:
    leaf = rooted.write(b"one")
    report_units(rooted.units, leaf, [])
    good = (rooted.units / f"{leaf:020d}.arrow").read_bytes()
    (rooted.units / name).write_bytes(good if content is None else content)
    rooted.turn()
    assert rooted.roots.refused == 1
    assert [root["leaf"] for one in rooted.records_leaves() for root in one["roots"]] == [leaf]


def test_reports_that_do_not_fit_their_payloads_are_put_aside(rooted: Rooted) -> None:
    leaf = rooted.write(b"0123456789")
    row = rooted.leaves()[leaf]["records"] - 1
    for wrong in ([(row, 9)], [(row, 5), (row, 6)], [(row + 1, 10)], [(row, 10), (row, 0)]):
        report_units(rooted.units, leaf, [units_of(*wrong)])
        rooted.sealer.run_once()
        rooted.log.clock.advance(1)
    assert rooted.roots.refused == 4
    assert rooted.roots.waiting == 0


def test_units_of_a_purged_segment_are_dropped(rooted: Rooted) -> None:
    leaf = rooted.write(b"one")
    report_units(rooted.units, leaf, [])
    (rooted.log.paths.segments / rooted.leaves()[leaf]["segment"]).unlink()
    rooted.turn()
    assert rooted.roots.refused == 0
    assert rooted.records_leaves() == []
    assert list(rooted.units.glob("*.arrow")) == []


def test_a_report_that_a_power_cut_tore_holds_no_other_up(rooted: Rooted) -> None:
    leaf, other = rooted.write(b"one"), rooted.write(b"two")
    for one in (leaf, other):
        report_units(rooted.units, one, [])
    path = rooted.units / f"{leaf:020d}.arrow"
    path.write_bytes(path.read_bytes()[:-40])
    rooted.turn()
    assert rooted.roots.refused == 1
    assert [root["leaf"] for one in rooted.records_leaves() for root in one["roots"]] == [other]


def test_one_report_is_taken_however_long_the_listing_takes(rooted: Rooted, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = [rooted.write(b"line %d" % n) for n in range(3)]
    for leaf in leaves:
        report_units(rooted.units, leaf, [])
    monkeypatch.setattr("archive.sealing.record_roots.TURN_SECONDS", -1.0)
    for _ in leaves:
        rooted.sealer.run_once()
    rooted.turn()
    assert sorted(root["leaf"] for one in rooted.records_leaves() for root in one["roots"]) == leaves


@pytest.mark.parametrize("left", [None, b"", b"short"])
def test_without_its_key_a_folder_gets_no_other_one(rooted: Rooted, left: bytes | None) -> None:
    first = rooted.write(b"one")
    report_units(rooted.units, first, [])
    rooted.turn()
    key = next(rooted.log.paths.segments.glob("collector/*/salt.key"))
    kept = key.read_bytes()
    key.unlink()
    if left is not None:
        key.write_bytes(left)
    report_units(rooted.units, rooted.write(b"two"), [])
    rooted.turn()
    assert rooted.roots.refused == 1
    assert len(rooted.records_leaves()) == 1
    key.write_bytes(kept)
    rooted.log.check()


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_what_is_no_file_is_put_aside(rooted: Rooted, kind: str) -> None:
    leaf = rooted.write(b"one")
    report_units(rooted.units, leaf, [])
    odd = rooted.units / f"{0:020d}.arrow"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "directory":
        odd.mkdir()
    else:
        odd.symlink_to(rooted.units / f"{leaf:020d}.arrow")
    rooted.turn()
    assert rooted.roots.refused == 1
    assert [root["leaf"] for one in rooted.records_leaves() for root in one["roots"]] == [leaf]
