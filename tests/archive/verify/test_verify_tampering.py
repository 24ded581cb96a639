"""Damage of every kind to a sound archive: found, and blamed on the file, chunk and leaf that was damaged."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog, encode_bundle

FLIPS = 200
TREE_AND_HEAD_FILES = [
    "log/tile/0/000",
    "log/tile/0/001",
    "log/tile/0/002.p/188",
    "log/tile/1/000.p/2",
    "log/tile/entries/000.zst",
    "log/tile/entries/001.zst",
    "log/tile/entries/002.p/188.zst",
    "log/checkpoint",
    "log/key.vkey",
    "log/origin",
    "data.head",
]


def verify(log: HandMadeLog, checkpoint: bytes | None = None) -> Report:
    return verify_archive(log.directory, log.head_path, checkpoints=[checkpoint] if checkpoint else [])


def codes(report: Report) -> set[str]:
    return {defect.code for defect in report.defects}


def path_of(log: HandMadeLog, file: str) -> Path:
    return log.head_path if file == "data.head" else log.directory / file


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def flips(data: bytes, seed: int) -> Iterator[tuple[int, bytes]]:
    """One bit changed at random places, every byte of a small file."""
    chooser = random.Random(seed)
    places = range(len(data)) if len(data) <= FLIPS else chooser.sample(range(len(data)), FLIPS)
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << chooser.randrange(8)
        yield place, bytes(damaged)


@pytest.mark.parametrize("file", TREE_AND_HEAD_FILES)
def test_every_flip_is_blamed_on_its_file_alone(archive: HandMadeLog, file: str) -> None:
    path = path_of(archive, file)
    for place, damaged in flips(path.read_bytes(), seed=len(file)):
        with changed(path, damaged):
            report = verify(archive)
        assert report.exit_code == 1, place
        assert {defect.file for defect in report.defects} == {file}, place
    assert verify(archive).exit_code == 0


def test_every_flip_in_a_segment_is_blamed_on_its_chunk(archive: HandMadeLog) -> None:
    leaves = list(map(json.loads, archive.leaves))
    segments = sorted((archive.log / "segments").rglob("*.seg"))
    assert len(segments) > 6
    checked = 0
    for number, path in enumerate(segments):
        segment = path.relative_to(archive.log / "segments").as_posix()
        chunks = [(n, leaf) for n, leaf in enumerate(leaves) if leaf.get("segment") == segment]
        for place, damaged in list(flips(path.read_bytes(), seed=number))[: FLIPS // len(segments) + 1]:
            [(leaf, fields)] = [c for c in chunks if 0 <= place - c[1]["offset"] < c[1]["length"]]
            with changed(path, damaged):
                [defect] = verify(archive).defects
            assert (defect.code, defect.file) == ("chunk_changed", f"log/segments/{segment}")
            assert (defect.offset, defect.leaf) == (fields["offset"], leaf)
            assert (defect.segment, defect.stream) == (segment, fields["stream"])
            checked += 1
    assert checked >= FLIPS


@pytest.mark.parametrize("file", TREE_AND_HEAD_FILES)
@pytest.mark.parametrize("damage", [b"", None, b"one byte less", b"one byte more"])
def test_lost_emptied_cut_and_grown_files_are_found(archive: HandMadeLog, file: str, damage: bytes | None) -> None:
    path = path_of(archive, file)
    data = path.read_bytes()
    if damage is None:
        path.unlink()
    elif damage == b"one byte less":
        # A line without its newline says the same; one character less does not.
        path.write_bytes(data[:-2] if file in ("log/origin", "log/key.vkey") else data[:-1])
    else:
        path.write_bytes(data + b"x" if damage else b"")
    report = verify(archive)
    assert report.exit_code == 1
    assert file in {defect.file for defect in report.defects}


def test_two_damaged_files_are_both_named(archive: HandMadeLog) -> None:
    for file in ("log/tile/0/000", "log/tile/entries/001.zst", "log/tile/1/000.p/2"):
        path = path_of(archive, file)
        damaged = bytearray(path.read_bytes())
        damaged[10 if file != "log/tile/1/000.p/2" else 40] ^= 4
        path.write_bytes(damaged)
    named = {defect.file for defect in verify(archive).defects}
    assert {"log/tile/0/000", "log/tile/entries/001.zst"} <= named


def chunks_of(archive: HandMadeLog, count: int) -> tuple[Path, list[tuple[int, int, int]]]:
    """The first chunks of one segment: leaf, offset, length."""
    segment = next(leaf["segment"] for leaf in map(json.loads, archive.leaves) if leaf["kind"] == "data")
    found = [
        (number, leaf["offset"], leaf["length"])
        for number, leaf in enumerate(map(json.loads, archive.leaves))
        if leaf.get("segment") == segment
    ]
    assert len(found) >= count
    return archive.log / "segments" / segment, found[:count]


def test_chunk_deleted_doubled_or_cut_off_is_found_at_the_first_chunk_moved(archive: HandMadeLog) -> None:
    path, chunks = chunks_of(archive, 32)
    data = path.read_bytes()
    for leaf, offset, length in chunks:
        chunk = data[offset : offset + length]
        for damaged, first in (
            (data[:offset] + data[offset + length :], leaf),
            (data[:offset] + chunk + data[offset:], None),
            (data[:offset], leaf),
        ):
            with changed(path, damaged):
                report = verify(archive)
            assert report.exit_code == 1
            blamed = [defect.leaf for defect in report.defects if defect.leaf is not None]
            assert min(blamed) == leaf if first is not None else min(blamed) > leaf


def test_swapped_chunks_are_found(archive: HandMadeLog) -> None:
    path, chunks = chunks_of(archive, 24)
    data = path.read_bytes()
    for first in range(len(chunks)):
        for second in range(first + 1, len(chunks)):
            (leaf, a, a_length), (_, b, b_length) = chunks[first], chunks[second]
            swapped = (
                data[:a]
                + data[b : b + b_length]
                + data[a + a_length : b]
                + data[a : a + a_length]
                + data[b + b_length :]
            )
            with changed(path, swapped):
                report = verify(archive)
            assert report.exit_code == 1
            assert min(d.leaf for d in report.defects if d.leaf is not None) == leaf


def test_missing_segment_names_it(archive: HandMadeLog) -> None:
    path, chunks = chunks_of(archive, 1)
    path.unlink()
    report = verify(archive)
    segment = path.relative_to(archive.log / "segments").as_posix()
    assert ("segment_missing", segment, chunks[0][0]) in {(d.code, d.segment, d.leaf) for d in report.defects}


def test_bytes_no_leaf_covers_before_the_end_of_a_stream_are_found(archive: HandMadeLog) -> None:
    path, _ = chunks_of(archive, 1)
    data = path.read_bytes()
    path.write_bytes(data + b"slipped in")
    hidden = path.with_name("000099.seg")
    hidden.write_bytes(b"slipped in too")
    found = {(defect.code, defect.file, defect.offset) for defect in verify(archive).defects}
    segment = path.relative_to(archive.directory).as_posix()
    assert found == {
        ("segment_trailing", segment, len(data)),
        ("segment_unknown", hidden.relative_to(archive.directory).as_posix(), None),
    }


LeafChange = Callable[[list[bytes]], list[bytes]]


def edited(leaf: bytes, **changes: Any) -> bytes:
    return rfc8785.dumps({**json.loads(leaf), **changes})


LEAF_CHANGES: dict[str, tuple[LeafChange, int]] = {
    "edited": (lambda x: [*x[:40], edited(x[40], torn_bytes=1), *x[41:]], 40),
    "swapped": (lambda x: [*x[:40], x[41], x[40], *x[42:]], 40),
    "doubled": (lambda x: [*x[:40], x[40], *x[40:-1]], 41),
    "deleted": (lambda x: [*x[:40], *x[41:], x[40]], 40),
    "not canonical": (lambda x: [*x[:40], x[40].replace(b":", b": ", 1), *x[41:]], 40),
    "not JSON": (lambda x: [*x[:40], b"{", *x[41:]], 40),
    "empty": (lambda x: [*x[:40], b"", *x[41:]], 40),
}


@pytest.mark.parametrize("change", LEAF_CHANGES)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_bundle_rewritten_without_the_tree_names_the_first_leaf(archive: HandMadeLog, change: str, index: int) -> None:
    """The trailer is right, as a forger would make it; the tree says otherwise."""
    rewrite, first = LEAF_CHANGES[change]
    leaves = archive.leaves[256 * index : 256 * index + 256]
    path = archive.write_bundle(index, rewrite(leaves))
    report = verify(archive)
    assert report.exit_code == 1
    file = path.relative_to(archive.directory).as_posix()
    wrong = [d.leaf for d in report.defects if d.code == "leaf_changed" and d.file == file and d.leaf is not None]
    assert min(wrong) == 256 * index + first
    assert not any(defect.file.startswith("log/tile/0/") for defect in report.defects)


@pytest.mark.parametrize("count", [255, 0])
def test_bundle_with_too_few_leaves_is_found(archive: HandMadeLog, count: int) -> None:
    path = archive.log / "tile" / "entries" / "000.zst"
    path.write_bytes(encode_bundle(archive.leaves[:count]))
    [defect] = verify(archive).defects
    assert (defect.code, defect.file) == ("bundle_damaged", "log/tile/entries/000.zst")


def test_tree_rewritten_without_the_key_contradicts_the_signed_root(archive: HandMadeLog) -> None:
    archive.leaves[300] = edited(archive.leaves[300], torn_bytes=1)
    archive.write_tree()
    assert "root_differs" in codes(verify(archive))


def test_history_rewritten_with_the_key_needs_an_outside_checkpoint(archive: HandMadeLog) -> None:
    printed = archive.checkpoint(350)
    archive.leaves = archive.leaves[:300]
    archive._last, archive._ends = {}, {}
    for number, leaf in enumerate(map(json.loads, archive.leaves)):
        if "stream" in leaf:
            archive.remember(leaf["stream"], number, leaf["spool_sequence"])
    for path in (archive.log / "segments").rglob("*.seg"):
        segment = path.relative_to(archive.log / "segments").as_posix()
        leaves = [leaf for leaf in map(json.loads, archive.leaves) if leaf.get("segment") == segment]
        archive._ends[segment] = max((leaf["offset"] + leaf["length"] for leaf in leaves), default=0)
        path.write_bytes(path.read_bytes()[: archive._ends[segment]])
    for _ in range(100):
        archive.append_data("collector", number=9)
    archive.publish()
    alone = verify(archive)
    assert (alone.exit_code, alone.freshness) == (0, "unproven")
    assert "freshness_unproven" in {statement.code for statement in alone.statements}
    assert codes(verify(archive, printed)) == {"anchor_inconsistent"}


def test_archive_put_back_to_an_older_state_needs_an_outside_checkpoint(archive: HandMadeLog) -> None:
    printed = archive.checkpoint(700)
    archive.publish(600)
    assert verify(archive).exit_code == 0
    assert codes(verify(archive, printed)) == {"anchor_ahead"}


def test_given_checkpoint_of_another_key_is_a_defect(archive: HandMadeLog, tmp_path: Path) -> None:
    other = HandMadeLog(tmp_path / "other", seed=2).fill(10)
    assert codes(verify(archive, other.checkpoint(10))) == {"anchor_foreign"}
    named = HandMadeLog(tmp_path / "named", origin="phayan.example/other").fill(10)
    assert codes(verify(archive, named.checkpoint(10))) == {"anchor_foreign"}


def test_head_put_back_behind_the_published_checkpoint_is_found(archive: HandMadeLog) -> None:
    archive.write_tree(600)
    archive.head_path.write_bytes(archive.checkpoint(600))
    assert codes(verify(archive)) == {"checkpoint_ahead"}


def test_published_checkpoint_of_another_history_is_found(archive: HandMadeLog) -> None:
    other = list(archive.leaves)
    other[7] = edited(other[7], boot_id="another")
    for size in (700, 600, 512):
        (archive.log / "checkpoint").write_bytes(archive.checkpoint(size, other))
        [defect] = verify(archive).defects
        assert (defect.code, defect.file) == ("checkpoint_inconsistent", "log/checkpoint")


def test_key_and_heads_exchanged_contradict_leaf_0(archive: HandMadeLog, tmp_path: Path) -> None:
    other = HandMadeLog(tmp_path / "other", seed=2)
    other.leaves = archive.leaves
    (archive.log / "key.vkey").write_text(f"{other.vkey}\n", encoding="utf-8")
    archive.head_path.write_bytes(other.checkpoint(700))
    (archive.log / "checkpoint").write_bytes(other.checkpoint(700))
    [defect] = verify(archive).defects
    assert (defect.code, defect.file, defect.leaf) == ("key_differs", "log/key.vkey", 0)


def append_and_verify(archive: HandMadeLog, append: Callable[[HandMadeLog], object]) -> list[tuple[str, int | None]]:
    append(archive)
    archive.publish()
    return [(defect.code, defect.leaf) for defect in verify(archive).defects]


STEP = {"from_unix_ns": "2", "to_unix_ns": "1"}
ROOT = {"leaf": 1, "generation": 0, "units": 1, "root": "0" * 64}
SEALED_WRONGLY: dict[str, tuple[Callable[[HandMadeLog], object], str]] = {
    "sequence skipped": (lambda a: a.append_empty("audit", spool_sequence=9_999), "stream_sequence"),
    "sequence repeated": (
        lambda a: a.append_empty("audit", spool_sequence=a._last["audit"][1]),
        "stream_sequence",
    ),
    "no previous": (lambda a: a.append_empty("audit", previous=None), "stream_previous"),
    "other previous": (
        lambda a: a.append_empty("audit", previous={"leaf": 0, "hash": "0" * 64}),
        "stream_previous",
    ),
    "previous of a new stream": (
        lambda a: a.append_empty("portal", previous={"leaf": 0, "hash": "0" * 64}),
        "stream_previous",
    ),
    "gap in segment": (lambda a: a.append_data("audit", number=5, offset=10**9), "segment_gap"),
    "segment of another stream": (
        lambda a: a.append_data("audit", segment="radius/20261119/000005.seg"),
        "segment_name",
    ),
    "segment of another day": (
        lambda a: a.append_data("audit", segment="audit/20261101/000005.seg"),
        "segment_name",
    ),
    "segment outside": (lambda a: a.append_data("audit", segment="../../../etc/passwd"), "segment_name"),
    "records over midnight": (lambda a: a.append_data("audit", first_unix_ns="1"), "segment_name"),
    "second key": (
        lambda a: a.append("key", vkey=a.vkey, package_certificate_sha256="0" * 64, unix_ns="1", former=None),
        "leaf_key",
    ),
    "unknown kind": (lambda a: a.append("purge"), "leaf_fields"),
    "unknown field": (lambda a: a.append("heartbeat", **a.clock(), more=1), "leaf_fields"),
    "field missing": (lambda a: a.append("heartbeat", unix_ns="1", boot_id="b"), "leaf_fields"),
    "number for string": (lambda a: a.append("heartbeat", **a.clock() | {"unix_ns": 1}), "leaf_fields"),
    "leading zero": (lambda a: a.append("heartbeat", **a.clock() | {"unix_ns": "01"}), "leaf_fields"),
    "true for number": (lambda a: a.append_empty("audit", torn_bytes=True), "leaf_fields"),
    "negative number": (lambda a: a.append_empty("audit", torn_bytes=-1), "leaf_fields"),
    "upper-case hash": (lambda a: a.append_data("audit", number=5, sha256="A" * 64), "leaf_fields"),
    "stream name with a path": (lambda a: a.append_empty("../audit"), "leaf_fields"),
    "other log": (lambda a: a.append("heartbeat", **a.clock() | {"log": "x"}), "leaf_fields"),
    "other version": (lambda a: a.append("heartbeat", **a.clock() | {"v": 2}), "leaf_fields"),
    "clock of old form": (
        lambda a: a.append("clock", from_unix_ns="1", to_unix_ns="2", boot_id="b"),
        "leaf_fields",
    ),
    "step with a field more": (lambda a: a.append_clock(step={**STEP, "boot_id": "b"}), "leaf_fields"),
    "step that is no number": (lambda a: a.append_clock(step={**STEP, "to_unix_ns": 1}), "leaf_fields"),  # type: ignore[dict-item]
    "sample that is not sure": (lambda a: a.append_clock((None, 1)), "leaf_fields"),  # type: ignore[arg-type]
    "sample with half an offset": (lambda a: a.append_clock((True, "1")), "leaf_fields"),  # type: ignore[arg-type]
    "samples that are no list": (lambda a: a.append("clock", boot_id="b", step=None, samples={}), "leaf_fields"),
    "anchor without evidence": (lambda a: a.append("anchor", by="witness", name="x"), "leaf_fields"),
    "records without roots": (
        lambda a: a.append("records", stream="audit", file="x", sha256="0" * 64, roots=[]),
        "leaf_fields",
    ),
    "root with a field more": (
        lambda a: a.append("records", stream="audit", file="x", sha256="0" * 64, roots=[{**ROOT, "x": 1}]),
        "leaf_fields",
    ),
    "root of half a generation": (
        lambda a: a.append("records", stream="audit", file="x", sha256="0" * 64, roots=[{**ROOT, "generation": -1}]),
        "leaf_fields",
    ),
    "floating point": (lambda a: a.leaves.append(b'{"kind":"heartbeat","v":1.5}'), "leaf_format"),
    "names unsorted": (lambda a: a.leaves.append(b'{"v":1,"kind":"heartbeat"}'), "leaf_format"),
    "name twice": (lambda a: a.leaves.append(b'{"v":1,"v":1}'), "leaf_format"),
    "a list": (lambda a: a.leaves.append(b"[]"), "leaf_format"),
    "two objects": (lambda a: a.leaves.append(b"{},{}"), "leaf_format"),
    "half an object each": (lambda a: a.leaves.extend([b'{"a":[1', b"2]}"]), "leaf_format"),
    "not UTF-8": (lambda a: a.leaves.append(b'{"a":"\xff"}'), "leaf_format"),
    "a lone surrogate": (lambda a: a.leaves.append(b'{"a":"\\ud800"}'), "leaf_format"),
    "very deep": (lambda a: a.leaves.append(b"[" * 30_000), "leaf_format"),
}


@pytest.mark.parametrize("case", SEALED_WRONGLY)
def test_what_was_sealed_wrongly_is_found_although_signed(archive: HandMadeLog, case: str) -> None:
    append, code = SEALED_WRONGLY[case]
    first = len(archive.leaves)
    assert (code, first) in append_and_verify(archive, append)


def test_defects_are_told_in_english_and_thai_with_their_place(archive: HandMadeLog) -> None:
    path, chunks = chunks_of(archive, 3)
    damaged = bytearray(path.read_bytes())
    damaged[chunks[2][1]] ^= 1
    path.write_bytes(damaged)
    report = verify(archive)
    text = report.to_text()
    assert "DEFECTS FOUND" in text
    assert f"byte {chunks[2][1]}" in text
    assert f"leaf {chunks[2][0]}" in text
    [defect] = json.loads(report.to_json())["defects"]
    assert "SHA-256" in defect["message"]
    assert any("\u0e00" <= character <= "\u0e7f" for character in defect["message_th"])
