"""Being a witness: every answer of tlog-witness, what is durable before an answer, and two instances at once."""

import io
import multiprocessing
import os
import signal
import stat
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archive.durable
import archive.witness.state
from archive.cosignature import parse_witness_key, verify_cosignature
from archive.errors import ArchiveStateError
from archive.merkle import EMPTY_ROOT
from archive.note import Checkpoint, VerifierKey, format_checkpoint, open_checkpoint, sign_checkpoint
from archive.witness.app import make_witness_app
from archive.witness.key import KEY_FILE, WitnessSigner, load_key, make_key
from archive.witness.protocol import MAX_REQUEST_BYTES, format_request, hash_origin
from archive.witness.state import WitnessState
from tests.archive.witnessed_logs import GrowingLog, Reply, call, private_key
from tests.clocks import ManualClock

NAME = "witness.example"
SIGNER = WitnessSigner(NAME, private_key(NAME))
SECONDS = 1_795_000_000
RACES = 1000
ROUNDS_OF_A_LOG = 100


class Office:
    """A witness and a log it knows."""

    def __init__(self, directory: Path) -> None:
        self.state = WitnessState(directory)
        self.log = GrowingLog()
        self.state.add(self.log.key, "โรงเรียน")
        self.app = make_witness_app(self.state, SIGNER, ManualClock())

    def post(self, body: bytes) -> Reply:
        return call(self.app, "POST", "/add-checkpoint", body)

    def newest(self, origin: str | None = None) -> Reply:
        return call(self.app, "GET", f"/{hash_origin(origin or self.log.origin)}/checkpoint")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "witness")


def is_cosigned(reply: Reply, head: Checkpoint) -> bool:
    line = reply.body.decode().removesuffix("\n")
    return verify_cosignature(line, format_checkpoint(head), SIGNER.witness_key) == SECONDS


def test_a_growing_log_is_cosigned_step_by_step(office: Office) -> None:
    old = 0
    for count in (1, 1, 2, 3, 250, 1, 300):
        office.log.grow(count)
        reply = office.post(office.log.request(old))
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert is_cosigned(reply, office.log.head())
        newest = office.newest()
        assert newest.body == office.log.note() + reply.body
        assert open_checkpoint(newest.body, office.log.key) == office.log.head()
        old = len(office.log.leaves)


def test_the_same_head_is_cosigned_again(office: Office) -> None:
    office.log.grow(5)
    assert office.post(office.log.request(0)).status == 200
    reply = office.post(office.log.request(5))
    assert is_cosigned(reply, office.log.head())


def test_the_empty_log_has_one_head(office: Office) -> None:
    key = private_key(office.log.origin)
    other = sign_checkpoint(Checkpoint(office.log.origin, 0, bytes(32)), key)
    assert office.post(format_request(0, [], other)).status == 422
    empty = sign_checkpoint(Checkpoint(office.log.origin, 0, EMPTY_ROOT), key)
    assert office.post(format_request(0, [], empty)).status == 200
    assert office.post(office.log.grow(3).request(0)).status == 200


@pytest.mark.parametrize("old", [0, 1, 4, 6, 7])
def test_another_old_size_is_answered_with_ours(office: Office, old: int) -> None:
    office.log.grow(7)
    assert office.post(office.log.request(0, 5)).status == 200
    reply = office.post(office.log.request(old))
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (409, "text/x.tlog.size", b"5\n")
    assert office.newest().body.startswith(office.log.note(5))


def test_an_older_head_is_not_cosigned_whatever_the_request_says(office: Office) -> None:
    office.log.grow(7)
    assert office.post(office.log.request(0)).status == 200
    assert office.post(office.log.request(3, 5)).status == 409
    assert office.post(format_request(7, [], office.log.note(5))).status == 400
    assert open_checkpoint(office.newest().body, office.log.key).size == 7


def test_a_proof_that_does_not_lead_there_is_refused(office: Office) -> None:
    office.log.grow(5)
    assert office.post(office.log.request(0)).status == 200
    fork = office.log.fork(4, "other", 4)
    proof = fork.proof(5)
    for bad in (proof, [], proof[:-1], [*proof, bytes(32)], office.log.fork(5, "x", 3).proof(5)):
        assert office.post(format_request(5, bad, fork.note())).status == 422
    assert office.post(format_request(5, [bytes(32)], office.log.note())).status == 422
    assert office.newest().body.startswith(office.log.note())


