"""Flipped bytes in an archive the real sealer wrote: every one is found, and the right file is named."""

import random
import subprocess
from pathlib import Path

import pytest

from archive.clock import SystemClock
from archive.keys import load_keys
from archive.origin import ArchivePaths, create_log, default_paths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.verify.run import verify_archive
from tests.appliance import PHAYAN

FLIPS, FULL_FLIPS = 200, 2_300
"""Random offsets in each kind of file; short files have fewer, and one in each of their bytes."""
ROUNDS = 140
STREAMS = ("collector", "radius")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> ArchivePaths:
    paths = default_paths(tmp_path_factory.mktemp("tamper") / "data")
    create_log(paths, "phayan.test/tamper", SystemClock())
    sealer = Sealer(paths, load_keys(paths.keys), head_interval_seconds=0)
    for number in range(ROUNDS):
        for stream in STREAMS:
            writer = SpoolWriter(paths.spool, stream)
            for n in range(5):
                writer.append(
                    f"<13>{stream} round {number} line {n}".encode(), listener="syslog/udp-5514", transport="udp"
                )
            writer.close()
        sealer.run_once()
    sealer.close()
    return paths


def kinds(paths: ArchivePaths) -> dict[str, Path]:
    """One file of each kind."""
    tiles = paths.log / "tile"
    return {
        "segment": next(paths.segments.glob("collector/*/*.seg")),
        "full tile": tiles / "0" / "000",
        "partial tile": next((tiles / "0").glob("*.p/*")),
        "upper tile": next((tiles / "1").glob("*.p/*")),
        "full entry bundle": tiles / "entries" / "000.zst",
        "partial entry bundle": next((tiles / "entries").glob("*.p/*")),
        "checkpoint": paths.log / "checkpoint",
        "head file": paths.head,
    }


def test_the_archive_is_intact_first(paths: ArchivePaths) -> None:
    report = verify_archive(paths.directory, paths.head)
    assert report.exit_code == 0, report.to_text()
    assert report.tree_size > 256
    done = subprocess.run([str(PHAYAN), "verify", "--data", str(paths.directory)], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "kind",
    [
        "segment", "full tile", "partial tile", "upper tile", "full entry bundle", "partial entry bundle", "checkpoint",
        "head file",
    ],
)  # fmt: skip
def test_every_flipped_byte_is_found_and_located(paths: ArchivePaths, kind: str, full_counts: bool) -> None:
    path = kinds(paths)[kind]
    stored = path.read_bytes()
    chosen = random.Random(kind)
    expected = path.name if kind == "head file" else str(path.relative_to(paths.directory))
    offsets = chosen.sample(range(len(stored)), min(FULL_FLIPS if full_counts else FLIPS, len(stored)))
    for offset in offsets:
        changed = bytearray(stored)
        changed[offset] ^= 1 << chosen.randrange(8)
        path.write_bytes(changed)
        report = verify_archive(paths.directory, paths.head)
        assert report.exit_code == 1, f"{kind}: flip at {offset} was not found"
        named = [defect for defect in report.defects if defect.file == expected]
        assert named, f"{kind}: flip at {offset} blames {[d.file for d in report.defects]}"
        if kind == "segment":
            assert all(d.offset is not None and d.offset <= offset and d.leaf is not None for d in named)
    done = subprocess.run(
        [str(PHAYAN), "verify", "--data", str(paths.directory)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert path.name in done.stdout
    print(f"row 1: {len(offsets)} flips of {kind}")
    path.write_bytes(stored)
    assert verify_archive(paths.directory, paths.head).exit_code == 0
