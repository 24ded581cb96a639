"""A day of a hundred people is purged under a hold on one: journal, index and answers, with the real sealer's purge."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from flow_days import to_next_day
from indexed_log import LocalWorker
from purge_log import InlineExecutor
from test_scope_rows import PEOPLE, School, address_of, line

from archive.ask.audit import Actor, Auditor
from archive.ask.coverage import measure_coverage
from archive.ask.held_choice import HeldChoice
from archive.ask.operators import OperatorStore
from archive.ask.retention_desk import RetentionDesk
from archive.ask.who import gather, parse_question
from archive.attribution.answer import answer
from archive.cases.register import Hold
from archive.index.purged import PURGED_TABLES
from archive.index.row_places import RowPlaces
from archive.retention.held_file import decode_held
from archive.retention.limits import RetentionError
from archive.run_report import write_run_report
from archive.sealer import Sealer
from archive.sealing.json_leaves import JsonLeaves, check_clock_fields
from archive.sealing.purge import PurgeSource
from archive.sealing.purge_decision import PurgeSettings
from archive.sealing.record_roots import RecordRoots
from archive.segment import utc_day
from archive.time_text import format_iso

NS = 1_000_000_000
DAY_SECONDS = 86_400
RETENTION_DAYS = 92
MALEE = 7
"""The person under the hold; her flow lies in one datagram with twenty-nine others."""


class Unheard:
    """Audit records of the runs play no part here; a writer of them would have a file of each day open."""

    def append(self, payload: bytes, *, listener: str) -> int:
        return 0

    def wait_durable(self, ticket: int) -> None:
        pass


class RetainedSchool(School):
    """Sealed with records roots, clock samples and purges."""

    def sealer(self) -> Sealer:
        self.roots = RecordRoots(self.paths, self.clock, lambda: self._sealer.tree_size)
        settings = PurgeSettings(RETENTION_DAYS, lambda: self._sealer.checkpoint, lambda: self._sealer.tree_size)
        self.purge = PurgeSource(self.paths, self.clock, self.roots, settings, InlineExecutor())
        samples = JsonLeaves("clock", self.paths.inbox / "clock", check_clock_fields)
        sources = [samples, self.purge, self.roots]
        made = Sealer(self.paths, self.keys, clock=self.clock, head_interval_seconds=0, sources=sources)
        self.sealers.append(made)
        return made

    def make_worker(self, settings: Any = None) -> Any:
        worker = LocalWorker(self.paths.segments, self.make_decoder("Asia/Bangkok", (), ()))
        worker.decoder._units = self.paths.inbox / "units"
        return worker

    def turn(self) -> None:
        self._sealer.run_once(full_look=True)
        self._sealer.publish()
        self.index()

    def sample(self) -> None:
        """A clock leaf that says that the clock is right."""
        value = {
            "unix_ns": str(self.clock.unix_ns()), "monotonic_ns": str(self.clock.monotonic_ns()), "synchronised": True,
            "offset_ns": 0, "dispersion_ns": None, "source": "chrony",
        }  # fmt: skip
        folder = self.paths.inbox / "clock"
        folder.mkdir(parents=True, exist_ok=True)
        fields = {"boot_id": self.clock.boot_id(), "step": None, "samples": [value]}
        (folder / f"{self.clock.monotonic_ns():020d}.json").write_text(json.dumps(fields))
        self.turn()

    @contextmanager
    def sealing(self) -> Iterator[None]:
        """The sealer's and the indexer's loops, as their processes have them."""
        end = threading.Event()

        def run() -> None:
            while not end.is_set():
                self.roots.force()
                self.turn()
                write_run_report(self.paths.run, "sealer", {"purge": self.purge.report()})

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def desk(self, holds: list[Hold]) -> RetentionDesk:
        auditor = Auditor(Unheard(), self.operators(), self.clock, frozenset())  # type: ignore[arg-type]
        places = RowPlaces(self.paths, self.engine, self.make_worker)
        choice = HeldChoice(self.paths, self.engine, self.logs.reader, places)
        return RetentionDesk(
            self.paths, self.indexer, choice, lambda at: [one for one in holds if one.until_unix_ns >= at], auditor,
            self.clock, RETENTION_DAYS, "Asia/Bangkok",
        )  # fmt: skip

    def operators(self) -> OperatorStore:
        return OperatorStore(self.paths.directory / "operators", self.clock)

    def hold(self, days: int) -> Hold:
        now = self.clock.unix_ns()
        scope = self.scope(accounts=(f"pupil{MALEE}",))
        return Hold(
            "hold-2026-0001",
            "order",
            "ศธ 04001/55",
            "พ.ต.ท. ก",
            "บก.ปอท.",
            scope,
            now,
            "a",
            now + days * DAY_SECONDS * NS,
        )

    def rows_left(self) -> dict[str, int]:
        return {table: n for table in PURGED_TABLES if (n := len(self.rows(table, "row")))}

    def everything_on_disk(self) -> bytes:
        """Every file below the log, unpacked."""
        found = []
        for path in sorted(self.paths.log.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                found.append(data)
                reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
                try:
                    found.append(reader.read())
                except zstandard.ZstdError:
                    continue
        return b"\n".join(found)


@pytest.fixture
def school(tmp_path: Path) -> Iterator[RetainedSchool]:
    made = RetainedSchool.make(tmp_path)
    made.live()
    for _ in range(3):
        made.roots.force()
        made.turn()
    yield made
    made.close()


def wait_days(school: RetainedSchool, days: int) -> None:
    """A sample at the end of each day is enough for the clock to be steady."""
    school.sample()
    for _ in range(days):
        for _ in range(12):
            school.clock.advance(DAY_SECONDS / 12)
        school.sample()


ACTOR = Actor("timers", "console")


def run(school: RetainedSchool, desk: RetentionDesk) -> dict[str, Any]:
    with school.sealing():
        desk.start(ACTOR)
        assert desk._thread is not None
        desk._thread.join()
    return desk.progress()


def test_of_a_hundred_people_one_is_left_in_journal_and_index(school: RetainedSchool) -> None:
    day = utc_day(school.start_ns)
    hold = school.hold(days=365)
    desk = school.desk([hold])
    scoped = school.find(hold.scope, day)
    wait_days(school, RETENTION_DAYS - 1)
    assert [one["state"] for one in desk.plan()["days"] if one["day"] == day] == ["kept"]
    wait_days(school, 2)
    assert desk.plan()["days"][0]["state"] == "due", desk.plan()["days"]
    progress = run(school, desk)
    assert progress["state"] == "finished", progress["problem"]
    assert progress["days_done"][0] == day

    # The index: exactly the rows of the scope, as they were.
    left = {name: school.find(hold.scope, day)[name] for name in scoped}
    assert {name: rows.to_pylist() for name, rows in left.items()} == {n: r.to_pylist() for n, r in scoped.items()}
    of_day = {name: len(school.rows(name, "row", f"toYYYYMMDD(received) = {day}")) for name in PURGED_TABLES}
    assert {name: n for name, n in of_day.items() if n} == {name: rows.num_rows for name, rows in scoped.items()}

    # The journal: her units alone, each proven; the others nowhere.
    (purged,) = [one for one in desk.plan()["days"] if one["day"] == day]
    assert (purged["state"], purged["holds"]) == ("held", [hold.id])
    school.check()
    disk = school.everything_on_disk()
    held = decode_held(next((school.paths.log / "held" / day).glob("*.held")).read_bytes())
    payloads = b"".join(unit.data for record in held.records for unit in record.units)
    assert address_of(MALEE).encode() in payloads
    for number in set(range(1, PEOPLE + 1)) - {MALEE}:
        needle = f"SRC={address_of(number)} ".encode()
        assert needle not in disk
        assert needle not in payloads
    assert bytes([10, 0, 1, MALEE]) in payloads
    flows = b"".join(
        unit.data for record in held.records if record.listener.startswith("netflow") for unit in record.units
    )
    assert [n for n in range(1, 31) if bytes([10, 0, 1, n]) in flows] == [MALEE]

    # The answer says so.
    moment = format_iso(school.at_ns, "Asia/Bangkok")
    for number, candidates in ((MALEE, [f"pupil{MALEE}"]), (MALEE + 1, [])):
        question = parse_question({"address": address_of(number), "at": moment}, school.clock.unix_ns(), "Asia/Bangkok")
        size = school._sealer.checkpoint.size
        coverage = measure_coverage(
            school.engine, school.paths.spool, size, size, school.clock.unix_ns(), 92 * 86_400 * NS
        )
        said = answer(question, gather(school.engine, coverage, question))
        assert said.verdict == "expired"
        assert [one.account for one in said.candidates] == candidates


def test_when_the_hold_ends_the_rest_goes_too(school: RetainedSchool) -> None:
    day = utc_day(school.start_ns)
    second = school.hold(days=365)
    until = school.clock.unix_ns() + 100 * DAY_SECONDS * NS
    first = replace(second, id="hold-2026-0002", until_unix_ns=until, scope=school.scope(accounts=("pupil8",)))
    desk = school.desk([first, second])
    wait_days(school, RETENTION_DAYS + 1)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    accounts = {row["account"] for row in school.rows("sessions", "account", f"toYYYYMMDD(received) = {day}")}
    assert accounts == {f"pupil{MALEE}", "pupil8"}
    wait_days(school, 10)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    accounts = {row["account"] for row in school.rows("sessions", "account", f"toYYYYMMDD(received) = {day}")}
    assert accounts == {f"pupil{MALEE}"}
    school.check()
    assert f"SRC={address_of(8)} ".encode() not in school.everything_on_disk()
    held = decode_held(next((school.paths.log / "held" / day).glob("*.held")).read_bytes())
    flows = b"".join(
        unit.data for record in held.records if record.listener.startswith("netflow") for unit in record.units
    )
    assert [n for n in range(1, 31) if bytes([10, 0, 1, n]) in flows] == [MALEE]
    wait_days(school, 300)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    assert not list((school.paths.log / "held").rglob("*.held"))
    school.check()


def test_a_clock_that_is_not_believed_purges_nothing(school: RetainedSchool) -> None:
    desk = school.desk([])
    wait_days(school, 1)
    school.clock.advance(60, wall_seconds=366 * DAY_SECONDS)
    school.sample()
    assert "jumped" in desk.plan()["problem"]
    assert [one.code for one in desk.conditions()] == ["retention_stopped"]
    before = school.rows_left()
    with pytest.raises(Exception, match="jumped"):
        desk.start(ACTOR)
    assert school.rows_left() == before


def accounts_left(school: RetainedSchool, day: str) -> set[str]:
    return {row["account"] for row in school.rows("sessions", "account", f"toYYYYMMDD(received) = {day}")}


def test_an_order_that_follows_keep_first_keeps_on(school: RetainedSchool) -> None:
    """The purge named the first hold alone; when that one ends, the second, placed meanwhile, keeps the same."""
    day = utc_day(school.start_ns)
    order = school.hold(days=365)
    first = replace(
        order, id="hold-2026-0001", kind="preserve", until_unix_ns=school.clock.unix_ns() + 95 * DAY_SECONDS * NS
    )
    second = replace(order, id="hold-2026-0002")
    holds = [first]
    desk = school.desk(holds)
    wait_days(school, RETENTION_DAYS + 1)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    before = school.rows_left()
    holds.append(second)
    wait_days(school, 5)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    assert accounts_left(school, day) == {f"pupil{MALEE}"}
    assert school.rows_left()["nat"] == before["nat"]
    school.check()


def test_what_comes_late_for_a_purged_day_is_held_too(school: RetainedSchool) -> None:
    day, hold = utc_day(school.start_ns), school.hold(days=700)
    desk = school.desk([hold])
    wait_days(school, RETENTION_DAYS + 1)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    before = len(school.rows("logs", "row", f"toYYYYMMDD(received) = {day}"))
    # A spool file of that day that was forgotten on another disk.
    writer = school.writer("forgotten")
    for number in (MALEE, MALEE + 1):
        listener, payload = line(address_of(number))
        writer.append(payload, listener=listener, received_unix_ns=school.at_ns)
    writer.close()
    school.writers.remove(writer)
    school.turn()
    assert len(school.rows("logs", "row", f"toYYYYMMDD(received) = {day}")) == before + 2
    for _ in range(3):
        school.roots.force()
        school.turn()
    wait_days(school, RETENTION_DAYS + 2)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    assert len(school.rows("logs", "row", f"toYYYYMMDD(received) = {day}")) == before + 1
    school.check()


def test_a_hold_placed_while_a_day_is_chosen_counts(school: RetainedSchool, monkeypatch: pytest.MonkeyPatch) -> None:
    day, hold = utc_day(school.start_ns), school.hold(days=365)
    holds: list[Hold] = []
    desk = school.desk(holds)
    wait_days(school, RETENTION_DAYS + 1)
    choose = HeldChoice.choose

    def placing(self: HeldChoice, *given: Any) -> Any:
        request = choose(self, *given)
        holds[:] = [hold]
        return request

    monkeypatch.setattr(HeldChoice, "choose", placing)
    assert (said := run(school, desk))["state"] == "finished", said["problem"]
    assert accounts_left(school, day) == {f"pupil{MALEE}"}


def test_one_day_that_fails_keeps_no_other(school: RetainedSchool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = utc_day(school.start_ns)
    to_next_day(school)
    second = utc_day(school.clock.unix_ns())
    school.put("collector", ("syslog/udp-5514", b"<13>the day after"))
    desk = school.desk([])
    wait_days(school, RETENTION_DAYS + 2)
    choose = HeldChoice.choose

    def failing(self: HeldChoice, day: str, holds: Any) -> Any:
        if day == first:
            raise RetentionError("the scope has too many rows")
        return choose(self, day, holds)

    monkeypatch.setattr(HeldChoice, "choose", failing)
    said = run(school, desk)
    assert (said["state"], said["days_done"]) == ("failed", [second])
    assert "too many rows" in said["problem"]
