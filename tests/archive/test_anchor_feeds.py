"""Heads on their way to witnesses and authorities: what waits, what is handed over, what is kept."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from archive.anchor import service as anchor_service
from archive.anchor import stamp_queue, store
from archive.anchor.check import AnchorTrust, check_anchor
from archive.anchor.published import HeadReplacedError, PublishedLog
from archive.anchor.service import AnchorService, run_target
from archive.anchor.stamp_queue import MAX_QUEUED, StampQueue
from archive.anchor.store import AnchorStore
from archive.anchor.target import LAST_BACKOFF_SECONDS
from archive.anchor.witness_feed import HANDED_OVER_SECONDS, REPLACED_SECONDS, SUBMIT_PAUSE_SECONDS, WitnessFeed
from archive.errors import ArchiveStateError, TimestampError
from archive.leaf import encode_leaf
from archive.note import open_checkpoint, split_note
from archive.sealing.json_leaves import read_fields
from archive.tile_layout import MAX_LEAF_BYTES
from archive.timestamp.client import UnreadTimestampError
from archive.timestamp.token import MAX_RESPONSE_BYTES, Authority, verify_token
from tests.archive.published_log import MemoryWitness, PublishedByHand, unreachable
from tests.archive.tsa_maker import MadeAuthority
from tests.archive.tsa_server import TsaServer
from tests.clocks import NS, ManualClock

HOUR = 3600


@dataclass
class AuthorityInMemory:
    """Stamps with `openssl ts`; `down` says why it does not."""

    made: MadeAuthority
    asked: list[bytes] = field(default_factory=list)
    down: Exception | None = None

    def __call__(self, authority: Authority, data: bytes) -> bytes:
        self.asked.append(data)
        if self.down is not None:
            raise self.down
        return self.made.stamp(data)


class Office:
    """A log and what anchors it, driven step by step."""

    def __init__(self, folder: Path, made: MadeAuthority) -> None:
        self.clock = ManualClock()
        self.log = PublishedByHand(folder)
        self.paths = self.log.paths
        self.witness = MemoryWitness(self.log.key, self.clock)
        self.authority = AuthorityInMemory(made)
        self.trust = AnchorTrust((self.witness.key,), (made.pinned(),))
        self.restart()

    def restart(self) -> None:
        """What a new process would do."""
        self.published = PublishedLog(self.paths)
        self.store = AnchorStore(self.paths, self.clock)
        self.store.open(self.log.key)
        self.feed = WitnessFeed(self.witness, self.witness.key, self.published, self.store, self.clock)
        self.queue = StampQueue(
            self.authority.made.pinned(), self.published, self.store, self.clock, HOUR, self.authority
        )

    def handed_over(self) -> list[dict[str, Any]]:
        """Fields of every file for the sealer, each of which would be sealed."""
        found = [json.loads(path.read_bytes()) for path in sorted((self.paths.inbox / "anchors").glob("*.json"))]
        for fields in found:
            check_anchor(fields, self.log.key, self.trust)
        return found

    def seal(self) -> list[dict[str, Any]]:
        """Take what is handed over, as the sealer does."""
        found = self.handed_over()
        for path in (self.paths.inbox / "anchors").glob("*.json"):
            path.unlink()
        return found

    def kept(self) -> list[str]:
        return sorted(p.name for p in (self.paths.directory / "anchors").iterdir() if p.name[0].isdigit())


@pytest.fixture
def office(tmp_path: Path, made_authority: MadeAuthority) -> Office:
    return Office(tmp_path / "data", made_authority)


class TestWitness:
    """Every head is brought, the newest alone after a break."""

    def test_each_head_is_cosigned_and_kept(self, office: Office) -> None:
        for leaves in (1, 3, 300, 2):
            office.log.grow(leaves)
            office.feed.step()
            office.clock.advance(SUBMIT_PAUSE_SECONDS)
        assert [checkpoint.size for _, checkpoint in office.witness.seen] == [2, 5, 305, 307]
        assert office.kept() == ["2.checkpoint", "305.checkpoint", "307.checkpoint", "5.checkpoint"]
        content = (office.paths.directory / "anchors" / "305.checkpoint").read_bytes()
        assert open_checkpoint(content, office.log.key).size == 305
        assert [one.name for one in split_note(content)[1]] == [office.log.origin, office.witness.name]
        assert office.feed.report()["size"] == 307
        assert office.feed.report()["queue"] == 0

    def test_the_same_head_is_not_brought_again(self, office: Office) -> None:
        office.feed.step()
        for _ in range(5):
            office.clock.advance(60)
            office.feed.step()
        assert office.witness.asked == 1
        office.restart()
        office.feed.step()
        assert office.witness.asked == 1, "it is remembered over a restart"

    def test_a_leaf_at_most_each_five_minutes(self, office: Office) -> None:
        for _ in range(60):
            office.log.grow()
            office.feed.step()
            office.clock.advance(10)
        times = [int(fields["unix_ns"]) for fields in office.handed_over()]
        assert len(times) == 2
        assert times[1] - times[0] >= HANDED_OVER_SECONDS * NS
        assert len(office.witness.seen) == 60

    def test_a_clock_set_back_holds_nothing_up(self, office: Office) -> None:
        office.feed.step()
        office.clock.advance(10, wall_seconds=-86_400)
        office.log.grow()
        office.feed.step()
        assert len(office.handed_over()) == 2

    def test_offline_then_delivered(self, office: Office) -> None:
        office.clock.advance(office.feed.step())
        office.witness.before = unreachable
        waits = []
        for _ in range(12):
            office.log.grow()
            waits.append(office.feed.step())
            office.clock.advance(waits[-1])
        assert waits[:4] == [5, 10, 20, 40]
        assert max(waits) == LAST_BACKOFF_SECONDS
        report = office.feed.report()
        assert (report["queue"], report["size"]) == (1, 1)
        assert "no route" in report["problem"]
        office.witness.before = lambda: None
        office.feed.step()
        report = office.feed.report()
        assert (report["queue"], report["size"], report["problem"]) == (0, 13, None)
        assert report["last_success_unix_ns"] == str(office.clock.unix_ns())
        assert len(office.handed_over()) == 2

    def test_a_witness_that_is_ahead_is_said(self, office: Office, tmp_path: Path) -> None:
        older = office.log.note
        office.log.grow(4)
        office.feed.step()
        (office.paths.log / "checkpoint").write_bytes(older)
        office.clock.advance(60)
        office.feed.step()
        assert "older state" in office.feed.report()["problem"]

    def test_a_head_that_is_replaced_while_it_is_proven(self, office: Office) -> None:
        office.feed.step()
        office.clock.advance(60)
        office.log.grow()
        head = office.published.newest()
        office.log.grow(7)
        with pytest.raises(HeadReplacedError):
            office.published.proof(head, 1)
        office.witness.before = lambda: office.log.grow(7) and None
        assert office.feed.step() == REPLACED_SECONDS
        office.witness.before = lambda: None
        office.feed.step()
        assert office.witness.size == office.log.tree.size

    def test_a_full_disk_is_a_failure_like_another(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(store, "replace_file", full)
            assert office.feed.step() == 5
        assert "No space" in office.feed.report()["problem"]
        office.clock.advance(5)
        office.feed.step()
        assert len(office.handed_over()) == 1

    def test_a_sealer_that_is_down_is_not_flooded(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "MAX_WAITING_FILES", 2)
        for _ in range(4):
            office.feed.step()
            office.clock.advance(HANDED_OVER_SECONDS)
            office.log.grow()
        assert len(office.handed_over()) == 2
        assert office.store.not_handed_over == 2
        office.clock.advance(HOUR)
        office.queue.step()
        assert len(office.handed_over()) == 3, "time stamps are"


class TestAuthority:
    """One head an interval, queued while nobody answers."""

    def test_one_stamp_an_hour(self, office: Office) -> None:
        for _ in range(6 * 3):
            office.queue.step()
            office.clock.advance(600)
            office.log.grow()
        assert len(office.authority.asked) in (3, 4)
        stamped = office.handed_over()
        assert [fields["by"] for fields in stamped] == ["timestamp_authority"] * len(office.authority.asked)

    def test_a_head_is_not_stamped_twice(self, office: Office) -> None:
        for _ in range(5):
            office.queue.step()
            office.clock.advance(HOUR)
        office.restart()
        office.queue.step()
        assert len(office.authority.asked) == 1

    def test_the_copy_verifies_with_openssl_and_head_alone(self, office: Office, tmp_path: Path) -> None:
        office.feed.step()
        office.queue.step()
        folder = office.paths.directory / "anchors"
        assert office.kept() == ["1.checkpoint", f"1.{office.authority.made.name}.tsr"]
        (tmp_path / "root.pem").write_bytes(office.authority.made.root.pem)
        command = (
            f"head -n 5 1.checkpoint | openssl ts -verify -data /dev/stdin -in 1.{office.authority.made.name}.tsr"
            f" -CAfile {tmp_path}/root.pem"
        )
        done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
        assert "Verification: OK" in done.stdout, done.stderr

    def test_offline_then_delivered_newest_first(self, office: Office) -> None:
        office.authority.down = TimestampError("no route", code="authority_unreachable")
        for _ in range(5):
            office.queue.step()
            office.clock.advance(HOUR)
            office.log.grow()
        office.queue.step()
        report = office.queue.report()
        assert (report["queue"], report["size"], report["problem"]) == (6, 0, "no route")
        office.restart()
        assert office.queue.report()["queue"] == 6, "the queue outlives the process"
        office.authority.down, office.authority.asked = None, []
        for _ in range(6):
            office.queue.step()
            office.clock.advance(LAST_BACKOFF_SECONDS)
        sizes = [open_checkpoint(note, office.log.key).size for note in office.authority.asked]
        assert sizes == [6, 5, 4, 3, 2, 1]
        assert len(office.handed_over()) == 6
        assert office.queue.report() == {
            "name": office.authority.made.name,
            "last_success_unix_ns": str(office.clock.unix_ns() - int(LAST_BACKOFF_SECONDS) * NS),
            "size": 6,
            "queue": 0,
            "interval_seconds": 3600,
            "dropped": 0,
            "problem": None,
        }

    def test_the_queue_has_an_end_and_what_is_dropped_is_counted(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert MAX_QUEUED == 336
        monkeypatch.setattr(stamp_queue, "MAX_QUEUED", 4)
        office.authority.down = TimestampError("no route")
        for _ in range(7):
            office.queue.step()
            office.clock.advance(HOUR)
            office.log.grow()
        assert (office.queue.report()["queue"], office.queue.report()["dropped"]) == (4, 3)
        office.restart()
        assert office.queue.report()["dropped"] == 3
        office.authority.down, office.authority.asked = None, []
        office.clock.advance(HOUR)
        office.queue.step()
        assert open_checkpoint(office.authority.asked[0], office.log.key).size == 8

    def test_a_token_that_only_openssl_reads_is_kept_raw(self, office: Office) -> None:
        office.authority.down = UnreadTimestampError("openssl accepts it", b"raw bytes")
        office.queue.step()
        folder = office.paths.directory / "anchors"
        assert (folder / f"1.{office.authority.made.name}.unread.tsr").read_bytes() == b"raw bytes"
        assert office.handed_over() == []
        assert office.queue.report()["problem"] == "openssl accepts it"
        assert office.queue.report()["queue"] == 0

    def test_a_state_file_that_is_none_costs_a_request(self, office: Office) -> None:
        office.queue.step()
        for path in (office.paths.directory / "anchors" / "state").iterdir():
            path.write_bytes(b"{half")
        office.restart()
        office.queue.step()
        assert len(office.authority.asked) == 2

    def test_a_queue_of_another_log_is_forgotten(self, office: Office) -> None:
        office.authority.down = TimestampError("no route")
        office.feed.step()
        office.queue.step()
        for path in (office.paths.directory / "anchors" / "state").iterdir():
            path.write_text(path.read_text().replace(office.log.key.text(), "another+key"))
        office.restart()
        assert (office.queue.report()["queue"], office.feed.report()["size"]) == (0, 0)


class TestCopies:
    """`anchors/` stays small and is of one log."""

    def test_hourly_ones_are_kept_for_a_hundred_days(self, office: Office) -> None:
        folder = office.paths.directory / "anchors"
        for _ in range(1, 120 * 24 * 2):
            office.clock.advance(HOUR / 2)
            office.log.tree.size += 1
            path = folder / f"{office.log.tree.size}.checkpoint"
            path.touch()
            office.store._write = lambda p, c: None  # type: ignore[method-assign]
            store.os.utime(path, ns=(office.clock.unix_ns(), office.clock.unix_ns()))
        newest, tokens = office.log.tree.size, [20, 21, 22]
        for size in tokens:
            (folder / f"{size}.tsa-one.tsr").touch()
            store.os.utime(folder / f"{size}.tsa-one.tsr", ns=((folder / f"{size}.checkpoint").stat().st_mtime_ns,) * 2)
        (folder / "notes-of-a-person.txt").touch()
        office.store.thin_out()
        left = sorted(int(path.name.split(".")[0]) for path in folder.glob("*.checkpoint"))
        assert newest in left
        assert 100 * 24 + 20 - 2 <= len(left) <= 100 * 24 + 20 + 6
        recent = [size for size in left if size > newest - 90 * 48]
        assert {b - a for a, b in pairwise(recent)} <= {1, 2}
        for path in folder.glob("*.tsr"):
            assert int(path.name.split(".")[0]) in left, "a token without its checkpoint proves nothing"
        assert (folder / "notes-of-a-person.txt").exists()
        assert office.store.thin_out() == 0
        office.clock.advance(1000 * 86_400)
        office.store.thin_out()
        assert office.kept() == []

    def test_the_first_cosignature_of_a_witness_stays(self, office: Office) -> None:
        head = office.published.newest()
        office.store.keep_cosignature(head, office.witness.cosign(head.note).line)
        content = (office.paths.directory / "anchors" / "1.checkpoint").read_bytes()
        office.clock.advance(60)
        office.store.keep_cosignature(head, office.witness.cosign(head.note).line)
        second = MemoryWitness(office.log.key, office.clock, "witness.example/two")
        office.store.keep_cosignature(head, second.cosign(head.note).line)
        kept = (office.paths.directory / "anchors" / "1.checkpoint").read_bytes()
        assert kept.startswith(content)
        assert [one.name for one in split_note(kept)[1]][1:] == [office.witness.name, second.name]

    def test_files_of_a_former_log_are_put_aside(self, office: Office, tmp_path: Path) -> None:
        office.feed.step()
        office.queue.step()
        kept = office.kept()
        later = PublishedByHand(tmp_path / "later", "phayan.test/later")
        office.store.open(later.key)
        assert office.kept() == []
        aside = office.paths.directory / "anchors" / office.log.key.key_id.hex()
        assert sorted(path.name for path in aside.iterdir()) == kept


class TestService:
    """Threads: nobody waits for somebody else."""

    @pytest.fixture
    def server(self, made_authority: MadeAuthority) -> Iterator[TsaServer]:
        server = TsaServer(made_authority)
        yield server
        server.close()

    def test_a_stalling_witness_does_not_delay_the_authority(self, office: Office, server: TsaServer) -> None:
        reached, release, stop = threading.Event(), threading.Event(), threading.Event()

        def stall() -> None:
            reached.set()
            release.wait(60)

        office.witness.before = stall
        authority = Authority(
            server.authority.name, server.url, (server.authority.root.pem,), server.authority.signer.pem
        )
        queue = StampQueue(authority, office.published, office.store, office.clock, HOUR)
        second = MemoryWitness(office.log.key, office.clock, "witness.example/two")
        other = WitnessFeed(second, second.key, office.published, office.store, office.clock)
        service = AnchorService(
            office.paths, office.published, office.store, [office.feed, other], [queue], [], office.clock
        )
        thread = threading.Thread(target=service.run, args=(stop,))
        thread.start()
        try:
            assert reached.wait(30)
            token = office.paths.directory / "anchors" / f"1.{authority.name}.tsr"
            for _ in range(300):
                if token.exists() and second.seen:
                    break
                stop.wait(0.1)
            verify_token(token.read_bytes(), office.log.note, authority)
            assert not office.witness.seen
            assert second.seen
            report = json.loads((office.paths.run / "anchor.json").read_text())
            assert report["tree_size"] == 1
            assert [one["name"] for one in report["witnesses"]] == [office.witness.name, second.name]
        finally:
            stop.set()
            release.set()
            thread.join(30)
        assert not thread.is_alive()

    def test_a_fault_of_ours_costs_no_thread(self, office: Office) -> None:
        class Turned(threading.Event):
            """Waiting turns the clock."""

            def wait(self, timeout: float | None = None) -> bool:
                office.clock.advance(timeout or 0)
                return self.is_set()

        stop = Turned()
        faults = [ZeroDivisionError("ours"), KeyError("x")]
        problems = []

        def fall() -> None:
            problems.append(office.feed.report()["problem"])
            if faults:
                raise faults.pop(0)
            stop.set()

        office.witness.before = fall
        run_target(office.feed, stop)
        assert problems == [None, "ours", "'x'"]
        assert office.witness.seen

    def test_another_log_in_the_directory_ends_the_process(
        self, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is remembered is of the former log; nothing of the new one is brought anywhere before the restart."""
        monkeypatch.setattr(anchor_service, "REPORT_SECONDS", 0.01)
        later = PublishedByHand(tmp_path / "later", "phayan.test/later")
        for name in ("key.vkey", "checkpoint"):
            (office.paths.log / name).write_bytes((later.paths.log / name).read_bytes())
        office.feed.step()
        assert (office.witness.asked, office.feed.report()["size"]) == (0, 0)
        service = AnchorService(office.paths, office.published, office.store, [], [], [], office.clock)
        with pytest.raises(ArchiveStateError, match="another log"):
            service.run(threading.Event())

    def test_the_report_says_what_is_wrong(self, office: Office) -> None:
        service = AnchorService(
            office.paths, office.published, office.store, [office.feed], [office.queue], [], office.clock
        )
        office.witness.before = unreachable
        office.authority.down = TimestampError("no route to the authority")
        office.feed.step()
        office.queue.step()
        service.keep_house()
        report = json.loads((office.paths.run / "anchor.json").read_text())
        assert report["witnesses"][0]["problem"] == "no route"
        assert report["authorities"][0]["problem"] == "no route to the authority"
        assert report["authorities"][0]["queue"] == 1
        (office.paths.log / "checkpoint").write_bytes(b"no note")
        assert "checkpoint" in service.report()["problem"]


