"""Records of cases: encoding with limits, the fold, the book on disk, the decoder, the law's texts."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from archive.cases.book import CaseBook
from archive.cases.decoder import CasesDecoder
from archive.cases.events import (
    EVENTS,
    MAX_RECORD_BYTES,
    CaseEvent,
    decode_case_event,
    encode_case_event,
    event_of_row,
)
from archive.cases.legal import legal_texts, parse_legal_texts
from archive.cases.register import fold_events
from archive.errors import ArchiveFormatError, AskError, SpoolError
from archive.schema import SCHEMAS
from tests.clocks import ManualClock

ZONE = "Asia/Bangkok"
NS = 1_000_000_000
T0 = 1_795_000_000 * NS
CASE, HOLD = "case-2026-0001", "hold-2026-0001"
SCOPE = {
    "format": 1, "persons": [], "accounts": ["somchai"], "addresses": [], "devices": [],
    "from": "2026-11-01T00:00:00.000000000+07:00", "until": "2026-11-20T23:59:59.999999999+07:00",
}  # fmt: skip
OPENED = {
    "title": "t", "letter": "12/2569", "officer": "o", "unit": "u", "ground": "order", "court_order": "",
    "override_reason": "", "legal_items": [2], "received_unix_ns": str(T0), "due_days": 7, "scope": SCOPE,
}  # fmt: skip
PLACED = {
    "kind": "order", "order_number": "9", "officer": "o", "unit": "u", "scope": SCOPE,
    "until_unix_ns": str(T0 + 900 * NS),
}  # fmt: skip


def event(
    number: int, name: str, values: dict[str, Any], *, case: str = CASE, hold: str = "", actor: str = "a"
) -> CaseEvent:
    return CaseEvent(number, name, T0 + number * NS, case, hold, actor, "administrator", values)


LIFE = [
    event(1, "case_opened", OPENED),
    event(2, "case_approved", {"note": "", "one_person": False}, actor="b"),
    event(3, "package_made", {"package": "p", "sha256": "0", "counts": {}}),
    event(4, "downloaded", {"package": "p"}),
    event(5, "handed_over", {"package": "p", "to": "x", "how": "disk", "when_unix_ns": str(T0), "receipt": "r"}),
    event(6, "hold_placed", PLACED, hold=HOLD),
    event(7, "hold_extended", {"until_unix_ns": str(T0 + 1_000 * NS), "order_number": "10", "reason": ""}, hold=HOLD),
    event(8, "hold_released", {"reason": "over", "one_person": False}, hold=HOLD, actor="b"),
    event(9, "case_closed", {"reason": "done"}),
    event(10, "clock_confirmed", {"reason": "looked"}, case=""),
]


def test_every_event_goes_through_bytes_and_rows() -> None:
    for one in LIFE:
        payload = encode_case_event(one)
        assert decode_case_event(payload) == one
        row = {"time_unix_ns": one.time_unix_ns, "event": one.event, "case": one.case, "hold": one.hold}
        assert event_of_row({**row, "actor": one.actor, "details": one.details()}) == one
        assert json.loads(payload)["v"] == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 0}, {"number": "1"}, {"number": True}, {"number": 2**53}, {"case": "case-1"}, {"case": None},
        {"case": ""}, {"event": "case_deleted"}, {"actor": 7}, {"values": []}, {"hold": "hold-1"}, {"role": None},
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(changed: dict[str, Any]) -> None:
    record = json.loads(encode_case_event(LIFE[0])) | changed
    with pytest.raises(ArchiveFormatError):
        decode_case_event(json.dumps(record).encode())


def test_a_record_has_a_limit() -> None:
    with pytest.raises(ArchiveFormatError, match="at most"):
        encode_case_event(event(1, "case_closed", {"reason": "x" * MAX_RECORD_BYTES}))
    for garbage in (b"", b"{}", b"[]", b"\xff", b"null", b"[" * 100_000):
        with pytest.raises(ArchiveFormatError):
            decode_case_event(garbage)


def test_a_life() -> None:
    register = fold_events(LIFE, ZONE)
    case, hold = register.cases[CASE], register.holds[HOLD]
    assert (case.state, case.approved_by, case.ended_why, case.is_waiting) == ("closed", "b", "done", False)
    assert [len(part) for part in (case.packages, case.downloads, case.hand_overs, case.history)] == [1, 1, 1, 6]
    assert (hold.until_unix_ns, hold.released_by, len(hold.history)) == (T0 + 1_000 * NS, "b", 3)
    assert [hold.state(T0 + n * NS) for n in (0, 7, 8, 2_000)] == ["in_force", "in_force", "released", "released"]
    assert (len(register.clock_confirmed), register.unfitting) == (1, 0)


def test_the_order_of_records_is_that_of_their_numbers() -> None:
    shuffled = LIFE * 2
    random.Random(7).shuffle(shuffled)
    assert fold_events(shuffled, ZONE) == fold_events(LIFE, ZONE)


def test_a_hold_ends_by_itself() -> None:
    (hold,) = fold_events([event(1, "hold_placed", PLACED, hold=HOLD)], ZONE).holds.values()
    assert [hold.state(T0 + n * NS) for n in (-5_000, 1, 900)] == ["in_force"] * 3
    assert hold.state(T0 + 900 * NS + 1) == "expired"
    register = fold_events([event(1, "hold_placed", PLACED, hold=HOLD)], ZONE)
    assert register.holds_in_force(T0) == [hold]
    assert register.holds_in_force(T0 + 901 * NS) == []


@pytest.mark.parametrize("name", ["scope", "ground", "legal_items", "court_order", "letter"])
def test_a_change_of_what_was_approved_ends_the_approval(name: str) -> None:
    value = {"scope": {**SCOPE, "accounts": ["other"]}, "legal_items": [3]}.get(name, "own")
    changed = [*LIFE[:2], event(3, "case_changed", {name: value}, actor="c")]
    case = fold_events(changed, ZONE).cases[CASE]
    assert (case.state, case.approved_by, case.requesters) == ("open", "", {"a", "c"})
    harmless = [*LIFE[:2], event(3, "case_changed", {"title": "other"}, actor="c")]
    assert fold_events(harmless, ZONE).cases[CASE].state == "approved"


def test_what_does_not_fit_changes_nothing_and_is_counted() -> None:
    wrong = [
        event(20, "case_closed", {"reason": "x"}, case="case-2026-0009"),
        event(21, "case_opened", OPENED),
        event(22, "case_opened", {**OPENED, "scope": {}}, case="case-2026-0002"),
        event(23, "hold_released", {"reason": "x"}, hold="hold-2026-0009"),
        event(24, "hold_placed", {**PLACED, "kind": "for ever"}, hold="hold-2026-0002"),
        event(25, "case_closed", {}),
    ]
    register = fold_events([*LIFE[:1], *wrong], ZONE)
    assert register.unfitting == len(wrong)
    assert register.cases == fold_events(LIFE[:1], ZONE).cases
    assert register.holds == {}


class Journal:
    """In the place of the spool; `fails` as a full disk does."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.fails = False

    def append(self, payload: bytes, *, listener: str) -> int:
        if self.fails:
            raise SpoolError("full", code="spool_write")
        self.records.append(payload)
        return len(self.records)

    def wait_durable(self, ticket: int) -> None:
        assert ticket == len(self.records)


