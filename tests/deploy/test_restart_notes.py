"""A note about a death is kept while the process that writes notes is dead itself."""

import threading
from pathlib import Path
from typing import Any

import pytest

from archive.errors import AskError
from archive.local_rpc import LocalServer, Peer
from deploy.restart_notes import MAX_WAITING_NOTES, RestartNotes
from tests.clocks import ManualClock
from tests.e2e.lab import wait_until


@pytest.fixture
def stop() -> Any:
    event = threading.Event()
    yield event
    event.set()


def test_notes_wait_for_their_writer_and_come_in_order(tmp_path: Path, stop: threading.Event) -> None:
    clock = ManualClock()
    notes = RestartNotes(tmp_path / "timers.sock", stop, clock)
    happened = []
    for number in range(3):
        notes.add("process_ended", f"child-{number}", -9, 100 + number)
        happened.append(str(clock.unix_ns()))
        clock.advance(1)
    taken: list[dict[str, Any]] = []
    refusals = iter([AskError("not now", code="spool_not_durable")])

    def note(peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        for refusal in refusals:
            raise refusal
        taken.append(arguments)
        return {}

    server = LocalServer(tmp_path / "timers.sock", {"note": note})
    server.start()
    try:
        wait_until(lambda: len(taken) == 3, 10, "every note is taken")
    finally:
        server.shutdown()
        server.server_close()
    assert [n["process"] for n in taken] == ["child-0", "child-1", "child-2"]
    assert [n["happened_unix_ns"] for n in taken] == happened
    assert {n["exit_code"] for n in taken} == {-9}


def test_a_note_that_is_refused_for_good_holds_no_other_up(tmp_path: Path, stop: threading.Event) -> None:
    taken: list[str] = []

    def note(peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments["event"] == "nonsense":
            raise AskError("no such event", code="bad_request")
        taken.append(arguments["process"])
        return {}

    server = LocalServer(tmp_path / "timers.sock", {"note": note})
    server.start()
    notes = RestartNotes(tmp_path / "timers.sock", stop)
    notes.add("nonsense", "a", None, None)
    notes.add("process_ended", "b", 1, 2)
    try:
        wait_until(lambda: taken == ["b"], 10, "the second note is taken")
    finally:
        server.shutdown()
        server.server_close()


def test_waiting_notes_are_bounded(tmp_path: Path, stop: threading.Event) -> None:
    notes = RestartNotes(tmp_path / "timers.sock", stop)
    for _ in range(MAX_WAITING_NOTES + 10):
        notes.add("process_ended", "a", 1, 1)
    assert len(notes._waiting) == MAX_WAITING_NOTES
