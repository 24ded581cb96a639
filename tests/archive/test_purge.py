"""The sealer purges what is due, keeps what a hold names, and refuses everything else with a sentence."""

from pathlib import Path

import pytest
import zstandard

from archive.errors import ArchiveIntegrityError
from archive.merkle import inclusion_proof, leaf_hash, verify_inclusion
from archive.retention.held_file import decode_held, decode_rows
from archive.retention.journal import Journal
from archive.retention.plan import make_plan
from archive.tile_layout import decode_bundle, encode_bundle
from archive.tree import TreeReader
from archive.verify.run import verify_archive
from tests.archive.forged_purge import second_defects
from tests.archive.purge_log import NS, PurgeLog

HOLD, OTHER_HOLD = "hold-2026-0001", "hold-2026-0002"
PERSONS = [b"person-%03d-%s" % (n, bytes([97 + n % 26]) * 8) for n in range(100)]
YEAR_SECONDS = 365 * 86_400


def content_below(directory: Path) -> bytes:
    """Every file, and what is in it where it is zstd frames one after another, units files' among them."""
    found = []
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        found.append(data)
        for start in range(len(data)):
            if data.startswith(b"\x28\xb5\x2f\xfd", start):
                try:
                    found.append(zstandard.ZstdDecompressor().decompressobj().decompress(data[start:]))
                except zstandard.ZstdError:
                    continue
    return b"\n".join(found)


def assert_intact(log: PurgeLog) -> None:
    report = verify_archive(log.paths.directory, log.paths.head)
    assert [(defect.code, defect.message) for defect in report.defects] == []
    assert second_defects(log.paths.directory, log.paths.head) == []


@pytest.fixture
def log(tmp_path: Path) -> PurgeLog:
    return PurgeLog(tmp_path, retention_days=90)


def lines_of_a_day(log: PurgeLog) -> tuple[str, int]:
    """A chunk of 100 persons' lines with its root, and 90 days. Returns the day and the leaf."""
    day = log.day()
    leaf = log.receive("collector", *(b"<134>login of " + person for person in PERSONS))
    log.root(leaf)
    for _ in range(90):
        log.pass_day()
    return day, leaf


def row_of(log: PurgeLog, leaf: int, person: int) -> int:
    return log.leaves()[leaf][1]["records"] - len(PERSONS) + person


def test_of_a_hundred_persons_only_the_held_one_remains(log: PurgeLog) -> None:
    day, leaf = lines_of_a_day(log)
    before = content_below(log.paths.directory)
    assert all(person in before for person in PERSONS)
    row = row_of(log, leaf, 42)
    assert log.ask(day, [(leaf, row, 0)], [HOLD])["state"] == "done"
    after = content_below(log.paths.directory)
    assert [person for person in PERSONS if person in after] == []
    [(number, purge)] = log.purges()
    held = decode_held((log.paths.log / purge["held"]["file"]).read_bytes())
    [record] = held.records
    [unit] = record.units
    assert (held.leaf, record.row, record.source_address) == (number, row, "192.0.2.9")
    assert unit.data == b"<134>login of " + PERSONS[42]
    assert decode_rows((log.paths.log / purge["held"]["rows_file"]).read_bytes())["logs"].num_rows == 1
    left = {path.name for path in log.paths.segments.rglob("*") if path.is_file()}
    assert left == {f"{day}.purged"}
    assert_intact(log)


def test_a_hold_that_ends_leaves_a_subset_and_nothing_more_can_be_asked_for(log: PurgeLog) -> None:
    day, leaf = lines_of_a_day(log)
    rows = [row_of(log, leaf, person) for person in (1, 2, 3)]
    assert log.ask(day, [(leaf, row, 0) for row in rows[:2]], [HOLD, OTHER_HOLD])["state"] == "done"
    assert (
        "nothing of it has changed" in log.ask(day, [(leaf, row, 0) for row in rows[:2]], [HOLD, OTHER_HOLD])["problem"]
    )
    assert "cannot bring it back" in log.ask(day, [(leaf, row, 0) for row in rows], [HOLD])["problem"]
    assert log.ask(day, [(leaf, rows[1], 0)], [HOLD])["state"] == "done"
    assert_intact(log)
    first, second = log.purges()
    assert (second[1]["previous"], second[1]["streams"]) == (first[0], [])
    assert not (log.paths.log / first[1]["held"]["file"]).exists()
    assert log.ask(day)["state"] == "done"
    assert not list((log.paths.log / "held").rglob("*.held"))
    assert_intact(log)


