"""The service while its directory is slow, its queue full, or its input hostile."""

import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radius_packets import accounting, attribute, number, request, sign
from radius_process import SECRET, RadiusProcess
from test_radius_service import NAME, Nas, access

from archive.clock import SystemClock
from authgw.directory.base import DirectoryVerdict
from authgw.radius import authentication, service
from authgw.radius.admission import Admission
from authgw.radius.clients import ClientTable, LearnedSigners, RadiusClient
from authgw.radius.server import Datagram


class SlowDirectory:
    """Answers only when released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def check(self, name: str, password: bytes) -> DirectoryVerdict:
        self.asked += 1
        self.released.wait(20)
        return DirectoryVerdict("accepted", person="Somebody")

    def close(self) -> None:
        pass


@pytest.fixture
def slow(monkeypatch):
    directory = SlowDirectory()
    monkeypatch.setattr(service, "LdapDirectory", lambda *_: directory)
    monkeypatch.setattr(authentication, "WORKERS", 2)
    monkeypatch.setattr(authentication, "MAX_WAITING_REQUESTS", 5)
    yield directory
    directory.released.set()


def test_accounting_does_not_wait_for_a_slow_directory(tmp_path, slow):
    with RadiusProcess(tmp_path, directory=object()) as radius:
        people = [Nas(radius.auth_port) for _ in range(12)]
        for i, nas in enumerate(people):
            nas.send(access(b"password-9", identifier=i))
            deadline = time.monotonic() + 10
            while slow.asked < min(i + 1, 2):  # both workers are busy before the queue begins to fill
                assert time.monotonic() < deadline
                time.sleep(0.01)
        radius.wait_counter("auth", "dropped_overload", 5)
        nas, took = Nas(radius.acct_port), []
        for i in range(20):
            session = attribute(44, f"s{i}".encode())
            packet = accounting(attribute(40, number(1)), NAME, session, identifier=i, secret=SECRET)
            started = time.monotonic()
            assert nas.ask(packet)[0] == 5
            took.append(time.monotonic() - started)
        assert sorted(took)[len(took) // 2] < 0.05
        status = sign(request(12), SECRET)
        assert Nas(radius.auth_port).ask(status)[0] == 2
        assert slow.asked == 2
        slow.released.set()
        radius.wait_counter("auth", "accepted", 7)
        assert sum(nas.receive(0.2) is not None for nas in people) == 7
        assert radius.counters()["auth"]["dropped_overload"] == 5


def test_one_client_cannot_take_the_whole_queue(tmp_path, slow, monkeypatch):
    monkeypatch.setattr(authentication, "MAX_IN_WORK_PER_CLIENT", 3)
    with RadiusProcess(tmp_path, directory=object()) as radius:
        for i in range(6):
            Nas(radius.auth_port).send(access(b"password-9", identifier=i))
        radius.wait_counter("auth", "dropped_client_overload", 3)
        slow.released.set()
        radius.wait_counter("auth", "accepted", 3)
        assert Nas(radius.auth_port).ask(access(b"password-9"))[0] == 2


class SilentSocket:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, _request: Datagram, reply: bytes) -> bool:
        self.sent.append(reply)
        return True


_CLIENTS = ClientTable((RadiusClient("10.0.0.0/8", SECRET, "x"),))


@given(
    st.binary(max_size=120) | st.binary(max_size=60).map(lambda b: sign(request(1, *[b]), SECRET)),
    st.sampled_from(["auth", "acct"]),
    st.sampled_from(["10.0.0.1", "192.0.2.1", "fe80::1%eth0", "not an address"]),
)
@settings(max_examples=400)
def test_admission_never_raises_and_counts_everything(data, role, address):
    admission = Admission(role, SilentSocket(), _CLIENTS, LearnedSigners(), SystemClock())
    for _ in range(2):
        admission.admit(Datagram(data, (address, 1645), None, ""))
    counts = admission.counters.snapshot()
    assert counts.pop("received") == 2
    assert sum(counts.values()) in (1, 2)  # both dropped, or one new and its duplicate


def test_a_restart_is_possible_at_once(tmp_path):
    with RadiusProcess(tmp_path) as first:
        port = first.acct_port
    with RadiusProcess(tmp_path, acct_port=port) as second:
        packet = accounting(attribute(40, number(7)), secret=SECRET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
            nas.settimeout(5)
            nas.sendto(packet, ("127.0.0.1", second.acct_port))
            assert nas.recv(100)[0] == 5
