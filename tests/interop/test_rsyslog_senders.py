"""rsyslog forwards to our receivers over UDP, TCP with newlines and TCP with octet counting."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from archive.spool import SpoolWriter
from collector.receivers import Receiver
from collector.tcp import TcpReceiver
from collector.udp import UdpReceiver
from tests.collector.net.spool_reading import DEADLINE_SECONDS, read_records, running, wait_until

RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
COUNT = 500

CONFIG = """
global(workDirectory="{directory}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{directory}/log.sock" RateLimit.Interval="0" CreatePath="off")
template(name="raw" type="string" string="<%PRI%>1 - host app - - - %rawmsg-after-pri%")
action(type="omfwd" Target="127.0.0.1" Port="{port}" Protocol="{protocol}" TCP_Framing="{framing}"
       Template="raw")
"""


def missing(peer: str) -> NoReturn:
    """Skip the test by the name of the peer; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{peer} is not installed")
    pytest.skip(f"{peer} is not installed")


@contextmanager
def run_rsyslogd(directory: Path, configuration: str) -> Iterator[Path]:
    """A private rsyslogd that forwards what is written to the yielded socket."""
    if RSYSLOGD is None:
        missing("rsyslogd")
    config = directory / "rsyslog.conf"
    config.write_text(configuration, encoding="ascii")
    arguments = [RSYSLOGD, "-n", "-f", str(config), "-i", str(directory / "rsyslogd.pid")]
    with (directory / "rsyslogd.out").open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output)
        try:
            wait_until(lambda: (directory / "log.sock").exists() or process.poll() is not None)
            assert process.poll() is None, (directory / "rsyslogd.out").read_text(encoding="utf-8")
            yield directory / "log.sock"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def rsyslogd(directory: Path, port: int, protocol: str, framing: str) -> AbstractContextManager[Path]:
    """An rsyslogd that forwards to a port over UDP or TCP."""
    return run_rsyslogd(directory, CONFIG.format(directory=directory, port=port, protocol=protocol, framing=framing))


def receiver_of(protocol: str) -> Receiver:
    if protocol == "udp":
        return UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
    return TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)


@pytest.mark.interop
@pytest.mark.parametrize(
    ("protocol", "framing"), [("udp", "traditional"), ("tcp", "traditional"), ("tcp", "octet-counted")]
)
def test_every_message_of_rsyslog_arrives_unchanged(tmp_path: Path, protocol: str, framing: str) -> None:
    writer = SpoolWriter(tmp_path / "spool", "collector")
    receiver = receiver_of(protocol)
    texts = [f"message {number} ทดสอบ {'x' * (number % 300)}".rstrip() for number in range(COUNT)]
    with running(receiver, writer), rsyslogd(tmp_path, receiver.port, protocol, framing) as log_socket:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(log_socket))
            for text in texts:
                sender.send(f"<134>{text}".encode())
        wait_until(lambda: receiver.counters.received_records >= COUNT)
        time.sleep(0.05)
    writer.close()
    records = read_records(tmp_path / "spool")
    assert [record.payload.decode() for record in records] == [f"<134>1 - host app - - - {text}" for text in texts]
    assert {record.transport for record in records} == {protocol}
    assert receiver.counters.malformed_frames == 0