def test_what_comes_late_is_purged_later_and_disturbs_nothing(log: PurgeLog) -> None:
    day, leaf = lines_of_a_day(log)
    assert log.ask(day, [(leaf, row_of(log, leaf, 7), 0)], [HOLD])["state"] == "done"
    now = log.clock.unix_ns()
    log.clock._unix_ns -= 90 * 86_400 * NS
    late = log.receive("collector", b"late line")
    log.clock._unix_ns = now + 10 * NS
    log.root(late)
    assert log.leaves()[late][1]["segment"] == f"collector/{day}/000001.seg"
    assert_intact(log)
    assert "not due" in log.ask(day, [(leaf, row_of(log, leaf, 7), 0)], [HOLD])["problem"]
    for _ in range(91):
        log.pass_day()
    wanted = [(leaf, row_of(log, leaf, 7), 0), (late, log.leaves()[late][1]["records"] - 1, 0)]
    log.close()
    log.open()
    assert_intact(log)
    assert log.ask(day, wanted, [HOLD])["state"] == "done", log.purge.report()
    assert log.purges()[-1][1]["held"]["units"] == 2
    assert_intact(log)


def test_each_refusal_says_why_and_deletes_nothing(log: PurgeLog) -> None:
    day, leaf = lines_of_a_day(log)
    unrooted = log.receive("collector", b"no root yet")
    later = log.day()
    files = sorted(path for path in log.paths.segments.rglob("*"))
    row = row_of(log, leaf, 0)
    said = {
        "not due": log.ask(later),
        "nothing of 20200101": log.ask("20200101"),
        "no hold is named": log.ask(day, [(leaf, row, 0)]),
        "is none: leaf": log.ask(day, [(leaf, row, 3)], [HOLD]),
        "no data leaf of": log.ask(day, [(unrooted, 0, 0)], [HOLD]),
    }
    for sentence, report in said.items():
        assert report["state"] == "refused"
        assert sentence in report["problem"]
    (log.paths.inbox / "purge" / f"{day}.request").write_bytes(b"rubbish")
    log.turn(3)
    assert log.purge.report()["state"] == "refused"
    assert sorted(log.paths.segments.rglob("*")) == files
    assert log.purges() == []
    assert log.purge.refused == len(said) + 1


def test_a_unit_without_a_root_waits_for_it_and_is_then_refused(log: PurgeLog) -> None:
    day = log.day()
    leaf = log.receive("collector", b"line")
    for _ in range(91):
        log.pass_day()
    row = log.leaves()[leaf][1]["records"] - 1
    assert log.ask(day, [(leaf, row, 0)], [HOLD])["state"] == "waiting_for_roots"
    log.clock.advance(121)
    log.turn(4)
    assert "no records root" in log.purge.report()["problem"]
    log.samples()
    assert log.ask(day, [(leaf, row, 0)], [HOLD])["state"] == "waiting_for_roots"
    log.root(leaf)
    log.turn(8)
    assert log.purge.report()["state"] == "done"
    assert_intact(log)


def test_a_changed_chunk_or_held_file_stops_the_purge(log: PurgeLog) -> None:
    day, leaf = lines_of_a_day(log)
    segment = log.paths.segments / log.leaves()[leaf][1]["segment"]
    data = segment.read_bytes()
    segment.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "bytes differ" in log.ask(day)["problem"]
    segment.write_bytes(data)
    assert log.purges() == []


def test_an_unsteady_clock_purges_nothing(log: PurgeLog) -> None:
    day, _ = lines_of_a_day(log)
    log.clock.advance(1, wall_seconds=YEAR_SECONDS)
    assert "since its last sealed sample" in log.ask(day)["problem"]
    log.samples()
    assert "jumped at leaf" in log.ask(day)["problem"]
    log.pass_day(synchronised=False)
    assert "jumped at leaf" in log.ask(day)["problem"]
    assert log.purges() == []


