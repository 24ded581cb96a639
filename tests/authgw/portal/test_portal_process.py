"""The portal as processes: TLS, redirect, kills, ports."""

import os
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from authgw.portal import web_server
from tests.authgw.portal.portal_process import PortalProcess, is_alive, worker_of


@pytest.fixture
def portal(tmp_path: Path):
    process = PortalProcess(tmp_path)
    yield process
    process.stop_all()


def wait_for(check, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_log_in_over_tls_and_an_orderly_end(portal: PortalProcess) -> None:
    process = portal.start()
    answer, _ = portal.log_in()
    assert answer.status == 303
    _, status = portal.ask("GET", "/status")
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in status
    assert "127.0.0.1" in status
    wait_for(lambda: portal.counters().get("logins_accepted") == 1, 5, "the counters follow")
    assert portal.counters()["sessions_open"] == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not list((portal.data / "spool" / "portal").glob("*.open")), "the journal was closed in order"
    for name in ("form.key", "sessions.sqlite", "portal.key", "portal.lock"):
        assert (portal.data / "portal" / name).stat().st_mode & 0o077 == 0, name


def test_a_killed_master_leaves_no_orphan_and_sessions_go_on(portal: PortalProcess) -> None:
    first = portal.start()
    worker = worker_of(first)
    portal.log_in()
    first.kill()
    first.wait()
    wait_for(lambda: not is_alive(worker), 5, "the worker ends with its master")
    second = portal.start()
    _, status = portal.ask("GET", "/status")
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in status
    assert [e["event"] for e in portal.events()] == ["open"]
    # The worker alone is killed: the master makes another, the session goes on.
    os.kill(worker_of(second), signal.SIGKILL)
    portal.wait_answer(second, portal.https_port)
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in portal.ask("GET", "/status")[1]
    assert [e["event"] for e in portal.events()] == ["open"]


@pytest.mark.parametrize("name", ["portal", "portal-redirect"])
def test_a_taken_port_is_one_sentence(portal: PortalProcess, name: str) -> None:
    port = portal.https_port if name == "portal" else portal.http_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = portal.start(name, wait=False)
        assert process.wait(30) == 78
    assert process.stderr is not None
    lines = process.stderr.read().strip().splitlines()
    assert lines == [f"{name}: cannot listen on 127.0.0.1 TCP port {port}: Address already in use"]


def test_a_bad_certificate_is_one_sentence(portal: PortalProcess) -> None:
    (portal.data / "portal" / "portal.crt").write_text("none")
    process = portal.start(wait=False)
    assert process.wait(30) == 78
    assert process.stderr is not None
    assert "portal.crt cannot be used" in process.stderr.read()


def test_plain_http_only_redirects(portal: PortalProcess) -> None:
    process = portal.start("portal-redirect")
    for host, path in (
        ("captive.apple.com", "/hotspot-detect.html"),
        ("connectivitycheck.gstatic.com", "/generate_204"),
        ("www.msftconnecttest.com", "/connecttest.txt"),
        ("www.msftncsi.com", "/ncsi.txt"),
        ("detectportal.firefox.com", "/canonical.html?a=b"),
        ("127.0.0.1", "/login"),
    ):
        for method in ("GET", "HEAD", "POST"):
            answer, body = portal.ask(method, path, {} if method == "POST" else None, port=portal.http_port, host=host)
            assert answer.status == 302
            assert answer.getheader("Location") == f"https://127.0.0.1:{portal.https_port}/"
            assert answer.getheader("Cache-Control") == "no-store"
            assert body == ""
    with socket.create_connection(("127.0.0.1", portal.http_port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 302 " in raw.recv(1000), "a request without a host"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_old_tls_is_refused(portal: PortalProcess) -> None:
    portal.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", portal.https_port), timeout=5) as raw,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(raw)


def read_for_ever(connection: socket.socket, started: float) -> None:
    while connection.recv(100):
        assert time.monotonic() - started < 5


def test_a_request_that_drips_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 0.5)
    ours, theirs = socket.socketpair()
    limited = web_server._RequestSocket(fileno=ours.detach())
    limited.setblocking(True)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05):
            theirs.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(ConnectionResetError):
            read_for_ever(limited, started)
        limited.setblocking(True)
        assert limited.recv(100), "the next request has its own time"
    finally:
        stop.set()
        thread.join()
        limited.close()
        theirs.close()
