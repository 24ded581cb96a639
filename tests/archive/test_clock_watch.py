"""The clock's own state: read from chronyd or the kernel, sampled each minute, sealed each hour."""

import itertools
import json
from pathlib import Path

import pytest
from small_log import SmallLog

from archive import clock_state
from archive.clock import Clock, SystemClock
from archive.clock_state import ClockSample, parse_chrony_tracking, read_clock_state
from archive.clock_watch import SAMPLE_SECONDS, SAMPLES_A_LEAF, ClockWatch
from archive.errors import ArchiveFormatError
from archive.leaf import decode_leaf
from archive.sealer import Sealer
from archive.sealing.json_leaves import MAX_SAMPLES, JsonLeaves, check_clock_fields
from archive.tree import TreeReader
from tests.clocks import ManualClock

TRACKING = "A9FEA97B,time.example,3,1763600000.1,-0.000012345,0.0001,0.0002,-1.5,0.01,0.2,0.0120,0.0005,64.1,Normal"
SAMPLE = {
    "unix_ns": "1",
    "monotonic_ns": "2",
    "synchronised": True,
    "offset_ns": -3,
    "dispersion_ns": None,
    "source": "s",
}


def fixed_state(clock: Clock) -> ClockSample:
    return ClockSample(clock.unix_ns(), clock.monotonic_ns(), True, 12_345, 6_500_000, "chrony: time.example stratum 3")


def test_chrony_says_offset_error_and_source() -> None:
    # System time 12.345 us fast of true time: chronyc prints the (negative) correction still to be made.
    assert parse_chrony_tracking(TRACKING) == (True, 12_345, 6_500_000, "chrony: time.example stratum 3")


@pytest.mark.parametrize("changed", [("Normal", "Not synchronised"), (",3,", ",0,")])
def test_a_chrony_without_source_is_unsynchronised(changed: tuple[str, str]) -> None:
    assert parse_chrony_tracking(TRACKING.replace(*changed)) == (False, None, None, "chrony: no source")


@pytest.mark.parametrize("line", ["", "506 Cannot talk to daemon", TRACKING + ",more", TRACKING.replace("0.0120", "x")])
def test_what_is_no_tracking_line_says_nothing(line: str) -> None:
    assert parse_chrony_tracking(line) is None


def test_without_chrony_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_state, "_output_of", lambda *command: "")
    sample = read_clock_state(SystemClock())
    assert sample.source.startswith("kernel")
    assert sample.is_synchronised == (sample.offset_ns is not None)


def test_an_hours_samples_become_one_leaf(small_log: SmallLog) -> None:
    inbox = small_log.paths.inbox / "clock"
    watch = ClockWatch(inbox, small_log.clock, fixed_state)
    source = JsonLeaves("clock", inbox, check_clock_fields)
    sealer = Sealer(small_log.paths, small_log.keys, clock=small_log.clock, head_interval_seconds=0, sources=[source])
    small_log.sealers.append(sealer)
    for _ in range(SAMPLES_A_LEAF + 3):
        watch.tick()
        watch.tick()
        small_log.clock.advance(SAMPLE_SECONDS)
    sealer.run_once()
    sealer.publish()
    watch.close()
    sealer.run_once()
    sealer.publish()
    size = small_log.check()
    leaves = [decode_leaf(TreeReader(small_log.paths.log, size).leaf(index)) for index in range(size)]
    samples = [leaf["samples"] for leaf in leaves if leaf["kind"] == "clock"]
    assert [len(one) for one in samples] == [SAMPLES_A_LEAF, 3]
    times = [int(sample["unix_ns"]) for one in samples for sample in one]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [60 * 10**9] * 62
    assert list(inbox.glob("*.json")) == []


def test_samples_that_cannot_be_written_are_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    (tmp_path / "inbox").write_text("in the way")
    watch = ClockWatch(tmp_path / "inbox", clock, fixed_state)
    failures = 0
    for _ in range(SAMPLES_A_LEAF + 5):
        try:
            watch.tick()
        except OSError:
            failures += 1
        clock.advance(SAMPLE_SECONDS)
    assert failures == 6
    (tmp_path / "inbox").unlink()
    watch.close()
    fields = json.loads(next((tmp_path / "inbox").glob("*.json")).read_text())
    assert len(fields["samples"]) == SAMPLES_A_LEAF + 5
    check_clock_fields(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"boot_id": "b", "samples": [SAMPLE]},
        {"boot_id": 1, "step": None, "samples": [SAMPLE]},
        {"boot_id": "b", "step": {"from_unix_ns": "2", "to_unix_ns": "1"}, "samples": [SAMPLE]},
        {"boot_id": "b", "step": None, "samples": []},
        {"boot_id": "b", "step": None, "samples": {}},
        {"boot_id": "b", "step": None, "samples": [SAMPLE] * (MAX_SAMPLES + 1)},
        {"boot_id": "b", "step": None, "samples": [SAMPLE], "more": 1},
        *(
            {"boot_id": "b", "step": None, "samples": [{**SAMPLE, **wrong}]}
            for wrong in (
                {"unix_ns": 1}, {"unix_ns": "01"}, {"unix_ns": "１"}, {"monotonic_ns": ""}, {"synchronised": 1},
                {"offset_ns": 1.5}, {"offset_ns": True}, {"dispersion_ns": 2**53}, {"source": None},
                {"source": "x" * 201}, {"extra": 1},
            )
        ),
    ],
)  # fmt: skip
def test_samples_of_another_form_are_not_sealed(fields: dict) -> None:
    with pytest.raises(ArchiveFormatError):
        check_clock_fields(fields)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"boot_id": "b"}', b"\xff", b" " * 60_000, b"[" * 40_000])
def test_a_bad_file_is_put_aside_and_holds_nothing_up(small_log: SmallLog, content: bytes) -> None:
    inbox = small_log.paths.inbox / "clock"
    inbox.mkdir(parents=True)
    (inbox / "0-bad.json").write_bytes(content)
    (inbox / "1-good.json").write_text(json.dumps({"boot_id": "b", "step": None, "samples": [SAMPLE]}))
    source = JsonLeaves("clock", inbox, check_clock_fields)
    assert [prepared.fields["samples"] for prepared in source.prepare(set())] == [[SAMPLE]]
    assert source.refused == 1
    assert (inbox / "refused" / "0-bad.json").read_bytes() == content
