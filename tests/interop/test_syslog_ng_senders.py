"""syslog-ng and logger send to our receivers: every message arrives, byte for byte, whatever the framing."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from archive.spool import SpoolWriter
from collector.receivers import Receiver
from collector.tcp import TcpReceiver
from collector.tls import TlsConnection, make_tls_context
from collector.udp import UdpReceiver
from tests.collector.net.certificates import Authority
from tests.collector.net.spool_reading import DEADLINE_SECONDS, Record, read_records, running, wait_until
from tests.interop.test_rsyslog_senders import missing

UNPACKED = Path("/opt/phayan-peers/syslog-ng")
"""Where deploy/install_peers.sh unpacks it: Debian does not let it be installed beside rsyslog."""
SYSLOG_NG = shutil.which("syslog-ng", path=f"{UNPACKED}/usr/sbin:/usr/sbin:/usr/local/sbin")
LOGGER = shutil.which("logger")
COUNT = 500
RAW = 'template("<134>1 - host app - - - $MSG\\n")'
# What syslog-ng itself puts together, octet-counted over streams (RFC 6587 section 3.4.1, RFC 5425).
DRIVERS = {
    "udp": f'network("127.0.0.1" port({{port}}) transport("udp") {RAW})',
    "tcp": f'network("127.0.0.1" port({{port}}) transport("tcp") {RAW})',
    "octet-counted": 'syslog("127.0.0.1" port({port}) transport("tcp"))',
    "tls": 'syslog("127.0.0.1" port({port}) transport("tls") tls(ca-file("{ca}") peer-verify(required-trusted)))',
}
CONFIG = """@version: 3.35
options {{ chain-hostnames(no); keep-hostname(yes); flush-lines(100); stats-freq(0); }};
source s {{ unix-dgram("{directory}/log.sock" flags(no-parse)); }};
destination d {{ {driver}; }};
log {{ source(s); destination(d); }};
"""


@contextmanager
def run_syslog_ng(directory: Path, driver: str) -> Iterator[Path]:
    """A private syslog-ng that forwards what is written to the yielded socket."""
    if SYSLOG_NG is None:
        missing("syslog-ng")
    config = directory / "syslog-ng.conf"
    config.write_text(CONFIG.format(directory=directory, driver=driver), encoding="ascii")
    names = {"persist-file": "persist", "pidfile": "pid", "control": "control", "cfgfile": "syslog-ng.conf"}
    arguments = [SYSLOG_NG, "-F", "--no-caps", *(f"--{option}={directory / name}" for option, name in names.items())]
    environment = dict(os.environ)
    if SYSLOG_NG.startswith(str(UNPACKED)):
        libraries = UNPACKED / "usr/lib/syslog-ng"
        environment["LD_LIBRARY_PATH"] = str(libraries)
        arguments.append(f"--module-path={next(path for path in libraries.iterdir() if path.is_dir())}")
    with (directory / "syslog-ng.out").open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env=environment)
        try:
            wait_until(lambda: (directory / "log.sock").exists() or process.poll() is not None)
            assert process.poll() is None, (directory / "syslog-ng.out").read_text(encoding="utf-8")
            yield directory / "log.sock"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def receiver_of(driver: str, directory: Path) -> tuple[Receiver, str]:
    """A receiver for the driver, and the driver's configuration."""
    if driver == "udp":
        receiver: Receiver = UdpReceiver("syslog/udp-0", "127.0.0.1", 0)
        return receiver, DRIVERS[driver].format(port=receiver.port)
    if driver != "tls":
        receiver = TcpReceiver("syslog/tcp-0", "127.0.0.1", 0)
        return receiver, DRIVERS[driver].format(port=receiver.port)
    authority = Authority(directory / "authority")
    context = make_tls_context(*authority.issue("127.0.0.1"))
    receiver = TcpReceiver(
        "syslog/tls-0", "127.0.0.1", 0, transport="tls", open_connection=partial(TlsConnection, context)
    )
    return receiver, DRIVERS[driver].format(port=receiver.port, ca=authority.ca)


@pytest.mark.interop
@pytest.mark.parametrize("driver", list(DRIVERS))
def test_every_message_of_syslog_ng_arrives(tmp_path: Path, driver: str) -> None:
    writer = SpoolWriter(tmp_path / "spool", "collector")
    receiver, configuration = receiver_of(driver, tmp_path)
    texts = [f"message {number} ทดสอบ {'x' * (number % 300)}".rstrip() for number in range(COUNT)]
    with running(receiver, writer), run_syslog_ng(tmp_path, configuration) as log_socket:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(log_socket))
            for text in texts:
                sender.send(text.encode())
        wait_until(lambda: receiver.counters.received_records >= COUNT)
    writer.close()
    payloads = [record.payload.decode() for record in read_records(tmp_path / "spool")]
    assert [payload[payload.index("message ") :].rstrip("\n") for payload in payloads] == texts
    if driver in ("udp", "tcp"):
        assert {payload[: payload.index("message ")] for payload in payloads} == {"<134>1 - host app - - - "}
    assert receiver.counters.malformed_frames == receiver.counters.failed_handshakes == 0


@pytest.mark.interop
@pytest.mark.parametrize("options", [["--udp"], ["--tcp"], ["--tcp", "--octet-count"], ["--udp", "--rfc3164"]])
def test_every_line_of_logger_arrives(tmp_path: Path, options: list[str]) -> None:
    if LOGGER is None:
        missing("logger")
    writer = SpoolWriter(tmp_path / "spool", "collector")
    receiver, _ = receiver_of("udp" if "--udp" in options else "tcp", tmp_path)
    texts = [f"line {number} จาก logger" for number in range(40)]
    with running(receiver, writer):
        command = [LOGGER, *options, "--server", "127.0.0.1", "--port", str(receiver.port), "--tag", "school"]
        subprocess.run(command, input="\n".join(texts).encode(), check=True, timeout=DEADLINE_SECONDS)
        wait_until(lambda: receiver.counters.received_records >= len(texts))
    writer.close()
    records: list[Record] = read_records(tmp_path / "spool")
    assert [record.payload.decode()[-len(text) :] for record, text in zip(records, texts, strict=True)] == texts
    assert all(b"school" in record.payload for record in records)
    assert receiver.counters.malformed_frames == 0
