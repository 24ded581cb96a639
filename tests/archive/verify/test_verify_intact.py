"""What a sound archive's report says, and which states of a crash are statements, not defects."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import BOOT_ID, DAY_NS, FIRST_UNIX_NS, HandMadeLog, day_of, put, root_of


def verify(log: HandMadeLog, checkpoint: bytes | None = None) -> Report:
    return verify_archive(log.directory, log.head_path, checkpoints=[checkpoint] if checkpoint else [])


def statements(report: Report) -> set[str]:
    return {statement.code for statement in report.statements}


def assert_intact(report: Report) -> None:
    assert (report.exit_code, report.defects, report.could_not_run) == (0, [], None)


def test_the_hand_made_day_is_the_real_one() -> None:
    """Guards the test's own calendar against which segment names are checked."""
    import datetime

    for unix_ns in (FIRST_UNIX_NS, FIRST_UNIX_NS + DAY_NS):
        moment = datetime.datetime.fromtimestamp(unix_ns // 10**9, datetime.UTC)
        assert f"{moment:%Y%m%d}" == day_of(unix_ns)


def test_sound_archive_is_intact_and_its_content_is_stated(pristine: HandMadeLog) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_archive(
        pristine.directory, pristine.head_path, progress=lambda done, total: seen.append((done, total))
    )
    assert_intact(report)
    data = [leaf for leaf in map(json.loads, pristine.leaves) if leaf["kind"] == "data"]
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in pristine.leaves]
    assert report.tree_size == len(pristine.leaves) == 700
    assert report.root == base64.b64encode(root_of(hashes)).decode()
    assert report.records == sum(leaf["records"] for leaf in data)
    assert report.bytes == sum(leaf["length"] for leaf in data)
    assert report.chunks == len(data)
    assert set(report.streams) == {"collector", "radius", "audit"}
    assert report.streams["radius"].last_sequence == pristine._last["radius"][1]
    assert sum(summary.records for summary in report.streams.values()) == report.records
    assert (report.index, report.freshness) == ("not checked", "unproven")
    expected = {"freshness_unproven", "index_not_checked", "head_time_unknown", "leaves_without_root", "silent_gap"}
    assert expected == statements(report)
    assert "consistent, freshness unproven" in report.to_text()
    assert "index: not checked" in report.to_text()
    assert seen == [(256, 700), (512, 700), (700, 700)]
    shown = json.loads(report.to_json())
    assert (shown["v"], shown["exit_code"], shown["tree_size"], shown["defects"]) == (1, 0, 700, [])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513])
def test_every_shape_of_tree_is_intact(tmp_path: Path, size: int) -> None:
    assert_intact(verify(HandMadeLog(tmp_path / "data").fill(size).publish()))


