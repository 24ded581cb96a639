"""What the sealer and a real time stamp authority make, judged by the verifier, which shares no code with them."""

from pathlib import Path

import numpy as np
import pytest
from small_log import SmallLog
from tsa_maker import MadeAuthority

import archive.verify.leaves_check as leaves_check
from archive.decoder import Units
from archive.sealer import Sealer
from archive.sealing.record_roots import LEAF_INTERVAL_SECONDS, RecordRoots
from archive.unit_report import report_units
from archive.verify.anchors import Trust
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog


def test_roots_that_the_sealer_made_are_proven(small_log: SmallLog) -> None:
    """Lines, an empty record, a datagram of three units, and units told apart later."""
    paths = small_log.paths
    roots = RecordRoots(paths, small_log.clock, lambda: sealer.tree_size)
    sealer = Sealer(paths, small_log.keys, clock=small_log.clock, head_interval_seconds=0, sources=[roots])
    small_log.sealers.append(sealer)
    writer = small_log.writer("collector")
    for payload in (b"headAAAABBBB", b"", b"<13>line"):
        writer.append(payload, listener="netflow/udp-2055")
    writer.close()
    small_log.writers.remove(writer)
    small_log.clock.advance(1)
    sealer.run_once(full_look=True)
    sealer.publish()
    before = verify_archive(paths.directory, paths.head)
    assert (before.exit_code, before.leaves_without_root, before.units) == (0, before.chunks, 0)
    leaf = 2  # After the key and the outage before the first start.
    later = Units(np.array([1, 1], np.uint32), np.zeros(2, np.uint32), np.array([6, 6], np.uint32), None)
    for reports in ([], [later]):
        report_units(paths.inbox / "units", leaf, reports)
        sealer.run_once()
        small_log.clock.advance(LEAF_INTERVAL_SECONDS)
        sealer.run_once()
        sealer.publish()
        after = verify_archive(paths.directory, paths.head)
        assert (after.exit_code, after.leaves_without_root) == (0, 0), after.to_text()
        assert after.units > before.units
        before = after


@pytest.mark.parametrize("processes", [1, 2])
def test_time_stamps_of_a_real_authority(
    made_authority: MadeAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(leaves_check, "MIN_PARALLEL_BUNDLES", 1)
    monkeypatch.setattr(leaves_check, "count_cores", lambda: processes)
    log = HandMadeLog(tmp_path / "data").fill(200)
    response = made_authority.stamp(log.checkpoint(150))
    authority = made_authority.pinned()
    trust = Trust((), (authority,))
    from archive.timestamp.token import read_token

    unix_ns = read_token(response).unix_ns
    log.append_stamped(authority.name, 150, response, unix_ns)
    log.fill(600).publish()
    report = verify_archive(log.directory, log.head_path, trust=trust)
    assert report.exit_code == 0, report.to_text()
    assert report.freshness.startswith(f"unchanged up to leaf 150, seen by {authority.name} at ")
    given = verify_archive(
        log.directory, log.head_path, trust=trust, checkpoints=[log.checkpoint(150)], tokens=[response]
    )
    assert given.exit_code == 0
    other = Trust((), (MadeAuthority(authority.name, tmp_path / "other").pinned(),))
    report = verify_archive(log.directory, log.head_path, trust=other)
    assert [(defect.code, defect.leaf) for defect in report.defects] == [("anchor_evidence", 200)]
    assert [d.code for d in verify_archive(
        log.directory, log.head_path, trust=Trust((), (made_authority.pinned(),)), checkpoints=[log.checkpoint(151)],
        tokens=[response],
    ).defects] == ["token_wrong"]  # fmt: skip