def test_a_confirmation_in_the_cases_stream_ends_a_jump(log: PurgeLog) -> None:
    day, _ = lines_of_a_day(log)
    log.clock.advance(1, wall_seconds=-7_200)
    log.samples()
    assert "jumped" in log.ask(day)["problem"]
    event = b'{"v":1,"event":"clock_confirmed","time_unix_ns":"1","operator":"somsri","reason":"compared with a phone"}'
    log.receive("cases", event, listener="cases")
    log.pass_day()
    assert log.ask(day)["state"] == "done"
    assert_intact(log)


def test_only_one_sealer_setting_is_possible_below_the_floor(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="from 90 to"):
        PurgeLog(tmp_path, retention_days=89)


def proofs_of(log: PurgeLog, count: int) -> list[tuple[int, bytes, int, list[bytes], bytes]]:
    """Inclusion proofs of the first leaves as of the head of that time."""
    head = log.sealer.checkpoint
    reader = TreeReader(log.paths.log, head.size)
    chosen = range(min(count, head.size))
    return [
        (n, leaf_hash(reader.leaf(n)), head.size, inclusion_proof(n, head.size, reader.node), head.root) for n in chosen
    ]


def test_ninety_one_days_and_more_with_a_jump_in_them(tmp_path: Path, full_counts: bool) -> None:
    """Each day of two streams; the clock jumps a year ahead at day 95 and is put right the day after, which stops
    purging for a week of steady samples."""
    log = PurgeLog(tmp_path, retention_days=90)
    days, stopped, last_day = [], [], 110
    proofs: list[tuple[int, bytes, int, list[bytes], bytes]] = []
    ages: dict[str, int] = {}
    for number in range(last_day):
        if number == 95:
            log.clock.advance(1, wall_seconds=YEAR_SECONDS)
        if number == 96:
            log.clock.advance(1, wall_seconds=-YEAR_SECONDS)
        day = log.day()
        days.append(day)
        for stream in ("collector", "radius"):
            log.root(log.receive(stream, b"line of " + day.encode()))
        ages[day] = log.clock.monotonic_ns()
        if number == 0:
            proofs = proofs_of(log, 100)
        log.pass_day()
        plan = make_plan(log.purge.decision.journal.read(), 90, log.purge.decision.live())
        due = [one.day for one in plan.due()]
        for one in due:
            assert log.clock.monotonic_ns() - ages[one] >= 90 * 86_400 * NS, "purged early"
            assert log.ask(one)["state"] == "done", log.purge.report()
        if number >= 90 and not due:
            stopped.append(number)
            assert "jumped" in plan.clock.problem
        if full_counts or number in (0, 89, 90, 96, 104, last_day - 1):
            assert_intact(log)
    purged = [leaf["day"] for _, leaf in log.purges()]
    assert stopped == list(range(95, 103))
    assert purged == days[: last_day - 90 + 1][: len(purged)]
    assert len(purged) >= last_day - 91
    head = log.sealer.checkpoint
    reader = TreeReader(log.paths.log, head.size)
    for index, digest, size, proof, root in proofs:
        verify_inclusion(digest, index, size, proof, root)
        verify_inclusion(
            leaf_hash(reader.leaf(index)), index, head.size, inclusion_proof(index, head.size, reader.node), head.root
        )


def test_the_journal_reads_on_and_holds_little(log: PurgeLog) -> None:
    day, _ = lines_of_a_day(log)
    journal = Journal(log.paths, lambda: log.sealer.checkpoint)
    first = journal.read()
    size = first.size
    more = log.receive("radius", b"more", listener="radius-acct")
    again = journal.read()
    assert again.size > size
    assert again.folders["radius", log.day()].last_leaf == more
    assert journal.records_leaves[f"collector/{day}"].tolist()
    whole = Journal(log.paths, lambda: log.sealer.checkpoint).read()
    assert (whole.folders, whole.size) == (again.folders, again.size)


def test_a_changed_bundle_is_not_believed(log: PurgeLog) -> None:
    """Whoever can write files and has no key cannot make a day older."""
    lines_of_a_day(log)
    [path] = (log.paths.log / "tile/entries").rglob("*.zst")
    leaves = [
        leaf.replace(b'"synchronised":false', b'"synchronised":true') for leaf in decode_bundle(path.read_bytes())
    ]
    leaves[-1] = leaves[-1].replace(b'"offset_ns":0', b'"offset_ns":1')
    path.write_bytes(encode_bundle(leaves))
    with pytest.raises(ArchiveIntegrityError, match="root of the signed head"):
        Journal(log.paths, lambda: log.sealer.checkpoint).read()