def test_tree_with_a_full_upper_tile_is_intact_and_its_flip_found(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data")
    while len(log.leaves) < 256 * 256 + 3:
        log.append("heartbeat", unix_ns="1", monotonic_ns="1", boot_id="b")
    log.publish()
    assert_intact(verify(log))
    tile = log.log / "tile" / "1" / "000"
    changed = bytearray(tile.read_bytes())
    changed[32 * 77 + 5] ^= 1
    tile.write_bytes(changed)
    report = verify(log)
    assert [(defect.file, defect.offset) for defect in report.defects] == [("log/tile/1/000", 32 * 77)]


def test_large_chunks_are_hashed_in_pieces(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data")
    log.append_data("collector", log.random.randbytes(5 * 1024 * 1024 + 3))
    log.append_data("collector")
    log.append_data("collector", b"")
    log.publish()
    assert_intact(verify(log))
    segment = next((log.log / "segments").rglob("*.seg"))
    changed = bytearray(segment.read_bytes())
    changed[5 * 1024 * 1024 + 2] ^= 128
    segment.write_bytes(changed)
    [defect] = verify(log).defects
    assert (defect.code, defect.offset, defect.leaf) == ("chunk_changed", 0, 1)


def test_outages_clock_changes_and_losses_are_stated(archive: HandMadeLog) -> None:
    interval = {"from_unix_ns": str(FIRST_UNIX_NS), "to_unix_ns": str(FIRST_UNIX_NS + 10**9), "boot_id": "b"}
    archive.append("outage", **interval, why="sealer_started", cut_bytes=12)
    step = {"from_unix_ns": str(FIRST_UNIX_NS), "to_unix_ns": str(FIRST_UNIX_NS - 10**9)}
    archive.append_clock(step=step)
    archive.append_empty("audit", dropped={"syslog/udp-5514": 41}, torn_bytes=7)
    report = verify(archive.publish())
    assert_intact(report)
    assert report.outages == [{**interval, "why": "sealer_started", "cut_bytes": 12}]
    assert report.clock_statements == [{**step, "boot_id": BOOT_ID}]
    assert {"outage", "clock_back", "torn", "dropped"} <= statements(report)
    assert "41 at syslog/udp-5514" in report.to_text()


def test_state_of_the_clock_is_summarised(archive: HandMadeLog) -> None:
    archive.append_clock((True, 100), (True, -3_000), (False, None))
    archive.append_heartbeat()
    archive.append_clock((False, 2_000_000), (True, 50), (False, None))
    report = verify(archive.publish())
    assert_intact(report)
    times = [s["unix_ns"] for leaf in (700, 702) for s in json.loads(archive.leaves[leaf])["samples"]]
    assert report.clock == {
        "samples": 6,
        "largest_offset_ns": 2_000_000,
        "unsynchronised_samples": 3,
        "unsynchronised_intervals": 2,
        "unsynchronised": [
            {"from_unix_ns": times[2], "to_unix_ns": times[3], "samples": 2},
            {"from_unix_ns": times[5], "to_unix_ns": times[5], "samples": 1},
        ],
    }
    assert "3 of 6 samples, 2 intervals" in report.to_text()


def test_times_that_decrease_between_leaves_are_a_statement(archive: HandMadeLog) -> None:
    archive.append_data("audit", number=5)
    archive.now_unix_ns -= 3_600 * 10**9
    archive.append_data("audit", number=5)
    report = verify(archive.publish())
    assert_intact(report)
    assert "times_backwards" in statements(report)


def test_unsealed_spool_files_are_counted(archive: HandMadeLog) -> None:
    last = archive._last["radius"][1]
    for stream, sequence, suffix in (
        ("radius", last, "spool"),
        ("radius", last + 1, "spool"),
        ("radius", last + 2, "open"),
        ("radius", last + 3, "next"),
        ("portal", 0, "open"),
    ):
        put(archive.directory / "spool" / stream / f"{sequence:020d}.{suffix}", b"")
    report = verify(archive)
    assert_intact(report)
    assert report.unsealed_spool_files == {"radius": 2, "portal": 1}
    assert "unsealed_spool" in statements(report)


def test_checkpoint_older_than_head_is_a_crash(archive: HandMadeLog) -> None:
    put(archive.log / "checkpoint", archive.checkpoint(513))
    report = verify(archive)
    assert_intact(report)
    assert "checkpoint_behind" in statements(report)


def test_tiles_and_bytes_beyond_the_head_are_a_crash(archive: HandMadeLog) -> None:
    for _ in range(80):
        archive.append_data("collector", number=5)
    archive.append_data("radius", number=6)
    archive.write_tree()
    report = verify(archive)
    assert_intact(report)
    assert {"tiles_beyond_head", "segment_beyond_head"} <= statements(report)
    assert report.tree_size == 700


def test_given_checkpoint_proves_the_beginning(archive: HandMadeLog) -> None:
    for size in (1, 256, 300, 512, 600, 700):
        report = verify(archive, archive.checkpoint(size))
        assert_intact(report)
        assert report.freshness == f"unchanged up to leaf {size}"
        assert "freshness_unproven" not in statements(report)


def test_directory_without_a_log_could_not_be_verified(tmp_path: Path) -> None:
    report = verify_archive(tmp_path, tmp_path.with_name("x.head"))
    assert report.exit_code == 2
    assert "COULD NOT RUN" in report.to_text()


def test_unreadable_given_checkpoint_could_not_be_verified(archive: HandMadeLog) -> None:
    report = verify(archive, archive.checkpoint(300)[:-1])
    assert (report.exit_code, report.defects) == (2, [])
    assert "given checkpoint" in str(report.could_not_run)


def test_file_this_user_may_not_read_could_not_be_verified(
    archive: HandMadeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    real = os.open

    def refuse(path, *rest):  # type: ignore[no-untyped-def]
        if str(path).endswith(".seg"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    report = verify(archive)
    assert report.exit_code == 2
    assert "Permission denied" in str(report.could_not_run)
