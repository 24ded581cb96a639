"""rsyslog forwards over TLS and RELP; over RELP nothing is lost when our collector goes away in the middle."""

import socket
import threading
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from archive.spool import SpoolWriter
from collector.commit_queue import CommitQueue
from collector.relp_connection import RelpConnection
from collector.tcp import TcpReceiver
from collector.tls import TlsConnection, make_tls_context
from tests.collector.net.certificates import Authority
from tests.collector.net.spool_reading import DEADLINE_SECONDS, read_records, running, wait_until
from tests.interop.test_rsyslog_senders import missing, run_rsyslogd

COUNT = 500
START = """
global(workDirectory="{directory}" {options})
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{directory}/log.sock" RateLimit.Interval="0" CreatePath="off")
template(name="raw" type="string" string="<%PRI%>1 - host app - - - %rawmsg-after-pri%")
"""
TLS = """
action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="tcp" TCP_Framing="octet-counted"
       StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
       StreamDriverPermittedPeers="127.0.0.1" Template="raw")
"""
RELP = """
module(load="omrelp")
action(type="omrelp" Target="127.0.0.1" Port="{port}" Template="raw" timeout="5"
       action.resumeRetryCount="-1" action.resumeInterval="1")
"""


def rsyslogd(directory: Path, action: str, options: str = "") -> AbstractContextManager[Path]:
    """An rsyslogd that forwards by `action`."""
    return run_rsyslogd(directory, START.format(directory=directory, options=options) + action)


def need_module(name: str) -> None:
    if not list(Path("/usr/lib").glob(f"*/rsyslog/{name}.so")):
        missing(f"rsyslog's module {name}")


def log(path: Path, texts: list[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        for text in texts:
            sender.send(f"<134>{text}".encode())


def lines(start: int, count: int) -> list[str]:
    return [f"message {n} ทดสอบ {'x' * (n % 300)}".rstrip() for n in range(start, start + count)]


def stored(texts: list[str]) -> list[str]:
    return [f"<134>1 - host app - - - {text}" for text in texts]


@pytest.mark.interop
@pytest.mark.parametrize("with_client_certificate", [False, True])
def test_every_message_over_tls_arrives_unchanged(tmp_path: Path, with_client_certificate: bool) -> None:
    need_module("lmnsd_gtls")
    authority = Authority(tmp_path / "authority")
    context = make_tls_context(*authority.issue("127.0.0.1"), authority.ca if with_client_certificate else None)
    options = f'defaultNetstreamDriverCAFile="{authority.ca}"'
    if with_client_certificate:
        certificate, key = authority.issue("sender")
        options += f' defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"'
    writer = SpoolWriter(tmp_path / "spool", "collector")
    receiver = TcpReceiver(
        "syslog/tls-0", "127.0.0.1", 0, transport="tls", open_connection=partial(TlsConnection, context)
    )
    with running(receiver, writer), rsyslogd(tmp_path, TLS.format(port=receiver.port), options) as log_socket:
        log(log_socket, lines(0, COUNT))
        wait_until(lambda: receiver.counters.received_records >= COUNT)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload.decode() for record in records] == stored(lines(0, COUNT))
    assert {record.transport for record in records} == {"tls"}
    assert receiver.counters.failed_handshakes == receiver.counters.malformed_frames == 0


def relp_receiver(port: int = 0) -> TcpReceiver:
    return TcpReceiver(
        "syslog/relp-0", "127.0.0.1", port, transport="relp", open_connection=RelpConnection, commits=CommitQueue()
    )


@pytest.mark.interop
def test_every_message_over_relp_arrives_unchanged(tmp_path: Path) -> None:
    need_module("omrelp")
    writer = SpoolWriter(tmp_path / "spool", "collector")
    receiver = relp_receiver()
    with running(receiver, writer), rsyslogd(tmp_path, RELP.format(port=receiver.port)) as log_socket:
        log(log_socket, lines(0, COUNT))
        wait_until(lambda: receiver.counters.received_records >= COUNT)
    writer.close()
    assert [record.payload.decode() for record in read_records(tmp_path / "spool")] == stored(lines(0, COUNT))
    assert receiver.counters.malformed_frames == 0


@pytest.mark.interop
def test_relp_loses_nothing_when_the_collector_restarts_in_the_middle(tmp_path: Path) -> None:
    """The receiver is gone for a while; the sender repeats what was not answered."""
    need_module("omrelp")
    writer = SpoolWriter(tmp_path / "spool", "collector")
    first = relp_receiver()
    sent = lines(0, 3 * COUNT)
    stop = threading.Event()
    thread = threading.Thread(target=first.run, args=(writer, stop))
    with rsyslogd(tmp_path, RELP.format(port=first.port)) as log_socket:
        thread.start()
        log(log_socket, sent[:COUNT])
        wait_until(lambda: first.counters.received_records > 0)
        stop.set()
        thread.join(DEADLINE_SECONDS)
        first.close()
        log(log_socket, sent[COUNT : 2 * COUNT])
        second = relp_receiver(first.port)
        with running(second, writer):
            log(log_socket, sent[2 * COUNT :])
            wait_until(lambda: first.counters.received_records + second.counters.received_records >= len(sent))
            wait_until(lambda: _all_stored(tmp_path / "spool", sent))
    writer.close()


def _all_stored(spool: Path, sent: list[str]) -> bool:
    return {record.payload.decode() for record in read_records(spool)} == set(stored(sent))
