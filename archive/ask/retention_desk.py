"""Retention as the index process sees it: what goes when, and asking the sealer, a day at a time, to purge what is due.

The sealer decides with its own log and clock. This says which units and rows holds keep, and waits for the leaf, which
the indexer follows.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from archive.alarms import Condition
from archive.ask.audit import Actor, Auditor
from archive.ask.held_choice import HeldChoice
from archive.cases.register import Hold
from archive.cases.scope import Scope
from archive.clock import Clock
from archive.errors import ArchiveError, ArchiveStateError, AskError
from archive.index.checkpoint import read_checkpoint
from archive.index.indexer import Indexer
from archive.index.purged import DAY_NS, day_bounds_ns
from archive.local_rpc import call_local
from archive.origin import ArchivePaths
from archive.retention.age import LiveClock
from archive.retention.held_file import decode_held, decode_rows
from archive.retention.journal import Journal
from archive.retention.limits import RetentionError
from archive.retention.plan import DayPlan, Facts, Plan, make_plan
from archive.retention.purge_leaf import PurgeLeaf
from archive.retention.request import PurgeRequest, write_request
from archive.time_text import format_iso

RETENTION_FORMAT = 1
POLL_SECONDS = 0.25
HOLD_ATTEMPTS = 10
"""Times that a day is chosen for anew because a hold was placed meanwhile."""
ANSWER_SECONDS = 3_600.0
"""The sealer hashes every chunk of the day before it seals the purge: a day of 40 GB takes minutes, not an hour."""
INDEX_SECONDS = 1_800.0
"""An index that has not caught up by then is looked after before anything is purged."""
OVERDUE_NS = 2 * 86_400 * 1_000_000_000
"""Due days are purged every night; two days later something is wrong."""
EVENT_FINISHED = "retention_finished"

log = logging.getLogger(__name__)


class RetentionDesk:
    """`holds` gives the holds in force at a moment; `days_without_index` the days that no hold can be looked for in."""

    def __init__(
        self,
        paths: ArchivePaths,
        indexer: Indexer,
        choice: HeldChoice,
        holds: Callable[[int], list[Hold]],
        auditor: Auditor,
        clock: Clock,
        retention_days: int,
        zone: str,
        days_without_index: Callable[[], list[str]] = list,
    ) -> None:
        self._paths, self._indexer, self._choice, self._holds = paths, indexer, choice, holds
        self._auditor, self._clock, self._retention_days, self._zone = auditor, clock, retention_days, zone
        self._days_without_index = days_without_index
        self._journal = Journal(paths, lambda: read_checkpoint(paths))
        self._reading, self._starting = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._progress: dict[str, Any] = {"state": "none"}
        self._now_unix_ns = 0

    # What goes when

    def plan(self) -> dict[str, Any]:
        """The `retention` object of docs/CONTRACT.md: a dry run."""
        facts, plan = self._read()
        now = plan.clock.now.unix_ns if plan.clock.now else None
        held = self._holds(self._clock.unix_ns() if now is None else now)
        return {
            "format": RETENTION_FORMAT,
            "retention_days": self._retention_days,
            "now": format_iso(now, self._zone) if now is not None else None,
            "problem": plan.clock.problem,
            "days": [*self._purged_days(facts), *(self._day(one, facts) for one in plan.days)],
            "holds": [{"id": one.id, "until": format_iso(one.until_unix_ns, self._zone)} for one in held],
            "progress": dict(self._progress),
        }

    def conditions(self) -> list[Condition]:
        """The alarm that the clock jumped, or that days are overdue."""
        try:
            facts, plan = self._read()
        except (ArchiveError, OSError) as error:
            return [Condition("retention_stopped", "retention", str(error))]
        jump = facts.clock.jump
        if jump is not None and jump.over_by is None:
            return [Condition("retention_stopped", "retention", plan.clock.problem)]
        now = self._clock.unix_ns()
        late = [one for one in plan.days if one.due_unix_ns is not None and one.due_unix_ns + OVERDUE_NS < now]
        if not late:
            return []
        refused = str(self._progress.get("problem", ""))
        why = plan.clock.problem or next((one.why_not for one in late if one.why_not), "") or refused or "not begun"
        return [Condition("retention_stopped", "retention", f"{len(late)} days, the first {late[0].day}: {why}")]

    def _read(self) -> tuple[Facts, Plan]:
        with self._reading:
            facts = self._journal.read()
            live = LiveClock(self._clock.unix_ns(), self._clock.monotonic_ns(), self._clock.boot_id())
            return facts, make_plan(facts, self._retention_days, live)

    def _day(self, one: DayPlan, facts: Facts) -> dict[str, Any]:
        return {
            "day": one.day,
            "state": "due" if one.is_due else "kept",
            "due": format_iso(one.due_unix_ns, self._zone) if one.due_unix_ns is not None else None,
            "why": one.why_not,
            "streams": [folder.stream for folder in one.folders],
            "chunks": sum(folder.chunks for folder in one.folders),
            "records": sum(folder.records for folder in one.folders),
            "bytes": sum(folder.bytes for folder in one.folders),
            "holds": list(facts.purges[one.day][-1][1].holds) if one.previous is not None else [],
            "held_units": 0,
            "leaf_index": one.previous,
        }

    def _purged_days(self, facts: Facts) -> Iterator[dict[str, Any]]:
        for day, purges in sorted(facts.purges.items()):
            leaf, newest = purges[-1]
            streams = [folder for _, purge in purges for folder in purge.streams]
            yield {
                "day": day,
                "state": "held" if newest.held else "purged",
                "due": None,
                "why": "",
                "streams": [folder.stream for folder in streams],
                "chunks": sum(folder.chunks for folder in streams),
                "records": sum(folder.records for folder in streams),
                "bytes": sum(folder.bytes for folder in streams),
                "holds": list(newest.holds),
                "held_units": newest.held.units if newest.held else 0,
                "leaf_index": leaf,
            }

    # Doing it

    def start(self, actor: Actor) -> dict[str, Any]:
        """Begin to purge what is due. Raises AskError `busy` while a run goes on, `clock` where nothing may be."""
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                raise AskError("a purge goes on already; `phayan retention` shows how far", code="busy")
            _, plan = self._read()
            if plan.clock.now is None:
                raise AskError(f"nothing is purged: {plan.clock.problem}", code="clock")
            self._stop.clear()
            self._progress = {"state": "running", "days_done": [], "day": "", "records": 0, "problem": ""}
            self._thread = threading.Thread(target=self._run, args=(actor,), name="retention", daemon=True)
            self._thread.start()
            return dict(self._progress)

    def progress(self) -> dict[str, Any]:
        """Of the run that goes on, or the last one; state `none` without any."""
        return dict(self._progress)

    def stop(self) -> None:
        """End a run after what the sealer has in hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, actor: Actor) -> None:
        try:
            self._purge_all()
            self._progress["state"] = "stopped" if self._stop.is_set() else "finished"
        except (ArchiveError, OSError) as error:
            log.warning("retention: %s", error)
            self._progress |= {"state": "failed", "problem": str(error)}
        except Exception as error:
            self._progress |= {"state": "failed", "problem": f"internal failure: {type(error).__name__}"}
            raise
        finally:
            with suppress(ArchiveError):
                self._auditor.record(actor, EVENT_FINISHED, self._progress)

    def _purge_all(self) -> None:
        """Every day that is due, and every day of which an ended hold still keeps something. One that cannot be purged
        keeps no other: the first reason is told at the end."""
        facts, plan = self._read()
        if plan.clock.now is None:
            raise RetentionError(plan.clock.problem)
        self._now_unix_ns = plan.clock.now.unix_ns
        self._wait_for_index(facts.size)
        days: dict[str, DayPlan | None] = {one.day: one for one in plan.due()}
        for day, purges in facts.purges.items():
            newest = purges[-1][1]
            if newest.held is not None and not set(newest.holds) <= {hold.id for hold in self._holds_now()}:
                days.setdefault(day, None)
        failed: list[str] = []
        for day, one in sorted(days.items()):
            if self._stop.is_set():
                break
            try:
                self._purge_day(day, one, facts.purges.get(day, []))
            except ArchiveError as error:
                log.warning("%s is not purged: %s", day, error)
                failed.append(str(error))
        if failed:
            raise RetentionError(f"{len(failed)} days are not purged; the first: {failed[0]}")

    def _holds_now(self) -> list[Hold]:
        return self._holds(self._now_unix_ns)

    def _wait_for_index(self, size: int) -> None:
        """Holds and what they keep are looked for in the index, which has to know what is sealed."""
        until = time.monotonic() + INDEX_SECONDS
        while self._indexer.next_leaf < size:
            if time.monotonic() >= until or self._stop.wait(POLL_SECONDS):
                raise RetentionError("the index is behind; nothing is purged before it has caught up")

    def _purge_day(self, day: str, due: DayPlan | None, earlier: list[tuple[int, PurgeLeaf]]) -> None:
        self._progress["day"] = day
        for _ in range(HOLD_ATTEMPTS):
            holds = self._holds_now()
            request = self._choose(day, due, earlier, holds)
            if self._holds_now() != holds:
                continue
            if len(request.leaf):
                with suppress(AskError, ArchiveStateError):
                    # Without it the sealer asks itself, a turn later.
                    call_local(self._paths.run / "sealer.sock", "seal_records_roots")
            size = read_checkpoint(self._paths).size
            path = write_request(self._paths.inbox, request)
            # One that was placed in this moment was not chosen for.
            if self._holds_now() == holds or not _withdraw(path):
                break
        else:
            raise RetentionError(f"{day}: holds change too fast")
        self._wait_for_sealer(day, size, path)
        self._progress["days_done"].append(day)
        self._progress["records"] += sum(folder.records for folder in due.folders) if due else 0

    def _choose(
        self, day: str, due: DayPlan | None, earlier: list[tuple[int, PurgeLeaf]], holds: list[Hold]
    ) -> PurgeRequest:
        """What holds keep of what is left of a day: of its folders, and of what an earlier purge kept."""
        touching = [hold for hold in holds if may_touch(hold.scope, day)]
        if due is not None and touching and day in self._days_without_index():
            raise RetentionError(
                f"the index of {day} was dropped, and {touching[0].id} may keep records of it; `phayan reindex` first"
            )
        held = earlier[-1][1].held if earlier else None
        if held is None:
            return self._choice.choose(day, holds)
        kept = decode_held((self._paths.log / held.file).read_bytes())
        rows = decode_rows((self._paths.log / held.rows_file).read_bytes())
        return self._choice.choose_again(day, holds, kept, rows, has_more=due is not None)

    def _wait_for_sealer(self, day: str, size: int, request: Path) -> None:
        """Until the purge is sealed, its files are removed, and the indexer has followed. Raises RetentionError."""
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            leaf = self._newest_purge(day)
            said = self._sealer_says()
            if leaf >= size and self._indexer.next_leaf > leaf and said.get("state") != "sealed":
                return
            # While the request is there, what the sealer says may be of one before it.
            is_waiting = any(request.with_suffix(suffix).exists() for suffix in (request.suffix, ".taken"))
            if said.get("day") == day and said.get("state") == "refused" and not is_waiting:
                raise RetentionError(f"{day}: {said.get('problem')}")
            if self._stop.wait(POLL_SECONDS):
                return
        raise RetentionError(f"{day}: the sealer has not answered in {ANSWER_SECONDS:.0f} seconds")

    def _newest_purge(self, day: str) -> int:
        with self._reading:
            purges = self._journal.read().purges.get(day)
        return purges[-1][0] if purges else -1

    def _sealer_says(self) -> dict[str, Any]:
        try:
            return json.loads((self._paths.run / "sealer.json").read_text(encoding="utf-8")).get("purge", {})
        except (OSError, ValueError):
            return {}


def may_touch(scope: Scope, day: str) -> bool:
    """Whether records received on a UTC day can be of a scope: they may tell of the day before, or of a session that
    began then."""
    first, last = day_bounds_ns(day)
    return scope.from_unix_ns <= last + DAY_NS and scope.until_unix_ns >= first - DAY_NS


def _withdraw(request: Path) -> bool:
    """Take a request back; False where the sealer has it in hand already."""
    try:
        request.unlink()
    except FileNotFoundError:
        return False
    return True