def test_a_proof_from_nothing_is_empty(office: Office) -> None:
    office.log.grow(5)
    assert office.post(format_request(0, [bytes(32)], office.log.note())).status == 422
    assert office.newest().status == 404


def test_another_root_of_the_same_size_is_refused(office: Office) -> None:
    office.log.grow(5)
    assert office.post(office.log.request(0)).status == 200
    assert office.post(format_request(5, [], office.log.fork(4, "other").note())).status == 422


def test_a_checkpoint_that_the_log_did_not_sign_is_refused(office: Office) -> None:
    office.log.grow(2)
    stranger = sign_checkpoint(office.log.head(), private_key("stranger"))
    assert office.post(format_request(0, [], stranger)).status == 403
    body, _, line = office.log.note().partition(b"\n\n")
    wrong = line[:-9] + (b"A" if line[-9:-8] != b"A" else b"B") + line[-8:]
    assert office.post(format_request(0, [], body + b"\n\n" + wrong)).status == 403
    # Beside a right signature a wrong one of the same key spoils the note; one of a stranger does not.
    assert office.post(format_request(0, [], office.log.note() + wrong)).status == 403
    extra = SIGNER.cosign(format_checkpoint(office.log.head()), 1).encode() + b"\n"
    reply = office.post(format_request(0, [], office.log.note() + extra))
    assert reply.status == 200
    assert office.newest().body == office.log.note() + reply.body


def test_an_unknown_log_is_not_found_and_leaves_nothing_behind(office: Office, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path / "witness"))
    other = GrowingLog("other.example/log").grow(2)
    assert office.post(other.request(0)).status == 404
    assert office.newest(other.origin).status == 404
    assert sorted(os.listdir(tmp_path / "witness")) == before


def test_a_removed_log_comes_back_with_its_head_or_not_at_all(office: Office) -> None:
    office.log.grow(5)
    assert office.post(office.log.request(0)).status == 200
    office.state.remove(office.log.origin)
    assert office.state.logs() == []
    assert office.post(office.log.grow().request(5)).status == 404
    assert office.newest().status == 200
    with pytest.raises(ArchiveStateError, match="no log"):
        office.state.remove(office.log.origin)
    other = VerifierKey(office.log.origin, private_key("other").public_key().public_bytes_raw())
    with pytest.raises(ArchiveStateError, match="another key"):
        office.state.add(other, "")
    office.state.add(office.log.key, "")
    assert office.post(office.log.request(0)).status == 409
    assert office.post(office.log.request(5)).status == 200


def test_a_log_is_not_given_another_key(office: Office) -> None:
    other = VerifierKey(office.log.origin, private_key("other").public_key().public_bytes_raw())
    with pytest.raises(ArchiveStateError, match="another key"):
        office.state.add(other, "")
    office.state.add(office.log.key, "renamed")
    assert [(log.key, log.name) for log in office.state.logs()] == [(office.log.key, "renamed")]


@pytest.mark.parametrize("name", ["two\nlines", "x" * 201, "\udcff"])
def test_a_name_for_people_is_one_line(office: Office, name: str) -> None:
    with pytest.raises(ArchiveStateError, match="one line"):
        office.state.add(office.log.key, name)


@pytest.mark.parametrize(
    "body",
    [b"", b"old 0\n\n", b"hello", b"old 0\n\nhello\n", b"\xff" * 50,
     b"old 0\n\n" + GrowingLog().grow().note()[:-1], b"old 00\n\n" + GrowingLog().grow().note(),
     b"old 0\n\n" + GrowingLog().grow().note().replace(b"\n1\n", b"\n01\n"),
     b"old 0\n\n" + GrowingLog().grow().note().replace(b"\n\n", b"\nextension\n\n")],
)  # fmt: skip
def test_malformed_requests(office: Office, body: bytes) -> None:
    assert office.post(body).status == 400


def test_the_length_of_a_request_is_limited(office: Office) -> None:
    request = office.log.grow().request(0)
    app = office.app
    too_long = str(MAX_REQUEST_BYTES + 1)
    for length in (too_long, "9" * 20, "-1", "1_0", "٣", " 5", str(len(request) + 1)):
        assert call(app, "POST", "/add-checkpoint", request, CONTENT_LENGTH=length).status == 400
    assert call(app, "POST", "/add-checkpoint", request, CONTENT_LENGTH="").status == 400
    endless = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert call(app, "POST", "/add-checkpoint", b"x" * (MAX_REQUEST_BYTES + 1), **endless).status == 400
    assert call(app, "POST", "/add-checkpoint", request, **endless).status == 200