def open_book(directory: Path, journal: Journal) -> CaseBook:
    return CaseBook(directory, journal, ManualClock(), ZONE)  # type: ignore[arg-type]


def place(book: CaseBook) -> str:
    name = book.next_identifier("hold")
    book.write("hold_placed", "a", "administrator", PLACED, hold=name)
    return name


def test_the_copy_lives_over_a_restart(tmp_path: Path) -> None:
    journal = Journal()
    book = open_book(tmp_path / "cases", journal)
    assert [place(book), place(book)] == [HOLD, "hold-2026-0002"]
    copy = tmp_path / "cases/events.jsonl"
    assert copy.read_bytes().splitlines() == journal.records
    assert (copy.stat().st_mode & 0o777, (tmp_path / "cases").stat().st_mode & 0o777) == (0o600, 0o700)
    again = open_book(tmp_path / "cases", journal)
    assert again.register == book.register
    assert again.next_identifier("hold") == "hold-2026-0003"
    assert again.next_identifier("case") == CASE


def test_a_record_without_its_line_is_completed_and_its_number_is_not_used_twice(tmp_path: Path) -> None:
    journal = Journal()
    book = open_book(tmp_path / "cases", journal)
    place(book)
    place(book)
    copy = tmp_path / "cases/events.jsonl"
    whole = copy.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 20, whole.index(b"\n") + 1):
        copy.write_bytes(whole[:cut])
        again = open_book(tmp_path / "cases", journal)
        assert list(again.register.holds) == [HOLD]
        assert place(again) == "hold-2026-0003"
        events = [decode_case_event(record) for record in journal.records]
        assert again.complete(events) == 1
        assert again.complete(events) == 0
        assert sorted(again.register.holds) == [HOLD, "hold-2026-0002", "hold-2026-0003"]
        assert open_book(tmp_path / "cases", journal).register == again.register
        journal.records.pop()
        (tmp_path / "cases/numbers.json").write_text(json.dumps({"record": 2, "hold-2026": 2}))


