"""Asking a witness: one that works, and stubs that lie, stall, contradict themselves or are no witness at all."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive.cosignature import WitnessKey, sign_cosignature
from archive.errors import ArchiveError, ArchiveFormatError
from archive.note import format_checkpoint
from archive.witness.app import make_witness_app
from archive.witness.client import MAX_ANSWER_BYTES, WitnessAheadError, WitnessClient, WitnessError
from archive.witness.http_request import parse_address
from archive.witness.key import WitnessSigner
from archive.witness.protocol import MAX_PROOF_LINES, hash_origin, parse_request
from archive.witness.state import WitnessState
from tests.archive.witnessed_logs import GrowingLog, call, private_key
from tests.clocks import ManualClock
from tests.collector.net.certificates import Authority

NAME = "witness.example"
KEY = private_key(NAME)
WITNESS = WitnessKey(NAME, KEY.public_key().public_bytes_raw())
SECONDS = 1_795_000_000
PATIENCE_SECONDS = 0.3
SIZE_TYPE = {"Content-Type": "text/x.tlog.size"}
LOG = GrowingLog().grow(9)
BODY = format_checkpoint(LOG.head())
LINE = sign_cosignature(BODY, SECONDS, NAME, KEY)

Answer = tuple[int, dict[str, str], bytes]
Script = Callable[[str, str, bytes], Answer]


@dataclass
class Stub:
    """A server on loopback that answers what `script` says; `raw` answers instead with bytes, piece by piece."""

    server: http.server.ThreadingHTTPServer
    script: Script | None = None
    raw: Callable[[], Iterator[bytes]] | None = None
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    def client(self, path: str = "", key: WitnessKey = WITNESS, patience: float = PATIENCE_SECONDS) -> WitnessClient:
        return WitnessClient(self.url + path, key, patience)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.script = lambda *_: (status, headers or {}, body)

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.seen.append((request.command, request.path, body))
        try:
            if self.raw is not None:
                for piece in self.raw():
                    request.wfile.write(piece)
                return
            assert self.script is not None
            status, headers, data = self.script(request.command, request.path, body)
            request.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(data)
        except OSError:
            return  # the client hung up, as some tests want it to


def make_stub() -> Stub:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stub.handle(self)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    stub = Stub(server)
    return stub


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = make_stub()
    yield from serving(made)


@pytest.fixture
def tls_stub(tmp_path: Path) -> Iterator[Stub]:
    made = make_stub()
    certificate, key = Authority(tmp_path).issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made.server.socket = context.wrap_socket(made.server.socket, server_side=True)
    made.server.handle_error = lambda *_: None  # type: ignore[method-assign]
    made.scheme = "https"
    yield from serving(made)


def serving(stub: Stub) -> Iterator[Stub]:
    thread = threading.Thread(target=stub.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield stub
    stub.over.set()
    stub.server.shutdown()
    thread.join()
    stub.server.server_close()


@pytest.fixture
def witness(tmp_path: Path, stub: Stub) -> Stub:
    """A real witness behind the stub."""
    state = WitnessState(tmp_path / "witness")
    state.add(LOG.key, "")
    app = make_witness_app(state, WitnessSigner(NAME, KEY), ManualClock())

    def script(method: str, path: str, body: bytes) -> Answer:
        reply = call(app, method, path, body)
        return reply.status, reply.headers, reply.body

    stub.script = script
    return stub


def failure(stub: Stub, old_size: int = 0, **options: object) -> WitnessError:
    """What asking for a cosignature of LOG ends with: a WitnessError of one sentence."""
    with pytest.raises(WitnessError) as caught:
        stub.client(**options).add_checkpoint(LOG.note(), old_size, LOG.proof)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ArchiveError)
    return caught.value


def test_a_checkpoint_is_cosigned_from_nothing_and_from_an_older_one(witness: Stub) -> None:
    asked: list[int] = []

    def proof(old: int) -> list[bytes]:
        asked.append(old)
        return LOG.proof(old)

    client = witness.client()
    _line, unix_seconds = client.add_checkpoint(LOG.note(4), 0, proof)
    assert unix_seconds == SECONDS
    cosigned = client.add_checkpoint(LOG.note(), 4, proof)
    assert cosigned.line == LINE
    assert asked == [4]
    assert client.newest_checkpoint(LOG.origin) == LOG.note() + LINE.encode() + b"\n"
    assert client.add_checkpoint(LOG.note(), 9, proof).line == LINE
    assert [path for _, path, _ in witness.seen][2] == f"/{hash_origin(LOG.origin)}/checkpoint"


def test_one_wrong_size_is_put_right_with_the_witness_own(witness: Stub) -> None:
    witness.client().add_checkpoint(LOG.note(4), 0, LOG.proof)
    for old in (0, 2, 7):
        before = len(witness.seen)
        client = witness.client()
        assert client.add_checkpoint(LOG.note(9), old, LOG.proof).line == LINE
        assert [parse_request(body).old_size for _, _, body in witness.seen[before:]] == [old, 4 if old == 0 else 9]


def test_a_witness_that_does_not_know_the_log(witness: Stub) -> None:
    assert witness.client().newest_checkpoint("unknown.example") is None
    other = GrowingLog("unknown.example").grow()
    with pytest.raises(WitnessError, match="does not know our log") as caught:
        witness.client().add_checkpoint(other.note(), 0, other.proof)
    assert (caught.value.status, caught.value.code) == (404, "witness_refused")


def test_a_prefix_is_kept(stub: Stub) -> None:
    stub.answer(200, f"{LINE}\n".encode())
    stub.client("/w1/").add_checkpoint(LOG.note(), 0, LOG.proof)
    stub.client("/a/b").newest_checkpoint(LOG.origin)
    assert [path for _, path, _ in stub.seen] == ["/w1/add-checkpoint", f"/a/b/{hash_origin(LOG.origin)}/checkpoint"]


def test_lines_of_other_keys_are_ignored(stub: Stub) -> None:
    other = sign_cosignature(BODY, SECONDS, "other.example", private_key("other"))
    stub.answer(200, f"{other}\n{LINE}\n{other}\n".encode())
    assert stub.client().add_checkpoint(LOG.note(), 0, LOG.proof) == (LINE, SECONDS)
    stub.answer(200, f"{other}\n".encode())
    assert "other keys" in str(failure(stub))


OTHER_CHECKPOINT = format_checkpoint(LOG.head(8))
LIES = {
    "another checkpoint": f"{sign_cosignature(OTHER_CHECKPOINT, SECONDS, NAME, KEY)}\n",
    "another history": f"{sign_cosignature(format_checkpoint(LOG.fork(8, 'x').head()), SECONDS, NAME, KEY)}\n",
    "another key under its name": f"{sign_cosignature(BODY, SECONDS, NAME, private_key('x'))}\n",
    "another time": LINE.replace(LINE[30:34], "AAAA") + "\n",
    "no newline": LINE,
    "a whole note": LOG.note().decode() + LINE + "\n",
    "an empty body": "",
    "an empty line": "\n",
    "a page": "<html>200 OK</html>\n",
    "an empty line before": f"\n{LINE}\n",
    "carriage returns": f"{LINE}\r\n",
    "a hyphen": LINE.replace("—", "-") + "\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_its_signature_of_our_checkpoint_is_refused(stub: Stub, lie: str) -> None:
    stub.answer(200, LIES[lie].encode())
    assert failure(stub).code == "witness_answer"
    assert len(stub.seen) == 1


def test_bytes_that_are_no_text_are_refused(stub: Stub) -> None:
    stub.answer(200, b"\xff\xfe\n")
    assert failure(stub).code == "witness_answer"


def test_a_witness_that_never_agrees_is_asked_twice(stub: Stub) -> None:
    sizes = iter(range(1, 9))
    stub.script = lambda *_: (409, SIZE_TYPE, f"{next(sizes)}\n".encode())
    error = failure(stub)
    assert (error.status, len(stub.seen)) == (409, 2)


def test_a_witness_that_says_our_own_size_is_asked_once(stub: Stub) -> None:
    stub.answer(409, b"4\n", SIZE_TYPE)
    assert failure(stub, 4).code == "witness_refused"
    assert len(stub.seen) == 1


def test_a_larger_size_is_never_asked_again(stub: Stub) -> None:
    stub.answer(409, b"10\n", SIZE_TYPE)
    error = failure(stub)
    assert isinstance(error, WitnessAheadError)
    assert (error.size, error.code, len(stub.seen)) == (10, "witness_ahead", 1)


def test_a_larger_size_at_the_second_attempt_is_told_too(stub: Stub) -> None:
    sizes = iter((3, 10))
    stub.script = lambda *_: (409, SIZE_TYPE, f"{next(sizes)}\n".encode())
    error = failure(stub)
    assert isinstance(error, WitnessAheadError)
    assert (error.size, len(stub.seen)) == (10, 2)


def test_a_head_known_to_be_ahead_is_not_even_sent(stub: Stub) -> None:
    error = failure(stub, 10)
    assert isinstance(error, WitnessAheadError)
    assert (error.size, len(stub.seen)) == (10, 0)


@pytest.mark.parametrize(
    "body", [b"", b"4", b"04\n", b"+4\n", b"4_0\n", b" 4\n", b"-1\n", "٤\n".encode(), b"4\r\n", b"x" * 99]
)
def test_a_size_that_is_no_number_is_refused(stub: Stub, body: bytes) -> None:
    stub.answer(409, body, SIZE_TYPE)
    assert failure(stub).code == "witness_answer"
    assert len(stub.seen) == 1


def test_a_conflict_without_a_size_is_a_refusal(stub: Stub) -> None:
    stub.answer(409, b"4\n", {"Content-Type": "text/plain"})
    assert failure(stub).code == "witness_refused"
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "witness_refused"), (403, "witness_refused"), (404, "witness_refused"), (422, "witness_refused"),
     (500, "witness_answer"), (503, "witness_answer"), (204, "witness_answer"), (201, "witness_answer")],
)  # fmt: skip
def test_other_answers_are_told_with_their_status(stub: Stub, status: int, code: str) -> None:
    stub.answer(status, b"" if status == 204 else f"{LINE}\n".encode())
    error = failure(stub)
    assert (error.status, error.code) == (status, code)
    if status != 404:
        with pytest.raises(WitnessError):
            stub.client().newest_checkpoint(LOG.origin)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(stub: Stub, status: int) -> None:
    stub.answer(status, b"", {"Location": f"{stub.url}/elsewhere"})
    assert failure(stub).status == status
    assert [path for _, path, _ in stub.seen] == ["/add-checkpoint"]


def test_a_huge_answer_is_cut_off(stub: Stub) -> None:
    stub.answer(200, b"x" * (MAX_ANSWER_BYTES + 1))
    assert "more than" in str(failure(stub))
    with pytest.raises(WitnessError, match="more than"):
        stub.client().newest_checkpoint(LOG.origin)

    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while not stub.over.is_set():
            yield b"x" * 65536

    stub.raw = endless
    assert "more than" in str(failure(stub))


def drip(stub: Stub, start: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    """`start`, then `piece` again and again, each well within any time-out of a single read."""

    def pieces() -> Iterator[bytes]:
        yield start
        while not stub.over.wait(PATIENCE_SECONDS / 10):
            yield piece

    return pieces


@pytest.mark.parametrize(
    ("start", "piece"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\n", b""), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b""),
     (b"HTTP/1.1 200 OK\r\nX-", b"x"), (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"),
     (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
     (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")],
)  # fmt: skip
def test_a_witness_that_stalls_or_drips_is_left(stub: Stub, start: bytes, piece: bytes) -> None:
    stub.raw = drip(stub, start, piece)
    began = time.monotonic()
    error = failure(stub)
    assert time.monotonic() - began < 5 * PATIENCE_SECONDS
    assert (error.code, "did not answer within 0.3 seconds" in str(error)) == ("witness_unreachable", True)


@pytest.mark.parametrize(
    "data", [b"", b"hello\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 abc OK\r\n\r\n",
             b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
             b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"x" * 70_000,
             b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
             b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nx",
             b"HTTP/1.1 409 X\r\nContent-Type: \xff\r\n\r\n4\n"]
)  # fmt: skip
def test_what_is_no_http_is_one_failure(stub: Stub, data: bytes) -> None:
    stub.raw = lambda: iter([data])
    failure(stub)


def test_nobody_listens(stub: Stub) -> None:
    port = make_stub()
    port.server.server_close()
    assert failure(port).code == "witness_unreachable"
    with pytest.raises(WitnessError, match="cannot connect"):
        WitnessClient("http://host.invalid", WITNESS, PATIENCE_SECONDS).newest_checkpoint("x")


@pytest.mark.parametrize(
    "url", ["", "witness.example", "ftp://witness.example", "file:///etc/passwd", "http://", "http:///x", "https://:8095",
            "http://a:0", "http://a:99999", "http://a:x", "http://user@a", "http://user:word@a", "http://a?x", "http://a#x",
            "http://a/ b", "http://a/\n", "http://a\r\nHost: b", "http://[::1", "http://พยาน.example", "http://a/\u00e9"]
)  # fmt: skip
def test_only_http_and_https_addresses(url: str) -> None:
    with pytest.raises(WitnessError) as caught:
        WitnessClient(url, WITNESS)
    assert caught.value.code == "witness_url"


def test_ports_and_prefixes_of_addresses() -> None:
    assert [parse_address(url).port for url in ("http://a", "https://a", "https://a:8095/")] == [80, 443, 8095]
    assert (parse_address("http://[::1]:8095/x/").host, parse_address("http://[::1]:8095/x/").prefix) == ("::1", "/x")


def test_proxies_of_the_environment_are_not_used(witness: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert witness.client().add_checkpoint(LOG.note(), 0, LOG.proof).line == LINE


def test_what_is_no_checkpoint_of_ours_is_not_sent(stub: Stub) -> None:
    for note in (b"hello", LOG.note()[:-1], BODY):
        with pytest.raises(ArchiveFormatError):
            stub.client().add_checkpoint(note, 0, LOG.proof)
    with pytest.raises(ArchiveFormatError, match="63"):
        stub.client().add_checkpoint(LOG.note(), 3, lambda _: [bytes(32)] * (MAX_PROOF_LINES + 1))
    assert stub.seen == []


def test_what_the_proof_maker_raises_passes_through(stub: Stub) -> None:
    def fail(_: int) -> list[bytes]:
        raise OSError("tile missing")

    with pytest.raises(OSError, match="tile missing"):
        stub.client().add_checkpoint(LOG.note(), 3, fail)


def test_tls_is_verified(tls_stub: Stub) -> None:
    tls_stub.answer(200, f"{LINE}\n".encode())
    error = failure(tls_stub, patience=5)
    assert error.code == "witness_unreachable"
    assert "certificate" in str(error).lower()
    assert tls_stub.seen == []


def test_tls_of_an_accepted_authority(tls_stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", trusting(tmp_path / "ca.pem"))
    tls_stub.answer(200, f"{LINE}\n".encode())
    assert tls_stub.client(patience=5).add_checkpoint(LOG.note(), 0, LOG.proof).line == LINE
    tls_stub.raw = drip(tls_stub, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x")
    assert "did not answer within" in str(failure(tls_stub))


def trusting(authority: Path) -> Callable[..., ssl.SSLContext]:
    context = ssl.create_default_context(cafile=str(authority))
    return lambda cafile=None: context
