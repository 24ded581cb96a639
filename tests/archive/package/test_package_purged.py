"""A package of a person under a hold after the day was purged, by the real sealer: lines, sessions and datagrams."""

import json
import struct
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flow_days import to_next_day
from netflow_datagrams import TEMPLATE_ID, data, template
from package_log import signed, write_folder
from test_must_fail import fails, rebag
from test_package_contents import bytes_of
from test_retention_desk import MALEE, NS, RETENTION_DAYS, RetainedSchool, run, wait_days
from test_scope_rows import NETFLOW, OUTSIDE, address_of, conntrack

from archive.ask.coverage import measure_coverage
from archive.ask.who import gather, parse_question
from archive.ask.who_json import answer_to_json
from archive.attribution.answer import answer
from archive.package.builder import PackageSources, build_package
from archive.package.content import PackageFacts
from archive.package.decode_again import decode_with
from archive.package.verify_package import verify_package
from archive.segment import utc_day
from archive.time_text import format_iso
from deploy.decoders import make_chunk_decoder

ZONE = "Asia/Bangkok"
PEOPLE = 30


class PurgedSchool(RetainedSchool):
    """Thirty people of whose day only what is MALEE's is left. Translations are told in lines or in flows."""

    def live_and_purge(self, *, in_flows: bool, is_redefined: bool = False) -> None:
        """`is_redefined`: the exporter gives the template's number to another one next day, and no carry is left that
        knows the first."""
        numbers = range(1, PEOPLE + 1)
        now = self.clock.unix_ns()
        self.start_ns = now + 10 * NS
        self.put("identity", *[self.identity(f"pupil{n}", f"บุคคล {n}", now) for n in numbers])
        self.put("portal", *[self.session("open", n, self.start_ns) for n in numbers])
        self.clock.advance(60)
        now = self.at_ns = self.clock.unix_ns()
        if in_flows:
            self.put("collector", (NETFLOW, template(now // NS)))
            ends = [(address_of(n), 5000, OUTSIDE, 40_000 + n) for n in numbers]
            self.put("collector", (NETFLOW, data(now // NS, 2, *ends)))
        else:
            self.put("collector", *[conntrack(address_of(n), 40_000 + n) for n in numbers])
        self.clock.advance(60)
        self.end_ns = self.clock.unix_ns()
        self.put("portal", *[self.session("close", n, self.end_ns, ended_why="logout") for n in numbers])
        self.force_roots()
        for _ in range(3):
            # Of templates, what the carry of a later day says outlives the day; flows of that day make it.
            to_next_day(self)
            seconds = self.clock.unix_ns() // NS
            if is_redefined:
                self.put("collector", (NETFLOW, other_template(seconds)))
            self.put("collector", (NETFLOW, data(seconds, 3, (address_of(1), 5000, OUTSIDE, 50_000))))
            self.seal_carries()
            self.index()
        self.force_roots()
        wait_days(self, RETENTION_DAYS + (1 if is_redefined else -1))
        progress = run(self, self.desk([self.hold(days=365)]))
        assert progress["state"] == "finished", progress["problem"]
        assert utc_day(self.start_ns) in progress["days_done"]
        assert not list(self.paths.segments.glob(f"collector/{utc_day(self.start_ns)}"))
        self.force_roots()

    def force_roots(self) -> None:
        for _ in range(3):
            self.roots.force()
            self.turn()

    def who(self, number: int) -> dict[str, Any]:
        asked = {"address": OUTSIDE, "port": 40_000 + number, "at": format_iso(self.at_ns, ZONE)}
        now, size = self.clock.unix_ns(), self._sealer.checkpoint.size
        question = parse_question(asked, now, ZONE)
        coverage = measure_coverage(
            self.engine, self.paths.spool, size, size, now, RETENTION_DAYS * 86_400 * NS
        )  # fmt: skip
        known = gather(self.engine, coverage, question)
        return answer_to_json(question, answer(question, known), coverage, known, ZONE)

    def package(self, said: dict[str, Any]) -> dict[str, bytes]:
        @contextmanager
        def decoding() -> Any:
            yield lambda request: decode_with(make_chunk_decoder(ZONE, (), ()), request)

        sources = PackageSources(self.paths, self.logs, self.decoding, decoding)
        now = self.clock.unix_ns()
        facts = PackageFacts("2026-11-20-abcdef", "t", "r", "malee", format_iso(now, ZONE), "o", "p", now, ZONE)
        return self.sign(build_package(sources, said, facts).bag)

    def sign(self, bag: dict[str, bytes]) -> dict[str, bytes]:
        return signed(bag, self.keys, self.clock.unix_ns())


def other_template(unix_seconds: int) -> bytes:
    """The same number, another layout: addresses and packets alone."""
    body = struct.pack(">HH", TEMPLATE_ID, 3) + struct.pack(">HHHHHH", 8, 4, 12, 4, 2, 4)
    header = struct.pack(">HHIIII", 9, 1, 100_000, unix_seconds, 1, 7)
    return header + struct.pack(">HH", 0, 4 + len(body)) + body


@pytest.fixture(scope="module", params=["lines", "flows", "redefined"])
def purged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    school: Any = PurgedSchool.make(tmp_path_factory.mktemp("purged"), carries=True)
    school.live_and_purge(in_flows=request.param != "lines", is_redefined=request.param == "redefined")
    said = school.who(MALEE)
    yield request.param, school, said, school.package(said)
    school.close()


def test_what_the_hold_kept_makes_a_package_that_verifies(purged: Any, tmp_path: Path) -> None:
    kind, _, said, files = purged
    assert said["certainty"] == "expired"
    assert [one["account"] for one in said["candidates"]] == [f"pupil{MALEE}"]
    lines = verify_package(str(write_folder(tmp_path / "bag", files)))
    assert any("kept by a hold" in english for english, _ in lines)
    held = json.loads(files["data/decoding.json"])["held"]
    leaves = {json.loads(files[f"data/logs/1/leaves/{place.split('-')[1]}.json"])["stream"] for place in held}
    assert leaves == {"collector", "portal"}
    purge_leaves = {json.loads(files[f"data/logs/1/leaves/{number}.json"])["kind"] for number in held.values()}
    assert purge_leaves == {"purge"}
    assert any(name.startswith("data/pcap/") for name in files) == (kind != "lines")
    everything = bytes_of(files)
    assert not [n for n in range(1, PEOPLE + 1) if n != MALEE and f'"pupil{n}"'.encode() in everything]
    assert not [n for n in range(1, PEOPLE + 1) if n != MALEE and bytes([10, 0, 1, n]) in everything]
    assert not [n for n in range(1, PEOPLE + 1) if n != MALEE and f"src=10.0.1.{n} ".encode() in everything]


def test_of_the_others_nothing_is_left_to_hand_over(purged: Any) -> None:
    _, school, _, _ = purged
    assert school.who(MALEE + 1)["candidates"] == []


def _held(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def edit(files: dict[str, bytes]) -> dict[str, bytes]:
        decoding = json.loads(files["data/decoding.json"])
        change(decoding["held"])
        return {**files, "data/decoding.json": json.dumps(decoding).encode()}

    return edit


def _first_to(number: int) -> Callable[[dict[str, Any]], Any]:
    return lambda held: held.__setitem__(next(iter(held)), number)


CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "a purge leaf that is none": (_held(_first_to(0)), "no purge leaf of the package seals"),
    "a purge leaf that is not there": (_held(_first_to(10**6)), "no purge leaf of the package seals"),
    "a record that is not cited": (
        _held(lambda held: held.__setitem__("1-1-0", next(iter(held.values())))), "no purge leaf of the package seals",
    ),
    "purge leaves that nobody needs": (_held(lambda held: held.clear()), "is a leaf that is not cited"),
    "no list": (
        lambda files: {**files, "data/decoding.json": b'{"held":[1]}'}, "no purge leaf of the package seals",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_said_of_held_records_has_to_be_sealed(purged: Any, name: str, tmp_path: Path) -> None:
    _, school, _, files = purged
    change, expected = CHANGES[name]
    changed = rebag(change(files))
    changed = {name: data for name, data in changed.items() if not name.startswith("tagmanifest-sha256.txt.p7s")}
    fails(write_folder(tmp_path / "bag", school.sign(changed)), expected)
