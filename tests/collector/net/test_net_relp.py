"""RELP over loopback: no answer before the record is durable, no answer at all for one that is not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.errors import SpoolError
from archive.spool import SpoolWriter
from archive.spool_batch import Batch
from collector import handshakes, relp_connection
from collector.commit_queue import CommitQueue
from collector.receivers import RecordWriter
from collector.relp_connection import RelpConnection
from collector.tcp import TcpReceiver
from tests.collector.net.failing_writer import FailingWriter
from tests.collector.net.spool_reading import losses, read_records, running, wait_until
from tests.collector.net.test_net_relp_session import OPEN, OPENED, frame


@contextmanager
def serving(writer: RecordWriter) -> Iterator[TcpReceiver]:
    receiver = TcpReceiver(
        "syslog/relp-0", "127.0.0.1", 0, transport="relp", open_connection=RelpConnection, commits=CommitQueue()
    )
    with running(receiver, writer):
        yield receiver


def connect(receiver: TcpReceiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=10)


def opened(receiver: TcpReceiver) -> socket.socket:
    peer = connect(receiver)
    peer.sendall(OPEN)
    assert read(peer, len(OPENED)) == OPENED
    return peer


def read(peer: socket.socket, size: int) -> bytes:
    """That many bytes, or what came before the end."""
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def ok(*numbers: int) -> bytes:
    return b"".join(b"%d rsp 6 200 OK\n" % number for number in numbers)


class HeldWriter(FailingWriter):
    """Takes records at once; they become durable when `release` is set, or never when `broken` is."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.release = threading.Event()
        self.broken = False

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None:
        if not self.release.wait(timeout_seconds) or self.broken:
            raise SpoolError("record not durable", code="spool_not_durable")


def test_messages_are_kept_and_answered(writer: SpoolWriter, tmp_path: Path) -> None:
    sent = [b"<13>%d %s" % (n, b"y\n" * (n % 40)) for n in range(2, 2_002)]
    with serving(writer) as receiver, opened(receiver) as peer:
        peer.sendall(b"".join(frame(n, message) for n, message in enumerate(sent, 2)))
        expected = ok(*range(2, 2_002))
        assert read(peer, len(expected)) == expected
        peer.sendall(b"2002 close 0\n")
        assert read(peer, 100) == b"2002 rsp 0\n0 serverclose 0\n"
        wait_until(lambda: receiver.counters.connections == 0)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records] == sent
    assert {(record.transport, record.listener, record.truncated) for record in records} == {
        ("relp", receiver.name, False)
    }


def test_no_answer_before_it_is_durable_and_others_are_served_meanwhile() -> None:
    writer = HeldWriter()
    with serving(writer) as receiver, opened(receiver) as waiting:
        waiting.sendall(frame(2, b"<13>waits"))
        wait_until(lambda: receiver.counters.received_records == 1)
        waiting.settimeout(0.3)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        with opened(receiver) as other:
            other.sendall(frame(2, b"<13>other"))
            wait_until(lambda: receiver.counters.received_records == 2)
            writer.release.set()
            assert read(other, len(ok(2))) == ok(2)
        waiting.settimeout(10)
        assert read(waiting, len(ok(2))) == ok(2)


def test_what_is_not_durable_is_never_answered_and_the_connection_is_closed() -> None:
    writer = HeldWriter()
    writer.broken = True
    with serving(writer) as receiver, opened(receiver) as peer:
        peer.sendall(frame(2, b"<13>a") + frame(3, b"<13>b"))
        wait_until(lambda: receiver.counters.received_records == 2)
        writer.release.set()
        assert read(peer, 100) == b""
        writer.broken = False
        with opened(receiver) as again:
            again.sendall(frame(2, b"<13>a") + frame(3, b"<13>b"))
            assert read(again, len(ok(2, 3))) == ok(2, 3)
    assert receiver.counters.unwritten_records == 2


def test_full_disk_is_no_answer_and_no_loss() -> None:
    writer = FailingWriter()
    with serving(writer) as receiver:
        with opened(receiver) as peer:
            peer.sendall(frame(2, b"<13>again please"))
            assert read(peer, 100) == b""
        writer.full = False
        with opened(receiver) as peer:
            peer.sendall(frame(2, b"<13>again please"))
            assert read(peer, len(ok(2))) == ok(2)
    assert [p for batch in writer.batches for p in batch.payloads()] == [b"<13>again please"]
    assert writer.events == []


