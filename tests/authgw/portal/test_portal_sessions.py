"""Sessions over time, restarts and kills: nothing lost, nothing doubled, nobody online without a record."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from archive.attribution.intervals import fold_sessions
from archive.errors import SpoolError
from authgw.decoder import SessionDecoder
from tests.authgw.portal.portal_pages import PASSWORD, Portal, journal_payloads
from tests.clocks import ManualClock

NS = 1_000_000_000
TWO = {"somchai": PASSWORD, "malee": PASSWORD}


def intervals(directory: Path):
    """What the product's own decoder and folding make of the journal."""
    rows = [
        {
            "row": i, "received_unix_ns": 1, "source_address": bytes(16), "listener": "session", "payload": payload,
            "realm": "main",
        }
        for i, payload in enumerate(journal_payloads(directory / "spool" / "portal"))
    ]  # fmt: skip
    table = SessionDecoder().decode(None, 1, pa.Table.from_pylist(rows)).tables["sessions"]
    times = table.column("time").cast(pa.int64()).to_pylist()
    plain = table.drop(["time", "received"]).to_pylist()
    return fold_sessions([{**row, "time_unix_ns": time, "log": "x"} for row, time in zip(plain, times, strict=True)])


def test_another_account_at_the_same_address_ends_the_former_session(tmp_path: Path) -> None:
    with Portal(tmp_path, people=TWO) as portal:
        browser = portal.browser()
        browser.log_in("somchai")
        portal.clock.advance(10)
        assert browser.log_in("malee").status_code == 303
        assert [(e["event"], e["account"], e["ended_why"]) for e in portal.events()] == [
            ("open", "somchai", ""),
            ("close", "somchai", "other_login"),
            ("open", "malee", ""),
        ]
        assert "malee" in browser.get("/status").text


def test_the_same_log_in_twice_is_one_session(tmp_path: Path) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()
        forms = [browser.form() | {"username": "somchai", "password": PASSWORD} for _ in range(8)]
        answers = []
        threads = [threading.Thread(target=lambda f=f: answers.append(browser.post("/login", f))) for f in forms]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # More than MAX_FAILURES_PER_ADDRESS checks at once are throttled before they are known to be right.
        assert {a.status_code for a in answers} <= {303, 429}
        assert 303 in {a.status_code for a in answers}
        assert [e["event"] for e in portal.events()] == ["open"]


def test_the_session_ends_by_itself(tmp_path: Path) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()
        browser.log_in()
        start = portal.clock.unix_ns()
        portal.clock.advance(12 * 3600 - 1)
        assert portal.book.expire() == 0
        assert browser.get("/status").status_code == 200
        portal.clock.advance(2)
        assert browser.get("/status").status_code == 303, "over, even before the timer comes by"
        assert portal.book.expire() == 1
        close = portal.events()[-1]
        assert (close["event"], close["ended_why"], close["quality"]) == ("close", "session_timeout", "exact")
        assert int(close["time_unix_ns"]) == start + 12 * 3600 * NS
        assert portal.book.expire() == 0


def test_a_log_in_after_the_end_does_not_stretch_the_former_session(tmp_path: Path) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()
        browser.log_in()
        start = portal.clock.unix_ns()
        portal.clock.advance(13 * 3600)
        browser.log_in()
        events = portal.events()
        assert [e["event"] for e in events] == ["open", "close", "open"]
        assert int(events[1]["time_unix_ns"]) == start + 12 * 3600 * NS


def test_an_open_page_is_a_sign_of_life_every_five_minutes(tmp_path: Path) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()
        browser.log_in()
        for _ in range(30):
            browser.get("/status")
            portal.clock.advance(60)
        updates = [int(e["time_unix_ns"]) for e in portal.events() if e["event"] == "update"]
        assert len(updates) == 5
        assert all(b - a >= 300 * NS for a, b in itertools.pairwise(updates))


def test_sessions_outlive_a_restart(tmp_path: Path) -> None:
    portal = Portal(tmp_path).open()
    browser = portal.browser()
    browser.log_in()
    form = browser.get("/status").text
    portal.close()
    portal.clock.advance(3600)
    portal.open()
    assert portal.repeated == 0
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in browser.get("/status").text
    assert [e["event"] for e in portal.events()] == ["open", "update"]
    assert "ออกจากระบบ" in form
    portal.close()
    # Down over the end of the session: it is closed at the moment it ended, computed.
    portal.clock.advance(24 * 3600)
    portal.open()
    close = portal.events()[-1]
    assert (close["event"], close["ended_why"], close["quality"]) == ("close", "session_timeout", "derived")
    assert browser.get("/status").status_code == 303
    portal.close()


