"""Purge against policy: each purge leaf against the leaves before it, what holds kept, and what was not removed
(docs/FORMAT.md, "Retention and purge")."""

import json
import re
from typing import Any

from archive.errors import ArchiveFormatError
from archive.verify.clock_history import FolderDater, Jump
from archive.verify.held import HeldCheck
from archive.verify.leaf_source import LeafSource
from archive.verify.purge_ranges import PurgedRanges
from archive.verify.range_check import LogJob
from archive.verify.report import Report
from archive.verify.retention_facts import RetentionFacts, Tally, merge_tallies
from archive.verify.streams import Continuity
from archive.verify.tiles import TILE_WIDTH, bundle_path

FLOOR_DAYS = 90
DAY_NS = 86_400 * 1_000_000_000
LONG_LIVED_STREAMS = ("identity", "cases")
CONFIRMED = "clock_confirmed"
HOLD_ID = re.compile(r"hold-[0-9]{4}-[0-9]{4,6}", re.ASCII)


class RetentionCheck:
    """`facts` are of all leaves of the log."""

    def __init__(self, job: LogJob, facts: RetentionFacts, ranges: PurgedRanges, report: Report) -> None:
        self._job = job
        self._facts = facts
        self._ranges = ranges
        self._report = report
        self._leaves = LeafSource(job)
        self._dater = FolderDater(facts.clock, self._leaves.leaf)
        self._jumps = facts.clock.jumps()
        self._last: dict[str, tuple[int, dict[str, Any]]] = {}
        """The last purge of each day so far."""

    def check(self, continuity: Continuity) -> None:
        """Raises PermissionError. Where leaves could not be read, that is the defect, and nothing more can be said."""
        purges = self._facts.purges
        if not purges:
            return
        if not continuity.has_gaps:
            known: dict[str, Tally] = {}
            for episode, (number, fields) in zip(self._facts.episodes, purges, strict=False):
                merge_tallies(known, episode)
                self._check_purge(number, fields, known)
                self._last[fields["day"]] = number, fields
            self._check_held()
        self._state(continuity)

    # One purge leaf

    def _check_purge(self, number: int, fields: dict[str, Any], known: dict[str, Tally]) -> None:
        before = self._last.get(fields["day"])
        names = [folder["stream"] for folder in fields["streams"]]
        wrong = None
        if fields["previous"] != (before and before[0]):
            wrong = f"previous is {fields['previous']}"
        elif names != sorted(set(names)) or any(name in LONG_LIVED_STREAMS for name in names):
            wrong = f"streams {', '.join(names)}"
        elif fields["retention_days"] < FLOOR_DAYS:
            wrong = f"records kept for {fields['retention_days']} days"
        elif not names and before is None:
            wrong = "nothing is purged"
        elif not all(HOLD_ID.fullmatch(hold) for hold in fields["holds"]):
            wrong = "an id of a hold"
        elif fields["held"] is not None and not fields["holds"]:
            wrong = "units are held and no hold is named"
        if wrong is not None:
            self._defect("purge_leaf", number, wrong)
        for folder in fields["streams"]:
            tally = known.pop(f"{folder['stream']}/{fields['day']}", None)
            found = None if tally is None else {name: getattr(tally, name) for name in Tally.__dataclass_fields__}
            if found != {name: value for name, value in folder.items() if name != "stream"}:
                self._defect("purge_range", number, f"{folder['stream']}/{fields['day']}")
        self._check_clock(number, fields)
        self._check_age(number, fields, before)

    def _check_clock(self, number: int, fields: dict[str, Any]) -> None:
        """The present is what a synchronised sample of a steady clock states."""
        now_leaf = fields["clock"]["now_leaf"]
        leaf = self._leaves.leaf(now_leaf) if now_leaf < number else None
        samples = leaf["samples"] if leaf is not None and leaf["kind"] == "clock" else ()
        if not any(one["synchronised"] and one["unix_ns"] == fields["unix_ns"] for one in samples):
            self._defect("purge_clock", number, f"leaf {now_leaf} states no such time")
            return
        jumps = [jump for jump in self._jumps if jump.leaf <= now_leaf]
        if jumps and not self._is_over(jumps[-1], number):
            self._defect("purge_clock", number, f"the clock jumped at leaf {jumps[-1].leaf}")

    def _is_over(self, jump: Jump, number: int) -> bool:
        if jump.over_by is not None and jump.over_by < number:
            return True
        return any(self._confirms(leaf) for leaf in self._facts.cases if jump.leaf < leaf < number)

    def _confirms(self, leaf: int) -> bool:
        """Whether a record of a chunk of stream `cases` says that the clock is right."""
        from archive.verify.chunk_payloads import read_payloads

        data = self._leaves.spool_leaf(leaf)
        if data is None or data.segment is None:
            return False
        try:
            with (self._job.log / "segments" / data.segment).open("rb") as file:
                file.seek(data.offset)
                payloads = read_payloads(file.read(data.length))
        except (OSError, ArchiveFormatError):
            return False
        begins = [0, *payloads.ends[:-1]]
        return any(_event_of(payloads.data[b:e]) == CONFIRMED for b, e in zip(begins, payloads.ends, strict=True))

    def _check_age(self, number: int, fields: dict[str, Any], before: tuple[int, dict[str, Any]] | None) -> None:
        stated = int(fields["age_unix_ns"]), fields["clock"]["age_leaf"]
        if not fields["streams"]:
            known = before and (int(before[1]["age_unix_ns"]), before[1]["clock"]["age_leaf"])
            if stated != known:
                self._defect("purge_clock", number, "another age than at the purge before")
            return
        dates = []
        for folder in fields["streams"]:
            data = self._leaves.leaf(folder["last_leaf"]) if folder["last_leaf"] < number else None
            if data is None or data["kind"] != "data":
                return  # The range is a defect already.
            dates.append(self._dater.date(data, folder["last_leaf"], number))
        ages = [date for date in dates if date is not None]
        age = max(ages) if len(ages) == len(dates) else None
        if age is None or int(fields["unix_ns"]) < age[0] + fields["retention_days"] * DAY_NS:
            detail = (
                "no clock tells its age" if age is None else f"due at {age[0] + FLOOR_DAYS * DAY_NS} ns at the least"
            )
            self._defect("purge_too_early", number, detail)
        elif age != stated:
            self._defect("purge_clock", number, f"the age is told by leaf {age[1]}")

    # What was kept, and what is left

    def _check_held(self) -> None:
        """Held files that no later purge of the day has made anew."""
        check = HeldCheck(self._job.log, self._leaves)
        for day, (number, fields) in self._last.items():
            if fields["held"] is None:
                continue

            def is_covered(leaf: int, day: str = day, number: int = number) -> bool:
                data = self._leaves.spool_leaf(leaf)
                if data is None or data.segment is None or leaf >= number:
                    return False
                folder = data.segment.rpartition("/")[0]
                return folder.rpartition("/")[2] == day and self._ranges.purge_of(folder, leaf, leaf) is not None

            wrong = check.check(number, fields, is_covered)
            if wrong is not None:
                code, file, detail = wrong
                self._report.add_defect(code, file, detail=detail, leaf=number)

    def _state(self, continuity: Continuity) -> None:
        purges = self._facts.purges
        days = {fields["day"] for _, fields in purges}
        records = sum(folder["records"] for _, fields in purges for folder in fields["streams"])
        stored = sum(folder["bytes"] for _, fields in purges for folder in fields["streams"])
        last = dict((fields["day"], fields) for _, fields in purges)
        holds = {hold for fields in last.values() for hold in fields["holds"]}
        units = sum(fields["held"]["units"] for fields in last.values() if fields["held"])
        self._report.purged = {
            "days": len(days), "first_day": min(days), "last_day": max(days), "records": records, "bytes": stored,
            "holds": len(holds), "held_units": units,
        }  # fmt: skip
        self._report.add_statement("purged", self._report.purged)
        left = self._left(continuity, last)
        if left:
            self._report.add_statement("purge_not_finished", ", ".join(sorted(left)))

    def _left(self, continuity: Continuity, last: dict[str, dict[str, Any]]) -> set[str]:
        """Purged folders and superseded held files of which something is there."""
        segments, held = self._job.log / "segments", self._job.log / "held"
        left = set()
        for name, segment in continuity.segments.items():
            folder = name.rpartition("/")[0]
            if self._ranges.purge_of(folder, segment.first_leaf, segment.first_leaf) is not None:
                if (segments / name).exists():
                    left.add(folder)
        named = {fields["held"][key] for fields in last.values() if fields["held"] for key in ("file", "rows_file")}
        for path in held.glob("*/*"):
            if f"held/{path.parent.name}/{path.name}" not in named:
                left.add(f"held/{path.parent.name}/{path.name}")
        return left

    def _defect(self, code: str, number: int, detail: str) -> None:
        index = number // TILE_WIDTH
        file = f"log/{bundle_path(index, min(self._job.store.size - index * TILE_WIDTH, TILE_WIDTH))}"
        self._report.add_defect(code, file, detail=detail, leaf=number)


def _event_of(payload: bytes) -> object:
    try:
        record = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return record.get("event") if isinstance(record, dict) else None
