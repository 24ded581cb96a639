"""Syslog over TLS on loopback: both framings, client certificates, and peers that speak no TLS."""

import random
import socket
import ssl
import struct
from functools import partial
from pathlib import Path

import pytest

from archive.spool import SpoolWriter
from collector import handshakes
from collector.errors import CollectorError
from collector.tcp import TcpReceiver
from collector.tls import TlsConnection, make_tls_context
from tests.collector.net.certificates import Authority
from tests.collector.net.spool_reading import losses, read_records, running, wait_until
from tests.collector.net.test_net_tcp import messages


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_receiver(authority: Authority, *, client_ca: Path | None = None) -> TcpReceiver:
    context = make_tls_context(*authority.issue("server"), client_ca)
    return TcpReceiver("syslog/tls-0", "127.0.0.1", 0, transport="tls", open_connection=partial(TlsConnection, context))


def connect(authority: Authority, port: int, client: str = "") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if client:
        context.load_cert_chain(*authority.issue(client))
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_both_framings_and_large_writes(authority: Authority, writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = tls_receiver(authority)
    lines, counted = messages(4_000, 1), messages(4_000, 2)
    with running(receiver, writer), connect(authority, receiver.port) as one, connect(authority, receiver.port) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
        one.sendall(b"".join(line + b"\n" for line in lines))
        two.sendall(b"".join(b"%d %s" % (len(message), message) for message in counted))
        wait_until(lambda: receiver.counters.received_records == 8_000)
        assert receiver.counters.connections == 2
    writer.close()
    records = read_records(tmp_path / "spool")
    for port, sent in zip(ports, (lines, counted), strict=True):
        assert [record.payload for record in records if record.port == port] == sent
    assert {(record.transport, record.listener) for record in records} == {("tls", receiver.name)}


def test_last_line_without_newline_is_kept(authority: Authority, writer: SpoolWriter, tmp_path: Path) -> None:
    receiver = tls_receiver(authority)
    with running(receiver, writer):
        with connect(authority, receiver.port) as peer:
            peer.sendall(b"<13>whole\n<13>unfinished")
        wait_until(lambda: receiver.counters.received_records == 2 and receiver.counters.connections == 0)
    writer.close()
    assert [record.payload for record in read_records(tmp_path / "spool")] == [b"<13>whole", b"<13>unfinished"]
    assert receiver.counters.failed_handshakes == receiver.counters.malformed_frames == 0


def old_client_hello() -> bytes:
    """What a client sends first that knows no TLS later than 1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"<13>plain syslog on the TLS port\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(200),
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        random.Random(3).randbytes(5_000),
        old_client_hello(),
    ],
    ids=["syslog", "http", "zeros", "long-record", "random", "tls-1.1"],
)
def test_rubbish_is_closed_counted_and_said_and_others_are_unharmed(
    rubbish: bytes, authority: Authority, writer: SpoolWriter, tmp_path: Path
) -> None:
    receiver = tls_receiver(authority)
    with running(receiver, writer), connect(authority, receiver.port) as good:
        good.sendall(b"<13>before\n")
        wait_until(lambda: receiver.counters.received_records == 1)
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer:
            peer.sendall(rubbish)
            wait_until(lambda: receiver.counters.failed_handshakes == 1)
        good.sendall(b"<13>after\n")
        wait_until(lambda: receiver.counters.received_records == 2)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records if record.listener != "loss"] == [b"<13>before", b"<13>after"]
    assert [(loss["how"], loss["count"], loss["sources"]) for loss in losses(records)] == [
        ("tls_handshake_failed", 1, ["127.0.0.1"])
    ]


def test_damage_inside_a_session_keeps_what_came_before(
    authority: Authority, writer: SpoolWriter, tmp_path: Path
) -> None:
    receiver = tls_receiver(authority)
    with running(receiver, writer):
        peer = connect(authority, receiver.port)
        peer.sendall(b"<13>good\n<13>cut off")
        wait_until(lambda: receiver.counters.received_records == 1)
        plain = socket.socket(fileno=peer.detach())
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        wait_until(lambda: receiver.counters.connections == 0)
        plain.close()
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records if record.listener != "loss"] == [b"<13>good", b"<13>cut off"]
    assert [loss["how"] for loss in losses(records)] == ["tls_failed"]


def test_client_certificate_is_required_when_an_authority_is_set(
    authority: Authority, writer: SpoolWriter, tmp_path: Path
) -> None:
    receiver = tls_receiver(authority, client_ca=authority.ca)
    stranger = Authority(tmp_path / "stranger")
    with running(receiver, writer):
        with connect(authority, receiver.port, client="gateway") as peer:
            peer.sendall(b"<13>known\n")
            wait_until(lambda: receiver.counters.received_records == 1)
        without = connect(authority, receiver.port)
        wait_until(lambda: receiver.counters.failed_handshakes == 1)
        context = ssl.create_default_context(cafile=str(authority.ca))
        context.load_cert_chain(*stranger.issue("gateway"))
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as plain:
            foreign = context.wrap_socket(plain, server_hostname="127.0.0.1")
            wait_until(lambda: receiver.counters.failed_handshakes == 2)
            foreign.close()
        without.close()
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload for record in records if record.listener != "loss"] == [b"<13>known"]


def test_half_open_handshakes_are_bounded_and_senders_still_get_in(
    authority: Authority, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "MAX_HANDSHAKES", 4)
    receiver = tls_receiver(authority)
    with running(receiver, writer):
        waiting = [socket.create_connection(("127.0.0.1", receiver.port), timeout=10) for _ in range(10)]
        wait_until(lambda: receiver.counters.failed_handshakes == 6)
        assert receiver.counters.connections == 4
        assert waiting[0].recv(1) == b""
        with connect(authority, receiver.port) as peer:
            peer.sendall(b"<13>x\n")
            wait_until(lambda: receiver.counters.received_records == 1)
        for one in waiting:
            one.close()


def test_a_handshake_that_takes_too_long_is_ended(
    authority: Authority, writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS", 0.1)
    receiver = tls_receiver(authority)
    with running(receiver, writer), socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as peer:
        peer.sendall(b"\x16\x03\x01")
        assert peer.recv(1) == b""
        wait_until(lambda: receiver.counters.failed_handshakes == 1)
    assert receiver.counters.connections == 0


def test_a_peer_that_resets_during_the_handshake_harms_nobody(authority: Authority, writer: SpoolWriter) -> None:
    receiver = tls_receiver(authority)
    with running(receiver, writer):
        for _ in range(20):
            peer = socket.create_connection(("127.0.0.1", receiver.port), timeout=10)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        with connect(authority, receiver.port) as good:
            good.sendall(b"<13>x\n")
            wait_until(lambda: receiver.counters.received_records == 1)


def test_unusable_certificate_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue("server")
    _, other_key = authority.issue("other")
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM")
    for files in ((certificate, other_key), (tmp_path / "missing", other_key), (broken, broken)):
        with pytest.raises(CollectorError) as caught:
            make_tls_context(*files)
        assert caught.value.code == "tls_files"
        assert str(files[0]) in str(caught.value)