def test_a_request_whose_sender_goes_away_is_no_failure_of_ours(office: Office) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError

    environ = {"wsgi.input": Broken(), "CONTENT_LENGTH": "5"}
    assert call(office.app, "POST", "/add-checkpoint", **environ).status == 400


def test_other_pages_and_methods(office: Office) -> None:
    for path in ("", "/", "/add-checkpoint/", "/x", f"/{'A' * 64}/checkpoint", f"/{'a' * 63}/checkpoint", "/../x"):
        assert call(office.app, "GET", path).status == 404
    assert call(office.app, "GET", "/add-checkpoint").status == 405
    assert call(office.app, "POST", f"/{hash_origin(office.log.origin)}/checkpoint").status == 405
    assert call(office.app, "PUT", "/add-checkpoint").headers["Allow"] == "GET, POST"


def test_a_prefix_is_part_of_both_addresses(office: Office) -> None:
    app = make_witness_app(office.state, SIGNER, ManualClock(), "/w1")
    request = office.log.grow().request(0)
    assert call(app, "POST", "/add-checkpoint", request).status == 404
    assert call(app, "POST", "/w1/add-checkpoint", request).status == 200
    assert call(app, "GET", f"/w1/{hash_origin(office.log.origin)}/checkpoint").status == 200


def test_a_head_that_cannot_be_stored_is_not_cosigned(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.log.grow(2)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.witness.state, "replace_file", fail)
        reply = office.post(office.log.request(0))
    assert reply.status == 500
    assert "—" not in reply.body.decode()
    assert office.newest().status == 404
    assert office.post(office.log.fork(1, "other").request(0)).status == 200


def test_a_damaged_head_is_never_taken_for_no_head(office: Office, tmp_path: Path) -> None:
    office.log.grow(5)
    assert office.post(office.log.request(0)).status == 200
    path = tmp_path / "witness" / f"{hash_origin(office.log.origin)}.json"
    whole = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for damaged in (b"", whole[:-10], b"{}", whole.replace(b"\\n5\\n", b"\\n4\\n"), b"[" * 100_000, b"\xff"):
        path.write_bytes(damaged)
        assert office.post(office.log.request(0)).status == 500
        assert office.post(office.log.request(5)).status == 500
        assert office.newest().status == 500
    (tmp_path / "witness" / f"{hash_origin('other')}.json").write_bytes(whole)
    assert office.newest("other").status == 500
    path.write_bytes(whole)
    assert office.post(office.log.request(5)).status == 200


KILL_POINTS = ("first fsync", "rename", "second fsync", "stored")


