"""The local socket: framing, refusals, and who the kernel says is asking."""

import json
import os
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.errors import ArchiveError, AskError
from archive.local_rpc import MAX_MESSAGE_BYTES, LocalServer, Peer, call_local

WAIT_SECONDS = 10.0


def fail(_: Peer, __: dict[str, Any]) -> None:
    raise KeyError("secret detail")


def refuse(_: Peer, __: dict[str, Any]) -> None:
    error = AskError("no", code="no_such_record")
    error.message_th = "ไม่"  # type: ignore[attr-defined]
    raise error


class Service:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[tuple[str, str]] = []
        handlers = {
            "echo": lambda peer, arguments: arguments,
            "peer": lambda peer, arguments: [peer.pid, peer.uid, peer.gid],
            "fail": fail,
            "refuse": refuse,
        }
        self.server = LocalServer(
            path, handlers, on_failure=lambda op, error: self.failures.append((op, type(error).__name__))
        )
        self.server.start()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(WAIT_SECONDS)
        connection.connect(str(self.path))
        return connection


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("rpc") / "run" / "a.sock")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def service(running: Service) -> Service:
    running.failures.clear()
    return running


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def receive(connection: socket.socket) -> Any:
    header = b""
    while len(header) < 4:
        try:
            part = connection.recv(4 - len(header))
        except ConnectionResetError:  # closed with bytes of ours unread
            part = b""
        if not part:
            return None
        header += part
    body = b""
    while len(body) < struct.unpack(">I", header)[0]:
        body += connection.recv(1 << 16)
    return json.loads(body)


def test_what_is_asked_is_answered(service: Service) -> None:
    assert call_local(service.path, "echo", name="สมชาย", n=1, nothing=None) == {
        "name": "สมชาย",
        "n": 1,
        "nothing": None,
    }


def test_the_kernel_says_who_asks(service: Service) -> None:
    assert call_local(service.path, "peer") == [os.getpid(), os.getuid(), os.getgid()]


def test_arguments_cannot_say_who_asks(service: Service) -> None:
    with service.connect() as connection:
        request = {"op": "peer", "args": {"uid": 12345}, "uid": 12345, "peer": {"uid": 12345}}
        connection.sendall(framed(json.dumps(request).encode()))
        assert receive(connection)["result"][1] == os.getuid()


def test_the_socket_is_for_owner_and_group(service: Service) -> None:
    assert stat.S_IMODE(service.path.stat().st_mode) == 0o660


def test_many_requests_on_one_connection_and_byte_by_byte(service: Service) -> None:
    with service.connect() as connection:
        for number in range(20):
            message = framed(json.dumps({"op": "echo", "args": {"n": number}}).encode())
            for byte in message if number < 2 else ():
                connection.sendall(bytes([byte]))
            if number >= 2:
                connection.sendall(message)
            assert receive(connection) == {"ok": True, "result": {"n": number}}


@pytest.mark.parametrize(
    "request_object",
    [{}, {"op": None}, {"op": "nosuch"}, {"op": ["echo"]}, {"op": "__class__"}, {"op": "echo", "args": []},
     {"op": "echo", "args": None}, {"op": "echo", "args": "x"}],
)  # fmt: skip
def test_an_unknown_request_is_refused_and_the_connection_stays(service: Service, request_object: dict) -> None:
    with service.connect() as connection:
        connection.sendall(framed(json.dumps(request_object).encode()))
        reply = receive(connection)
        assert reply["ok"] is False
        assert reply["error"]["code"] == "bad_request"
        connection.sendall(framed(b'{"op": "echo"}'))
        assert receive(connection) == {"ok": True, "result": {}}


@pytest.mark.parametrize(
    "sent",
    [framed(b""), framed(b"{"), framed(b"[]"), framed(b"\xff\xfe"), framed(b'"x"'), b"GET / HTTP/1.1\r\n\r\n",
     struct.pack(">I", MAX_MESSAGE_BYTES + 1), b"\xff\xff\xff\xff"],
)  # fmt: skip
def test_what_is_no_message_ends_the_connection_only(service: Service, sent: bytes) -> None:
    with service.connect() as connection:
        connection.sendall(sent)
        reply = receive(connection)
        # Bytes left unread make the kernel drop the answer with the connection.
        assert reply is None or (reply["ok"], reply["error"]["code"] in ("bad_request", "too_large")) == (False, True)
        assert receive(connection) is None
    assert call_local(service.path, "echo", n=1) == {"n": 1}


@pytest.mark.parametrize("cut", [1, 3, 4, 10])
def test_a_message_that_breaks_off_harms_nobody(service: Service, cut: int) -> None:
    with service.connect() as connection:
        connection.sendall(framed(b'{"op": "echo", "args": {}}')[:cut])
    assert call_local(service.path, "echo", n=1) == {"n": 1}


def test_a_known_error_keeps_code_and_both_sentences(service: Service) -> None:
    with pytest.raises(AskError) as caught:
        call_local(service.path, "refuse")
    assert (caught.value.code, str(caught.value), caught.value.message_th) == ("no_such_record", "no", "ไม่")


def test_an_unknown_failure_is_reported_without_its_details(service: Service) -> None:
    with pytest.raises(AskError) as caught:
        call_local(service.path, "fail")
    assert caught.value.code == "internal"
    assert "secret" not in str(caught.value)
    assert service.failures == [("fail", "KeyError")]
    assert call_local(service.path, "echo", n=1) == {"n": 1}


def test_a_silent_caller_holds_nobody_up(service: Service) -> None:
    idle = [service.connect() for _ in range(20)]
    for connection in idle:
        connection.sendall(b"\x00\x00")
    assert call_local(service.path, "echo", n=1, timeout_seconds=WAIT_SECONDS) == {"n": 1}
    for connection in idle:
        connection.close()


def test_large_messages_pass(service: Service) -> None:
    text = "ก" * 1_000_000
    assert call_local(service.path, "echo", text=text) == {"text": text}


def test_callers_at_once_get_their_own_answers(service: Service) -> None:
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = call_local(service.path, "echo", n=number)["n"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert found == {number: number for number in range(30)}


def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(AskError) as caught:
        call_local(tmp_path / "none.sock", "echo")
    assert caught.value.code == "not_running"


def test_a_service_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen(1)
        with pytest.raises(AskError) as caught:
            call_local(tmp_path / "deaf.sock", "echo", timeout_seconds=0.2)
    assert caught.value.code == "timeout"


def test_a_new_service_takes_the_path_of_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    service = Service(path)
    try:
        assert call_local(path, "echo", n=1) == {"n": 1}
    finally:
        service.server.shutdown()
        service.server.server_close()


@pytest.mark.parametrize("argument", ["\ud800", "x\udfff"])
def test_a_lone_surrogate_is_refused(service: Service, argument: str) -> None:
    with service.connect() as connection:
        connection.sendall(framed(json.dumps({"op": "echo", "args": {"x": argument}}).encode()))
        assert receive(connection)["error"]["code"] == "bad_request"


def test_a_deep_message_is_refused_without_a_trace(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    with service.connect() as connection:
        connection.sendall(framed(b"[" * 200_000))
        assert receive(connection)["error"]["code"] == "bad_request"
    assert "Traceback" not in capfd.readouterr().err


def test_errors_of_the_service_are_of_the_family() -> None:
    assert issubclass(AskError, ArchiveError)