def test_a_failed_file_spoils_only_its_own_answers() -> None:
    """Two rounds wait together; the first never becomes durable, the second does."""

    class HalfWriter(HeldWriter):
        def append_batch(self, batch: Batch) -> int:
            super().append_batch(batch)
            return len(self.batches)

        def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None:
            assert self.release.wait(timeout_seconds)
            if ticket == 1:
                raise SpoolError("record not durable", code="spool_not_durable")

    writer = HalfWriter()
    with serving(writer) as receiver, opened(receiver) as first, opened(receiver) as second:
        first.sendall(frame(2, b"<13>first"))
        wait_until(lambda: receiver.counters.received_records == 1)
        second.sendall(frame(2, b"<13>second"))
        wait_until(lambda: receiver.counters.received_records == 2)
        writer.release.set()
        assert read(first, 100) == b""
        assert read(second, len(ok(2))) == ok(2)


def test_close_is_answered_after_everything_else() -> None:
    writer = HeldWriter()
    with serving(writer) as receiver, opened(receiver) as peer:
        peer.sendall(frame(2, b"<13>x") + b"3 close 0\n")
        wait_until(lambda: receiver.counters.received_records == 1)
        writer.release.set()
        assert read(peer, 100) == ok(2) + b"3 rsp 0\n0 serverclose 0\n"


def test_what_was_sent_before_stop_is_answered_then_the_server_closes(writer: SpoolWriter) -> None:
    with serving(writer) as receiver:
        peer = opened(receiver)
        peer.sendall(frame(2, b"<13>x") + b"3 syslog 50 <13>unfinished")
    assert read(peer, 100) == ok(2) + b"0 serverclose 0\n"
    peer.close()


@pytest.mark.parametrize("lie", [b"3 syslog 2 abc\n", b"3 syslog 999999999 a", b"rubbish\n"])
def test_a_liar_is_closed_counted_and_said_and_others_go_on(lie: bytes, writer: SpoolWriter, tmp_path: Path) -> None:
    with serving(writer) as receiver, opened(receiver) as good, opened(receiver) as liar:
        liar.sendall(frame(2, b"<13>true") + lie)
        read(liar, 100)
        wait_until(lambda: receiver.counters.malformed_frames == 1 and receiver.counters.connections == 1)
        good.sendall(frame(2, b"<13>good"))
        assert read(good, len(ok(2))) == ok(2)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert {record.payload for record in records if record.listener != "loss"} == {b"<13>true", b"<13>good"}
    assert [(loss["how"], loss["count"]) for loss in losses(records)] == [("relp_malformed", 1)]


def test_who_never_opens_is_ended(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS", 0.1)
    with serving(writer) as receiver, connect(receiver) as silent, opened(receiver) as good:
        assert silent.recv(1) == b""
        wait_until(lambda: receiver.counters.failed_handshakes == 1)
        good.sendall(frame(2, b"<13>x"))
        assert read(good, len(ok(2))) == ok(2)


def test_a_client_that_does_not_listen_is_not_read_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers owed are bounded; when they are settled it is read from again."""
    monkeypatch.setattr(relp_connection, "MAX_UNANSWERED_BYTES", 1_000)
    monkeypatch.setattr(relp_connection, "RECEIVE_BYTES", 2_000)
    writer = HeldWriter()
    count = 3_000
    with serving(writer) as receiver, opened(receiver) as peer:
        peer.sendall(b"".join(frame(n, b"<13>x") for n in range(2, count + 2)))
        wait_until(lambda: receiver.counters.received_records > 0)
        with opened(receiver) as other:  # the loop is alive and has seen the first one several times
            other.sendall(frame(2, b"<13>y"))
            wait_until(lambda: any(b"<13>y" in b"".join(batch.payload) for batch in writer.batches))
        assert receiver.counters.received_records < 300
        writer.release.set()
        expected = ok(*range(2, count + 2))
        assert read(peer, len(expected)) == expected


def test_a_client_that_goes_away_while_answers_wait_leaves_nothing_behind() -> None:
    writer = HeldWriter()
    with serving(writer) as receiver:
        with opened(receiver) as peer:
            peer.sendall(frame(2, b"<13>x"))
            wait_until(lambda: receiver.counters.received_records == 1)
        wait_until(lambda: receiver.counters.connections == 0)
        writer.release.set()
        with opened(receiver) as other:
            other.sendall(frame(2, b"<13>y"))
            assert read(other, len(ok(2))) == ok(2)