def die_at(point: str) -> None:
    """Patch this process, a child, so that it is killed there."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if point == "rename":
        archive.durable.os.replace = die
    elif point == "stored":
        store = archive.witness.state.replace_file
        archive.witness.state.replace_file = lambda *given, **named: die(store(*given, **named))
    else:
        calls, sync = [], os.fsync
        wanted = 1 if point == "first fsync" else 2

        def count(descriptor: int) -> None:
            calls.append(descriptor)
            (die if len(calls) == wanted else sync)(descriptor)

        archive.durable.os.fsync = count


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_witness_killed_between_head_and_answer_signs_no_second_history(tmp_path: Path, point: str) -> None:
    office = Office(tmp_path / "witness")
    office.log.grow(5)
    assert office.post(office.log.request(0, 4)).status == 200
    child = os.fork()
    if child == 0:
        die_at(point)
        office.post(office.log.request(4))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    again = Office(tmp_path / "witness")
    again.log = office.log
    other = office.log.fork(4, "other")
    stored = open_checkpoint(again.newest().body, office.log.key).size == 5
    assert stored == (point in ("second fsync", "stored"))
    if stored:
        assert again.post(other.request(4)).body == b"5\n"
        assert again.post(format_request(5, [], other.note())).status == 422
        assert is_cosigned(again.post(office.log.request(5)), office.log.head())
    else:
        assert is_cosigned(again.post(office.log.request(4)), office.log.head())


def race(directory: Path, branch: str, barrier: Barrier, results: Connection) -> None:
    """One of two instances: offers its own history of each size, then goes on from whichever was taken."""
    state = WitnessState(directory)
    app = make_witness_app(state, SIGNER, ManualClock())
    cosigned: list[tuple[str, int, bytes]] = []
    for number in range(RACES // ROUNDS_OF_A_LOG):
        log = GrowingLog(f"race.example/{number}")
        path = f"/{hash_origin(log.origin)}/checkpoint"
        for size in range(1, ROUNDS_OF_A_LOG + 1):
            mine = log.fork(size - 1, branch)
            request, again = mine.request(size - 1), format_request(size, [], mine.note())
            barrier.wait(20)
            replies = [call(app, "POST", "/add-checkpoint", body) for body in (request, again)]
            if any(reply.status == 200 for reply in replies):
                cosigned.append((log.origin, size, mine.head().root))
            else:
                assert [reply.status for reply in replies] == [409, 422]
            barrier.wait(20)
            head = open_checkpoint(call(app, "GET", path).body, log.key)
            log = next(it for name in "ab" if (it := log.fork(size - 1, name)).head() == head)
    results.send(cosigned)


def test_two_instances_racing_never_cosign_two_roots_of_one_size(tmp_path: Path) -> None:
    state = WitnessState(tmp_path)
    for number in range(RACES // ROUNDS_OF_A_LOG):
        state.add(GrowingLog(f"race.example/{number}").key, "")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    pipes = [context.Pipe(duplex=False) for _ in "ab"]
    racers = [
        context.Process(target=race, args=(tmp_path, branch, barrier, pipe[1]))
        for branch, pipe in zip("ab", pipes, strict=True)
    ]
    for racer in racers:
        racer.start()
    for _, sender in pipes:
        sender.close()
    found = []
    for (receiver, _), racer in zip(pipes, racers, strict=True):
        assert receiver.poll(120), "no answer"
        found.append(receiver.recv())
        racer.join(60)
        assert racer.exitcode == 0
    sizes = [(origin, size) for cosigned in found for origin, size, _root in cosigned]
    assert len(sizes) == len(set(sizes)) == RACES
    assert all(found), "one instance won every round: this was no race"


def test_a_key_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    assert load_key(tmp_path / "witness") is None
    signer = make_key(tmp_path / "witness", NAME)
    path = tmp_path / "witness" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_key(tmp_path / "witness", "another.example").name == NAME
    loaded = load_key(tmp_path / "witness")
    assert loaded is not None
    assert loaded.witness_key == signer.witness_key
    assert parse_witness_key(signer.witness_key.text()) == signer.witness_key
    path.chmod(0o640)
    with pytest.raises(ArchiveStateError, match="0600"):
        load_key(tmp_path / "witness")


@pytest.mark.parametrize("name", ["", "two words", "a+b", "x" * 256, "a\n"])
def test_a_key_has_a_name_that_a_note_can_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveStateError, match="may not be called"):
        make_key(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    make_key(tmp_path, NAME)
    path = tmp_path / KEY_FILE
    text = path.read_text()
    name, key_id, key = text.strip().removeprefix("PRIVATE+KEY+").split("+", 2)
    for damaged in ("", text[:-5], text.replace(name, "x"), text.replace(key_id, "00000000"), "\x00" * 50,
                    f"PRIVATE+KEY+{name}+{key_id}+{key[:-1]}\n"):  # fmt: skip
        path.write_text(damaged)
        for read in (lambda: load_key(tmp_path), lambda: make_key(tmp_path, NAME)):
            with pytest.raises(ArchiveStateError, match="no key of a witness"):
                read()


REQUEST = GrowingLog().grow(5).request(0)
PIECES = st.sampled_from(
    [b"old 0", b"old 5", b"\n", b"\n\n", GrowingLog().grow(5).note(), b"\xff", "— ".encode(), b"="]
)


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=6).map(b"".join)),
    st.integers(0, len(REQUEST)),
    st.sampled_from(["GET", "POST", "", "PUT"]),
    st.one_of(st.just("/add-checkpoint"), st.text(max_size=20)),
)
def test_any_request_has_one_of_the_answers(office: Office, data: bytes, place: int, method: str, path: str) -> None:
    for body in (data, REQUEST[:place] + data, REQUEST[:place] + data + REQUEST[place:]):
        reply = office.post(body)
        assert reply.status in (200, 400, 403, 404, 409, 422)
        assert reply.status != 200 or is_cosigned(reply, GrowingLog().grow(5).head())
        assert call(office.app, method, path, body).status in (200, 400, 403, 404, 405, 409, 422)
