"""The service over loopback sockets, with packets made by hand."""

import json
import os
import socket
import threading
import time

import pytest
from radius_packets import accounting, attribute, hide, number, request, sign
from radius_process import SECRET, RadiusProcess, add_account, response_is_right

from archive.errors import SpoolError
from archive.spool import SpoolWriter
from authgw.errors import AuthgwError
from authgw.radius.clients import RadiusClient

NAME = attribute(1, b"somchai")


def unique(identifier: int) -> bytes:
    return os.urandom(15) + bytes([identifier])


def access(password: bytes, *more: bytes, identifier: int = 1, signed: bool = True, name: bytes = NAME) -> bytes:
    authenticator = unique(identifier)
    packet = request(
        1,
        name,
        attribute(2, hide(password, authenticator, SECRET)),
        *more,
        identifier=identifier,
        authenticator=authenticator,
    )
    return sign(packet, SECRET) if signed else packet


class Nas:
    """A connected UDP socket: the kernel drops replies from any other address."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.connect((address, port))

    def send(self, packet: bytes) -> None:
        self._socket.send(packet)

    def receive(self, seconds: float = 5) -> bytes | None:
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(4096)
        except TimeoutError:
            return None

    def ask(self, packet: bytes, seconds: float = 5) -> bytes | None:
        self.send(packet)
        return self.receive(seconds)


@pytest.fixture(scope="module")
def radius(tmp_path_factory):
    directory = tmp_path_factory.mktemp("radius")
    add_account(directory, "somchai", "password-9")
    add_account(directory, "ครูสมศรี", "รหัสผ่านไทย")
    add_account(directory, "left", "password-9", disabled=True)
    with RadiusProcess(directory, session_timeout_seconds=7200) as process:
        yield process


def test_accept_is_journaled_before_it_is_sent_and_its_class_links_accounting(radius):
    nas = Nas(radius.auth_port)
    packet = access(b"password-9", attribute(31, b"AA-BB-CC-DD-EE-01"))
    reply = nas.ask(packet)
    assert reply is not None
    assert reply[0] == 2
    assert response_is_right(reply, packet)
    assert reply[20:22] == b"\x50\x12"
    event = radius.events()[-1]
    assert (event["event"], event["account"]) == ("update", "somchai")
    assert event["details"]["verdict"] == "accept"
    assert event["station"] == "aa:bb:cc:dd:ee:01"
    marker = b"phayan-login:" + event["login_id"].encode()
    assert attribute(25, marker) in reply
    start = accounting(attribute(40, number(1)), NAME, attribute(44, b"s1"), attribute(25, marker), secret=SECRET)
    assert Nas(radius.acct_port).ask(start)[0] == 5
    row = radius.sessions()[-1]
    assert (row["event"], row["login_id"]) == ("open", event["login_id"])


def test_no_password_is_anywhere_in_the_journal(radius):
    packet = access(b"password-9", identifier=2)
    Nas(radius.auth_port).ask(packet)
    event = radius.events()[-1]
    stored = bytes.fromhex(event["details"]["request_hex"])
    hidden = packet[packet.index(b"\x02\x12") + 2 :][:16]
    assert len(stored) == len(packet)
    assert hidden not in stored
    assert stored[:20] == packet[:20]
    assert not any(b"password-9" in r["payload"] or hidden in r["payload"] for r in radius.records())


@pytest.mark.parametrize("encoding", ["utf-8", "tis-620"])
def test_thai_name_and_password(radius, encoding):
    name = attribute(1, "ครูสมศรี".encode(encoding))
    reply = Nas(radius.auth_port).ask(access("รหัสผ่านไทย".encode(encoding), name=name))
    assert reply[0] == 2
    assert radius.events()[-1]["account"] == "ครูสมศรี"


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        (b"somchai", b"wrong", "wrong_password"),
        (b"nobody", b"password-9", "unknown_account"),
        (b"left", b"password-9", "account_disabled"),
        (b"left", b"wrong", "wrong_password"),
        (b"two words", b"password-9", "bad_name"),
    ],
)
def test_reject_waits_a_second_from_arrival_and_is_journaled(radius, name, password, reason):
    packet = access(password, name=attribute(1, name))
    started = time.monotonic()
    reply = Nas(radius.auth_port).ask(packet)
    took = time.monotonic() - started
    assert reply is not None
    assert reply[0] == 3
    assert reply[20:22] == b"\x50\x12"
    assert response_is_right(reply, packet)
    assert 0.9 < took < 2.5
    event = radius.events()[-1]
    assert (event["event"], event["ended_why"]) == ("reject", reason)
    assert "request_hex" not in event["details"]


def test_delayed_rejects_do_not_hold_workers(radius):
    sockets = [Nas(radius.auth_port) for _ in range(40)]
    started = time.monotonic()
    for i, nas in enumerate(sockets):
        nas.send(access(b"x", identifier=i, name=attribute(1, b"bad name")))
    assert all((nas.receive() or b"\0")[0] == 3 for nas in sockets)
    assert time.monotonic() - started < 3


def test_a_retransmission_is_worked_on_once_and_answered_alike(radius):
    nas, packet = Nas(radius.auth_port), access(b"password-9", identifier=77)
    before = len(radius.events())
    first = nas.ask(packet)
    assert nas.ask(packet) == first
    nas.send(slow := access(b"wrong", identifier=78))
    nas.send(slow)
    assert nas.receive()[0] == 3
    assert nas.receive(0.3) is None
    assert len(radius.events()) == before + 2


def test_a_new_request_under_an_old_identifier_abandons_the_old_one(radius):
    nas = Nas(radius.auth_port)
    nas.send(access(b"wrong", identifier=90))
    time.sleep(0.2)
    second = access(b"password-9", identifier=90)
    reply = nas.ask(second)
    assert reply[0] == 2
    assert response_is_right(reply, second)
    assert nas.receive(1.2) is None


def test_accounting_duplicates_are_stored_once(radius):
    nas = Nas(radius.acct_port)
    packet = accounting(attribute(40, number(3)), NAME, attribute(44, b"dup"), identifier=5, secret=SECRET)
    before = len(radius.records())
    assert nas.ask(packet) == nas.ask(packet)
    assert len(radius.records()) == before + 1


def test_accounting_keeps_the_raw_packet_with_passwords_zeroed(radius):
    packet = accounting(attribute(40, number(2)), NAME, attribute(44, b"raw"), attribute(2, b"S" * 16), secret=SECRET)
    assert Nas(radius.acct_port).ask(packet)[0] == 5
    record = radius.records()[-1]
    assert record["payload"] == packet.replace(b"S" * 16, bytes(16))
    assert record["listener"] == "radius-acct"
    assert record["transport"] == "udp"
    assert record["source_address"] == bytes(10) + b"\xff\xff\x7f\0\0\1"


def silent_cases():
    good = accounting(attribute(40, number(1)), NAME, attribute(44, b"x"), secret=SECRET)
    return {
        "acct wrong secret": ("acct", accounting(NAME, secret=b"other"), "dropped_accounting_authenticator_wrong"),
        "acct broken": ("acct", good[:-1], "dropped_length_beyond_datagram"),
        "access on acct": ("acct", access(b"x"), "dropped_wrong_port"),
        "access wrong secret": ("auth", sign(request(1, NAME), b"other"), "dropped_message_authenticator_wrong"),
        "status unsigned": ("auth", request(12), "dropped_status_server_without_message_authenticator"),
        "noise": ("auth", b"\x01" * 50, "dropped_length_beyond_datagram"),
        "too long": ("auth", b"\x01\x01\x20\x00" + bytes(8188), "dropped_too_long"),
    }


@pytest.mark.parametrize("case", silent_cases())
def test_silence_is_counted(radius, case):
    side, packet, counter = silent_cases()[case]
    port = radius.auth_port if side == "auth" else radius.acct_port
    before = radius.counters()[side].get(counter, 0)
    assert Nas(port).ask(packet, 0.3) is None
    radius.wait_counter(side, counter, before + 1)


@pytest.mark.parametrize("code_of_answer", [("auth", 2), ("acct", 5)])
def test_status_server(radius, code_of_answer):
    side, code = code_of_answer
    port = radius.auth_port if side == "auth" else radius.acct_port
    packet = sign(request(12, authenticator=os.urandom(16)), SECRET)
    before = len(radius.records())
    reply = Nas(port).ask(packet)
    assert reply[0] == code
    assert reply[20:22] == b"\x50\x12"
    assert response_is_right(reply, packet)
    assert len(radius.records()) == before


def test_answer_leaves_from_the_address_that_was_asked(tmp_path):
    with RadiusProcess(tmp_path, listen_address="0.0.0.0") as radius:
        for address in ("127.0.0.1", "127.0.0.77"):
            packet = accounting(attribute(40, number(7)), identifier=3, secret=SECRET)
            assert Nas(radius.acct_port, address).ask(packet)[0] == 5


def test_ipv6(tmp_path):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    with RadiusProcess(tmp_path, listen_address="::1") as radius:
        packet = accounting(attribute(40, number(7)), secret=SECRET)
        assert Nas(radius.acct_port, "::1").ask(packet)[0] == 5
        assert radius.records()[-1]["source_address"] == bytes(15) + b"\1"


def test_learned_signers_are_required_to_sign_even_after_a_restart(tmp_path):
    add_account(tmp_path, "somchai", "password-9")
    with RadiusProcess(tmp_path) as radius:
        nas = Nas(radius.auth_port)
        assert nas.ask(access(b"password-9", signed=False))[0] == 2
        assert nas.ask(access(b"password-9", identifier=2))[0] == 2
        assert nas.ask(access(b"password-9", identifier=3, signed=False), 0.4) is None
    with RadiusProcess(tmp_path) as radius:
        assert Nas(radius.auth_port).ask(access(b"password-9", signed=False), 0.4) is None
        radius.wait_counter("auth", "dropped_message_authenticator_missing", 1)
        assert Nas(radius.auth_port).ask(access(b"password-9", identifier=4))[0] == 2


def test_required_signature_and_unknown_client(tmp_path):
    clients = (RadiusClient("127.0.0.1/32", SECRET, "strict", "yes"),)
    with RadiusProcess(tmp_path, clients=clients, listen_address="0.0.0.0") as radius:
        assert Nas(radius.auth_port).ask(access(b"x", signed=False), 0.3) is None
        outsider = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outsider.bind(("127.0.0.9", 0))
        outsider.sendto(access(b"x"), ("127.0.0.1", radius.auth_port))
        radius.wait_counter("auth", "dropped_unknown_client", 1)
        radius.wait_counter("auth", "dropped_message_authenticator_missing", 1)
        assert radius.counters()["unknown_sources"] == {"127.0.0.9": 1}


def test_nothing_is_answered_that_is_not_durable(tmp_path, monkeypatch):
    add_account(tmp_path, "somchai", "password-9")
    broken = threading.Event()
    original = SpoolWriter.wait_durable

    def wait_durable(self, ticket, timeout_seconds=10.0):
        if broken.is_set():
            raise SpoolError("record not durable", code="spool_not_durable")
        original(self, ticket, timeout_seconds)

    monkeypatch.setattr(SpoolWriter, "wait_durable", wait_durable)
    with RadiusProcess(tmp_path) as radius:
        login = access(b"password-9")
        start = accounting(attribute(40, number(1)), NAME, attribute(44, b"x"), secret=SECRET)
        broken.set()
        auth, acct = Nas(radius.auth_port), Nas(radius.acct_port)
        assert auth.ask(login, 0.5) is None
        assert acct.ask(start, 0.5) is None
        broken.clear()
        assert auth.ask(login)[0] == 2  # the retransmission is worked on, not taken for a duplicate
        assert acct.ask(start)[0] == 5
        radius.wait_counter("auth", "no_answer_spool_not_durable", 1)
        radius.wait_counter("acct", "no_answer_spool_not_durable", 1)


def test_a_database_that_cannot_be_read_gives_no_answer(tmp_path):
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "accounts.sqlite").write_bytes(b"damaged" * 1000)
    with RadiusProcess(tmp_path) as radius:
        assert Nas(radius.auth_port).ask(access(b"password-9"), 0.5) is None
        radius.wait_counter("auth", "no_answer_accounts_unavailable", 1)


def test_a_port_in_use_is_named(tmp_path):
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    process = RadiusProcess(tmp_path, acct_port=port)
    process._run()
    assert isinstance(process.failure, AuthgwError)
    assert process.failure.code == "port_in_use"
    assert f"127.0.0.1 UDP port {port}" in str(process.failure)


def test_a_weak_secret_is_refused(tmp_path):
    process = RadiusProcess(tmp_path, clients=(RadiusClient("127.0.0.1/32", b"short", "router"),))
    process._run()
    assert getattr(process.failure, "code", "") == "weak_secret"
    assert "short" not in str(process.failure)


def test_many_accounting_requests_in_flight_are_each_answered_once(radius):
    sockets = [Nas(radius.acct_port) for _ in range(50)]
    base = [attribute(40, number(3)), NAME]
    for i, nas in enumerate(sockets):
        for j in range(4):
            session = attribute(44, f"flight-{i}-{j}".encode())
            nas.send(accounting(*base, session, identifier=j, secret=SECRET))
    for nas in sockets:
        assert sorted((nas.receive() or b"\0\xff")[1] for _ in range(4)) == [0, 1, 2, 3]
    stored = [r["session_id"] for r in radius.sessions() if r["session_id"].startswith("flight-")]
    assert len(stored) == len(set(stored)) == 200


def test_counters_file_is_always_whole(radius):
    for _ in range(50):
        assert json.loads((radius.settings.run_directory / "radius.json").read_text())["v"] == 1
        time.sleep(0.005)