def test_nobody_is_online_without_a_durable_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()

        def not_durable(_ticket: int, _timeout: float = 0) -> None:
            raise SpoolError("told", code="spool_not_durable")

        with monkeypatch.context() as broken:
            broken.setattr(portal.spool, "wait_durable", not_durable)
            answer = browser.log_in()
            assert answer.status_code == 503
            assert "ยังใช้อินเทอร์เน็ตไม่ได้" in answer.text
            assert browser.get("/status").status_code == 303
        portal.book.retry()
        assert browser.get("/status").status_code == 303, "what was refused does not come true later"
        assert portal.store.unrecorded(10) == []
        (interval,) = intervals(tmp_path)
        assert interval.start_ns == interval.end_ns
        assert interval.ended_why == "not_recorded"
        assert browser.log_in().status_code == 303


def test_a_log_in_that_cannot_be_appended_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Portal(tmp_path) as portal:

        def full(*_arguments: object, **_options: object) -> int:
            raise SpoolError("no space", code="spool_write")

        with monkeypatch.context() as broken:
            broken.setattr(portal.spool, "append", full)
            assert portal.browser().log_in().status_code == 503
            assert portal.browser().get("/status").status_code == 303
        assert portal.events() == []
        portal.book.retry()
        (interval,) = intervals(tmp_path)
        assert interval.ended_why == "not_recorded"
        assert portal.desk.counters()["logins_not_recorded_spool_write"] == 1


def test_a_log_out_that_is_late_is_still_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Portal(tmp_path) as portal:
        browser = portal.browser()
        browser.log_in()
        form = browser.form("/status")

        def full(*_arguments: object, **_options: object) -> int:
            raise SpoolError("no space", code="spool_write")

        with monkeypatch.context() as broken:
            broken.setattr(portal.spool, "append", full)
            assert browser.post("/logout", form).status_code == 303
        moment = portal.clock.unix_ns()
        portal.clock.advance(100)
        assert portal.book.retry() == 1
        assert int(portal.events()[-1]["time_unix_ns"]) == moment


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.authgw.portal.portal_pages import Portal
from tests.clocks import ManualClock
directory, place, after, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "after", sys.argv[4]
portal = Portal(directory, people={"somchai": "correct horse 1", "malee": "correct horse 1"}).open()
browser = portal.browser()
if step != "log-in":
    browser.log_in("somchai")
owner = portal.spool if place in ("append", "wait_durable") else portal.store
real = getattr(owner, place)
def die(*a, **k):
    if after:
        real(*a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
portal.clock.advance(10)
form = browser.form("/status") if step == "log-out" else browser.form()
setattr(owner, place, die)
if step == "log-out":
    browser.post("/logout", form)
else:
    name = "malee" if step == "other" else "somchai"
    browser.post("/login", {**form, "username": name, "password": "correct horse 1"})
"""
PLACES = [
    ("append", "before"), ("append", "after"), ("wait_durable", "before"), ("wait_durable", "after"),
    ("set_recorded", "before"), ("set_recorded", "after"), ("add_unrecorded", "before"), ("add_unrecorded", "after"),
]  # fmt: skip


@pytest.mark.parametrize("step", ["log-in", "other", "log-out"])
@pytest.mark.parametrize(("place", "when"), PLACES)
def test_a_kill_anywhere_loses_and_doubles_nothing(tmp_path: Path, place: str, when: str, step: str) -> None:
    """Killed between the working copy and the journal: the next start continues what was begun."""
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), place, when, step],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    clock = ManualClock()
    clock.advance(20)
    with Portal(tmp_path, clock=clock, people=TWO) as portal:
        payloads = portal.payloads()
        events = {payload: json.loads(payload) for payload in payloads}
        kinds = Counter((e["event"], e["account"]) for e in events.values())
        assert max(kinds.values(), default=1) == 1, "each event is one event, however often its bytes were written"
        assert portal.store.unrecorded(10) == []
        session = portal.book.find("10.20.0.7")
        begun = place != "add_unrecorded"
        if step == "log-in":
            assert kinds == (Counter({("open", "somchai"): 1}) if begun else Counter())
            assert (session.account if session else None) == ("somchai" if begun else None)
        elif step == "other":
            whole = Counter({("open", "somchai"): 1, ("close", "somchai"): 1, ("open", "malee"): 1})
            assert kinds == (whole if begun else Counter({("open", "somchai"): 1}))
            assert session is not None
            assert session.account == ("malee" if begun else "somchai")
        else:
            assert kinds[("close", "somchai")] == (1 if begun else 0)
            assert (session is None) == begun
        online = [i for i in intervals(tmp_path) if i.end_ns is None] if payloads else []
        assert len(online) == (1 if session else 0)
        assert all(i.start_ns is not None for i in intervals(tmp_path)) if payloads else True