def test_a_lost_copy_is_made_again_from_the_journal(tmp_path: Path) -> None:
    journal = Journal()
    book = open_book(tmp_path / "cases", journal)
    place(book)
    empty = open_book(tmp_path / "other", journal)
    empty.complete(decode_case_event(record) for record in journal.records)
    assert empty.register == book.register
    assert empty.next_identifier("hold") == "hold-2026-0002"


def test_a_change_that_is_not_durable_has_not_happened(tmp_path: Path) -> None:
    journal = Journal()
    book = open_book(tmp_path / "cases", journal)
    journal.fails = True
    with pytest.raises(AskError, match="nothing has changed") as caught:
        place(book)
    assert caught.value.code == "case_not_recorded"
    assert book.register.holds == {}
    assert not (tmp_path / "cases/events.jsonl").exists()


def test_a_line_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    journal = Journal()
    book = open_book(tmp_path / "cases", journal)
    place(book)
    place(book)
    copy = tmp_path / "cases/events.jsonl"
    lines = copy.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"{not json\n" + lines[1])
    again = open_book(tmp_path / "cases", journal)
    assert (list(again.register.holds), again.unreadable_lines) == (["hold-2026-0002"], 1)


def test_the_decoder_makes_rows_of_records_and_counts_the_rest() -> None:
    payloads = [encode_case_event(one) for one in LIFE] + [
        b"{}",
        encode_case_event(LIFE[0]).replace(b'"t"', b'"\\ud800"'),
    ]
    rows = len(payloads)
    chunk = pa.table(
        {
            "row": pa.array(range(rows), pa.uint32()),
            "received_unix_ns": pa.array([T0] * rows, pa.int64()),
            "listener": ["cases"] * rows,
            "payload": pa.array(payloads, pa.binary()),
            "realm": ["main"] * rows,
        }
    )
    decoded = CasesDecoder().decode(None, 5, chunk)
    table = decoded.tables["cases"]
    assert table.schema == SCHEMAS["cases"]
    assert decoded.counters == {"cases_malformed": 2}
    assert table["event"].to_pylist() == [one.event for one in LIFE]
    found = [
        event_of_row({**row, "time_unix_ns": time})
        for row, time in zip(table.to_pylist(), table["time"].cast(pa.int64()).to_pylist(), strict=True)
    ]
    assert found == LIFE


def test_every_event_is_folded() -> None:
    assert {one.event for one in LIFE} | {"case_changed", "case_refused", "one_person_mode"} == EVENTS


def test_what_was_not_read_says_so() -> None:
    texts = legal_texts()
    assert list(texts.items) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert texts.needs_court_order((1, 2, 3, 4, 8)) == [4, 8]
    for one in (*texts.items.values(), *texts.grounds.values(), *texts.notes.values()):
        english, thai = texts.shown(one)
        assert (texts.not_read[0] in english, texts.not_read[1] in thai) == (one.mark == "G",) * 2
        assert one.mark in ("T", "S", "G")
    assert [code for code, ground in texts.grounds.items() if ground.allows_package] == ["order", "own"]
    # Read by somebody: the file alone changes what is shown.
    changed = (Path(__file__).parents[3] / "archive/cases/legal_items.toml").read_text(encoding="utf-8")
    read = parse_legal_texts(changed.replace('mark = "G"', 'mark = "T"'))
    assert texts.not_read[0] not in read.shown(read.notes["court_order"])[0]
