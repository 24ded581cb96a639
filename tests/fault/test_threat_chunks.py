"""Threats 2 and 3: chunks and leaves swapped, taken out, repeated and put in by who has the disk but not the key."""

import hashlib
import itertools
import json
import random
import shutil
from pathlib import Path

import pytest
import rfc8785

from tests.archive.verify.hand_made_log import HandMadeLog, put
from tests.fault.chunk_log import CHUNKS, codes, copy_of, make_chunk_log, rechained, segment_of, verify

SAMPLE_SWAPS = 60
"""Of 2,016 pairs, each swapped in the segment and in the leaves; `make fault` swaps all."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> HandMadeLog:
    return make_chunk_log(tmp_path_factory.mktemp("chunks") / "data")


@pytest.fixture
def log(pristine: HandMadeLog, tmp_path: Path) -> HandMadeLog:
    return copy_of(pristine, tmp_path)


def _check_found(log: HandMadeLog, segment: list[bytes], leaves: list[bytes], what: str) -> None:
    """Once the chunks alone are other ones; once the leaves, with all of the tree made to fit them."""
    path = segment_of(log)
    stored = path.read_bytes()
    path.write_bytes(b"".join(segment))
    report = verify(log)
    if path.read_bytes().startswith(stored):
        # Behind the last sealed chunk is what a crash leaves: no leaf speaks of it, and the next start cuts it off.
        assert "segment_beyond_head" in {statement.code for statement in report.statements}
    else:
        assert report.exit_code == 1, f"{what} in the segment"
    path.write_bytes(stored)
    tiles = log.log / "tile"
    shutil.rmtree(tiles)
    log.write_tree(leaves=leaves)
    assert verify(log).exit_code == 1, f"{what} in the leaves"
    shutil.rmtree(tiles)
    log.write_tree()


def _chunks(log: HandMadeLog) -> list[bytes]:
    stored = segment_of(log).read_bytes()
    return [stored[start : start + 64] for start in range(0, len(stored), 64)]


def _swapped(items: list[bytes], one: int, other: int) -> list[bytes]:
    found = list(items)
    found[one], found[other] = found[other], found[one]
    return found


def test_every_swap_deletion_and_repetition_of_chunks(log: HandMadeLog, full_counts: bool) -> None:
    chunks, key, leaves = _chunks(log), log.leaves[:1], log.leaves[1:]
    assert len(chunks) == len(leaves) == CHUNKS
    pairs = list(itertools.combinations(range(CHUNKS), 2))
    assert len(pairs) == 2_016
    for one, other in pairs if full_counts else random.Random(2).sample(pairs, SAMPLE_SWAPS):
        _check_found(
            log, _swapped(chunks, one, other), key + _swapped(leaves, one, other), f"chunks {one} and {other} swapped"
        )
    places = range(CHUNKS) if full_counts else range(0, CHUNKS, 7)
    for place in places:
        _check_found(
            log, chunks[:place] + chunks[place + 1 :], key + leaves[:place] + leaves[place + 1 :], f"without {place}"
        )
        _check_found(
            log, chunks[: place + 1] + chunks[place:], key + leaves[: place + 1] + leaves[place:], f"{place} twice"
        )
    assert verify(log).exit_code == 0
    swaps = len(pairs) if full_counts else SAMPLE_SWAPS
    print(f"row 2: {2 * swaps} swaps, {2 * len(places)} deletions, {2 * len(places)} repetitions")


def test_a_forged_chunk_put_in_without_the_key(pristine: HandMadeLog, tmp_path: Path) -> None:
    """Everything after it made to fit; under the old signature, then under a key of the forger's own."""
    newest = pristine.checkpoint(CHUNKS + 1)
    for place in range(CHUNKS):
        folder = tmp_path / str(place)
        log = copy_of(pristine, folder)
        chunks, forged = _chunks(log), b"forg" + bytes(60)
        segment_of(log).write_bytes(b"".join([*chunks[:place], forged, *chunks[place:]]))
        fields = json.loads(log.leaves[place + 1])
        fields |= {"sha256": hashlib.sha256(forged).hexdigest()}
        log.leaves.insert(place + 1, rfc8785.dumps(fields))
        log.leaves = rechained(log.leaves, place + 1, len(forged))
        shutil.rmtree(log.log / "tile")
        log.write_tree()
        assert verify(log).exit_code == 1
        stranger = HandMadeLog(folder / "stranger", seed=77)
        for path in (log.head_path, log.log / "checkpoint"):
            put(path, stranger.checkpoint(len(log.leaves), log.leaves))
        report = verify(log)
        assert {"head_signature", "checkpoint_signature"} <= codes(report), place
        # With the key it is another log without a defect of its own: the forger's work is right, only the key lacked.
        log.publish()
        assert verify(log).exit_code == 0, verify(log).to_text()
        assert "anchor_inconsistent" in codes(verify(log, newest)), place
        shutil.rmtree(folder)
    print(f"row 3: {2 * CHUNKS} forgeries without the key, {CHUNKS} with it against an old head")