def test_the_largest_token_fits_what_the_sealer_takes(office: Office) -> None:
    evidence = base64.b64encode(bytes(MAX_RESPONSE_BYTES)).decode()
    fields = {
        "by": "timestamp_authority",
        "name": "a" * 32,
        "checkpoint": office.log.note.decode() + "\u2014" * 300,
        "unix_ns": str(2**63),
        "vkey": "",
        "evidence": evidence,
    }
    office.store.hand_over(fields, may_be_left_out=False)
    [path] = (office.paths.inbox / "anchors").glob("*.json")
    assert read_fields(path) == fields
    assert len(encode_leaf("anchor", office.log.origin, fields)) <= MAX_LEAF_BYTES


def test_what_a_crash_left_half_written_is_removed(office: Office) -> None:
    for folder in (office.paths.inbox / "anchors", office.paths.directory / "anchors"):
        (folder / ".5.checkpoint.tmp").write_bytes(b"half")
    office.restart()
    assert not [*office.paths.directory.rglob("*.tmp")]


def test_evidence_is_what_the_authority_sent(office: Office) -> None:
    office.queue.step()
    [fields] = office.seal()
    kept = (office.paths.directory / "anchors" / f"1.{office.authority.made.name}.tsr").read_bytes()
    assert base64.b64decode(fields["evidence"]) == kept
    assert fields["checkpoint"].encode() == office.log.note
