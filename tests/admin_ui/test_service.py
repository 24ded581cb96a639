"""The admin process: refuses in one sentence, serves with and without TLS, ends, and leaves no worker behind."""

import datetime
import ipaddress
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from admin_ui.errors import AdminError
from admin_ui.service import run_admin
from admin_ui.settings import AdminSettings

REPOSITORY = Path(__file__).parents[2]
SERVE = """
import sys, threading
from pathlib import Path
from admin_ui.service import run_admin
from admin_ui.settings import AdminSettings
run, port, certificate, key = Path(sys.argv[1]), int(sys.argv[2]), *(Path(a) if a else None for a in sys.argv[3:5])
report = lambda values: (run / "reported").write_text(str(values))
run_admin(AdminSettings(run / "ask.sock", run / "accounts.sock", "127.0.0.1", port, run, "Asia/Bangkok", "x",
                        certificate, key, report), threading.Event())
"""


def settings(run: Path, **changes: object) -> AdminSettings:
    values: dict[str, object] = {
        "ask_socket": run / "ask.sock",
        "accounts_socket": run / "accounts.sock",
        "address": "127.0.0.1",
        "port": 0,
        "run_directory": run,
        "zone": "Asia/Bangkok",
        "site_name": "x",
    }
    return AdminSettings(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate_files(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "admin.crt", directory / "admin.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def refusal(given: AdminSettings) -> AdminError:
    with pytest.raises(AdminError) as caught:
        run_admin(given, threading.Event())
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_port_in_use_is_named(tmp_path: Path, busy_port: int) -> None:
    error = refusal(settings(tmp_path, port=busy_port))
    assert error.code == "port_in_use"
    assert f"127.0.0.1:{busy_port}" in str(error)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_addresses_than_loopback_need_tls(tmp_path: Path, address: str) -> None:
    assert refusal(settings(tmp_path, address=address)).code == "tls_required"


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    certificate, key = certificate_files(tmp_path)
    assert refusal(settings(tmp_path, tls_certificate=certificate)).code == "bad_certificate"
    assert refusal(settings(tmp_path, tls_key=key)).code == "bad_certificate"
    missing = tmp_path / "missing.crt"
    assert "missing.crt" in str(refusal(settings(tmp_path, tls_certificate=missing, tls_key=key)))
    assert refusal(settings(tmp_path, tls_certificate=key, tls_key=certificate)).code == "bad_certificate"


def test_the_process_exits_78_for_a_port_in_use(tmp_path: Path, busy_port: int) -> None:
    config = tmp_path / "phayan.toml"
    config.write_text(f"[admin]\nport = {busy_port}\n")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.process", "admin", "--data", str(tmp_path / "data"), "--config", str(config)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.startswith("admin: TCP 127.0.0.1:")
    assert done.stderr.count("\n") == 1


Start = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    children: list[subprocess.Popen[bytes]] = []

    def begin(*files: Path) -> tuple[subprocess.Popen[bytes], int]:
        port = free_port()
        names = [str(f) for f in files] or ["", ""]
        child = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path), str(port), *names], cwd=REPOSITORY)
        children.append(child)
        return child, port

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def answer(address: str, context: ssl.SSLContext | None = None) -> int:
    """Status of the log-in page; nobody serves the ask socket here, so 503 is right."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5, context=context) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code if "default-src 'none'" in error.headers["Content-Security-Policy"] else 0
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def worker_of(child: subprocess.Popen[bytes]) -> int:
    (worker,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    return int(worker)


def test_it_serves_reports_and_ends_in_order(start: Start, tmp_path: Path) -> None:
    child, port = start()
    assert answer(f"http://127.0.0.1:{port}/login") == 503
    assert "requests" in (tmp_path / "reported").read_text()
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    assert not is_open(port)


def test_the_worker_dies_with_its_master(start: Start) -> None:
    child, port = start()
    answer(f"http://127.0.0.1:{port}/login")
    worker = worker_of(child)
    child.kill()
    child.wait()
    deadline = time.monotonic() + 15
    while is_open(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_open(port)
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_tls(start: Start, tmp_path: Path) -> None:
    certificate, key = certificate_files(tmp_path)
    _, port = start(certificate, key)
    context = ssl.create_default_context(cafile=str(certificate))
    assert answer(f"https://127.0.0.1:{port}/login", context) == 503
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert answer(f"https://127.0.0.1:{port}/login", context) == 503
