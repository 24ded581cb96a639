"""A log that the real sealer wrote, with every kind of leaf: two streams, units, clock samples, a witness's anchors, a
clock step, heartbeats, a day that was purged but for what a hold keeps, and an earlier log with another key."""

import base64
import json
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.anchor.check import AnchorTrust, check_anchor
from archive.cosignature import WitnessKey, sign_cosignature
from archive.decoder import Units
from archive.key_source import KeySource
from archive.keys import load_keys
from archive.leaf import decode_leaf
from archive.note import parse_verifier_key
from archive.origin import ArchivePaths, create_log, default_paths
from archive.retention.request import PurgeRequest, write_request
from archive.sealer import Sealer
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.sealing.purge import PurgeSource
from archive.sealing.purge_decision import PurgeSettings
from archive.sealing.record_roots import RecordRoots
from archive.segment import utc_day
from archive.spool import SpoolWriter
from archive.succession import KEY_CHANGED, begin_new_log
from archive.tree import TreeReader
from archive.unit_report import report_units
from tests.archive.purge_log import InlineExecutor
from tests.clocks import ManualClock

WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS_NAME = "witness.test/office"
WITNESS_KEY = WitnessKey(WITNESS_NAME, WITNESS.public_key().public_bytes_raw())
QUARTER_HOUR_SECONDS = 901


class WholeLog:
    """Drives one log by hand, with all sources of leaves."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.paths: ArchivePaths = default_paths(directory / "data")
        create_log(self.paths, "phayan.test/first", self.clock)
        self._open()

    def _open(self) -> None:
        key = parse_verifier_key((self.paths.log / "key.vkey").read_text().strip())
        trust = AnchorTrust((WITNESS_KEY,))
        self.roots = RecordRoots(self.paths, self.clock, lambda: self.sealer.tree_size)
        settings = PurgeSettings(90, lambda: self.sealer.checkpoint, lambda: self.sealer.tree_size)
        sources = [
            JsonLeaves("anchor", self.paths.inbox / "anchors", lambda fields: check_anchor(fields, key, trust)),
            JsonLeaves("clock", self.paths.inbox / "clock", check_clock_fields),
            PurgeSource(self.paths, self.clock, self.roots, settings, InlineExecutor()),
            self.roots,
        ]
        keys = load_keys(self.paths.keys)
        self.sealer = Sealer(self.paths, keys, clock=self.clock, head_interval_seconds=0, sources=sources)

    def receive(self, stream: str, *payloads: bytes, listener: str = "syslog/udp-5514") -> int:
        """Seal payloads; returns their leaf."""
        writer = SpoolWriter(self.paths.spool, stream, clock=self.clock)
        for payload in payloads:
            writer.append(payload, listener=listener, transport="udp")
        writer.close()
        self.clock.advance(10)
        self.turn()
        return self.sealer.checkpoint.size - 1

    def turn(self) -> None:
        self.sealer.run_once(full_look=True)
        self.sealer.publish()

    def leaf(self, leaf: int) -> dict:
        return decode_leaf(TreeReader(self.paths.log, self.sealer.checkpoint.size).leaf(leaf))

    def report(self, leaf: int, lengths: dict[int, list[int]]) -> None:
        """Units of some of its records, counted from the end: -1 is the last."""
        fields = self.leaf(leaf)
        row = [fields["records"] + place for place, cut in lengths.items() for _ in cut]
        length = [one for cut in lengths.values() for one in cut]
        units = Units(np.array(row, np.uint32), np.zeros(len(row), np.uint32), np.array(length, np.uint32))
        report_units(self.paths.inbox / "units", leaf, [units])

    def anchor(self) -> None:
        """A cosignature of the newest head comes back."""
        note = (self.paths.log / "checkpoint").read_bytes()
        body = note[: note.rindex(b"\n\n") + 1]
        seconds = self.clock.unix_ns() // 10**9
        fields = {
            "by": "witness", "name": WITNESS_NAME, "checkpoint": note.decode(), "unix_ns": str(seconds * 10**9),
            "vkey": WITNESS_KEY.text(), "evidence": sign_cosignature(body, seconds, WITNESS_NAME, WITNESS),
        }  # fmt: skip
        self._hand_in("anchors", fields)

    def sample_clock(self) -> None:
        sample = {
            "unix_ns": str(self.clock.unix_ns()), "monotonic_ns": str(self.clock.monotonic_ns()), "synchronised": True,
            "offset_ns": -1_200, "dispersion_ns": None, "source": "chrony: time.example stratum 3",
        }  # fmt: skip
        self._hand_in("clock", {"boot_id": self.clock.boot_id(), "step": None, "samples": [sample]})

    def _hand_in(self, kind: str, fields: dict) -> None:
        folder = self.paths.inbox / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.clock.monotonic_ns():020d}.json").write_text(json.dumps(fields))
        self.turn()

    def purge_first_day(self) -> None:
        """A day of two streams that is purged 91 days later, but for the middle unit of a record."""
        day = utc_day(self.clock.unix_ns())
        flows = self.receive("collector", b"HEAD" + b"C" * 48 + b"D" * 48, b"a line of the first day")
        self.receive("radius", b'{"event":"stop"}', listener="radius-acct")
        self.report(flows, {-2: [4, 48, 48]})
        self.clock.advance(QUARTER_HOUR_SECONDS)
        self.turn()
        self.sample_clock()
        self.clock.advance(91 * 86_400)
        self.sample_clock()
        row = self.leaf(flows)["records"] - 2
        units = [np.array([value] * 2, kind) for value, kind in ((flows, np.uint64), (row, np.uint32))]
        write_request(self.paths.inbox, PurgeRequest(day, ("hold-2026-0001",), *units, np.array([0, 4], np.uint32), {}))
        for _ in range(6):
            self.turn()

    def change_key(self, origin: str) -> None:
        self.sealer.close()
        begin_new_log(self.paths, KeySource(self.paths.keys), origin, KEY_CHANGED, self.clock)
        self._open()

    def close(self) -> None:
        self.sealer.close()


def make_whole_log(directory: Path, *, rounds: int = 3) -> WholeLog:
    """An earlier log and one after it, both with everything; the newer one is open."""
    log = WholeLog(directory)
    for origin in ("phayan.test/second", None):
        log.purge_first_day()
        for number in range(rounds):
            thai = "ล็อกอินสำเร็จ".encode()
            flows = log.receive("collector", b"HEAD" + b"A" * 48 + b"B" * 48, b"line %d" % number, b"", thai)
            logins = log.receive("radius", b'{"event":"start"}', listener="radius-acct")
            log.report(flows, {-4: [4, 48, 48]})
            log.report(logins, {})
            log.sample_clock()
            log.anchor()
            log.clock.advance(QUARTER_HOUR_SECONDS)
            log.turn()
        log.report(flows, {-4: [4, 96]})
        log.clock.advance(10, wall_seconds=-3_600)
        log.turn()
        log.clock.advance(QUARTER_HOUR_SECONDS)
        log.turn()
        log.clock.advance(301)
        log.turn()
        if origin is not None:
            log.change_key(origin)
    return log


if __name__ == "__main__":
    import sys

    made = make_whole_log(Path(sys.argv[1]), rounds=int(sys.argv[2]))
    made.close()
    print(base64.b64encode(WITNESS_KEY.public_key).decode(), WITNESS_KEY.text())
