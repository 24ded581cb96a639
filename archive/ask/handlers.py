"""Requests of the ask service. Each identifies the actor, writes the audit record, then answers (docs/CONTRACT.md)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Actor, Auditor
from archive.ask.case_desk import CaseDesk
from archive.ask.case_handlers import make_case_handlers
from archive.ask.coverage import Coverage, measure_coverage, oldest_of_former_ns, oldest_unindexed_ns
from archive.ask.index_check import IndexCheckDesk
from archive.ask.operators import OperatorError, OperatorStore
from archive.ask.packages import PackageDesk, PackageRequest
from archive.ask.record import READ_ATTEMPTS, read_record
from archive.ask.reindexing import ReindexDesk
from archive.ask.retention_desk import RetentionDesk
from archive.ask.search import DEFAULT_LIMIT, MAX_LIMIT, search
from archive.ask.status import StatusReader
from archive.ask.who import gather, parse_question
from archive.ask.who_json import answer_to_json
from archive.attribution.answer import answer
from archive.attribution.question import Question
from archive.clock import Clock
from archive.errors import AskError
from archive.index.checkpoint import read_checkpoint
from archive.index.dropped import dropped_intervals
from archive.index.former_indexing import FormerIndexing
from archive.index.indexer import Indexer
from archive.index.logs import ArchiveLogs
from archive.local_rpc import Handler, Peer, call_local
from archive.origin import ArchivePaths
from archive.query.parse import parse_query
from archive.time_text import parse_time

DAY_NS = 86_400 * 1_000_000_000
DEFAULT_SINCE = "-1d"
VERIFY_TIMEOUT_SECONDS = 3600.0
MAX_NUMBER_DIGITS = 15
"""A JSON number above 2^53 is not exact; no leaf, row, limit or offset comes near."""
FIRST_MOMENT_NS = 2 * DAY_NS
LAST_MOMENT_NS = 84_000 * DAY_NS
"""What the index can hold (nanoseconds since 1970 in 64 bits), with the days that questions look back and ahead."""

Arguments = dict[str, Any]


@dataclass
class Desk:
    """What the handlers share."""

    paths: ArchivePaths
    logs: ArchiveLogs
    former: FormerIndexing
    indexer: Indexer
    auditor: Auditor
    operators: OperatorStore
    alarms: AlarmBook
    status: StatusReader
    clock: Clock
    zone: str
    retention_days: int
    demo: bool
    timers_socket: Path
    reindexing: ReindexDesk
    index_check: IndexCheckDesk
    packages: PackageDesk
    cases: CaseDesk
    retention: RetentionDesk
    one_person: bool = False

    def coverage(self) -> Coverage:
        """What is indexed by now. A file that leaves the spool meanwhile is in a newer head; then all is read again."""
        behind = self.former.behind
        for _ in range(READ_ATTEMPTS):
            now, next_leaf = self.clock.unix_ns(), self.indexer.next_leaf
            size = read_checkpoint(self.paths).size
            retention_ns = self.retention_days * DAY_NS
            coverage = measure_coverage(self.logs.reader, self.paths.spool, next_leaf, size, now, retention_ns)
            try:
                oldest = oldest_unindexed_ns(self.paths, next_leaf, size, now)
            except FileNotFoundError:
                continue
            if read_checkpoint(self.paths).size == size:
                until = min(coverage.indexed_until_ns, oldest, oldest_of_former_ns(behind, now))
                unindexed = dropped_intervals(self.logs.newest.engine)
                return replace(coverage, indexed_until_ns=until, is_whole=not behind, unindexed=unindexed)
        raise AskError("the log changes too fast to be read", code="busy")


def _audited(desk: Desk, action: str, answer_it: Callable[[Actor, Arguments], Any]) -> Handler:
    def handle(peer: Peer, arguments: Arguments) -> Any:
        actor = desk.auditor.identify(peer, arguments)
        desk.auditor.record(actor, action, arguments, str(arguments.get("reason", "")))
        return answer_it(actor, arguments)

    return handle


def _whole_number(arguments: Arguments, name: str, default: int | None) -> int:
    """A number from 0 that the index can compare; texts of digits come from addresses of pages."""
    given = arguments.get(name)
    if given in (None, "") and default is not None:
        return default
    text = str(given)
    if isinstance(given, bool) or not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS):
        raise AskError(f"{name} {text[:40]!r}; valid are whole numbers from 0", code="bad_question")
    return int(text)


def _check_moments(*moments_unix_ns: int) -> None:
    if any(not FIRST_MOMENT_NS <= moment <= LAST_MOMENT_NS for moment in moments_unix_ns):
        raise AskError("a moment lies outside 1970 to 2200", code="bad_question")


def _question(desk: Desk, arguments: Arguments) -> Question:
    question = parse_question(arguments, desk.clock.unix_ns(), desk.zone)
    _check_moments(question.at_unix_ns)
    return question


def make_handlers(desk: Desk) -> dict[str, Handler]:
    """Every request the service answers."""

    def answer_of(question: Question) -> dict[str, Any]:
        coverage = desk.coverage()
        known = gather(desk.logs.reader, coverage, question)
        shaped = answer_to_json(question, answer(question, known), coverage, known, desk.zone)
        return {**shaped, "log": desk.logs.newest.origin}

    def who(actor: Actor, arguments: Arguments) -> Any:
        return answer_of(_question(desk, arguments))

    def package_create(actor: Actor, arguments: Arguments) -> Any:
        # Parsed once, before the job begins: a bad question is refused at once, and a moment relative to now stays.
        question = _question(desk, arguments)
        request = PackageRequest(
            question=question,
            ask_again=lambda: answer_of(question),
            case_id=str(arguments.get("case") or "")[:64],
            title=str(arguments.get("title", ""))[:200],
            reason=str(arguments.get("reason", ""))[:500],
        )
        return desk.packages.create(actor, request)

    def package_list(actor: Actor, arguments: Arguments) -> Any:
        return desk.packages.list()

    def package_fetch(actor: Actor, arguments: Arguments) -> Any:
        return desk.packages.fetch(actor, str(arguments.get("id", "")), _whole_number(arguments, "offset", 0))

    def find(actor: Actor, arguments: Arguments) -> Any:
        now = desk.clock.unix_ns()
        since = parse_time(str(arguments.get("since") or DEFAULT_SINCE), now_unix_ns=now, zone=desk.zone)
        until = parse_time(str(arguments.get("until") or "now"), now_unix_ns=now, zone=desk.zone)
        limit = _whole_number(arguments, "limit", DEFAULT_LIMIT)
        if not 1 <= limit <= MAX_LIMIT:
            raise AskError(f"limit {limit}; valid are 1 to {MAX_LIMIT}", code="bad_question")
        _check_moments(since, until)
        if since > until:
            raise AskError("--since lies after --until", code="bad_question")
        coverage = desk.coverage()
        result = search(desk.logs.reader, parse_query(str(arguments.get("query", ""))), since, until, limit, desk.zone)
        return {**result, "log": desk.logs.newest.origin, "indexed_until_unix_ns": coverage.indexed_until_ns}

    def record(actor: Actor, arguments: Arguments) -> Any:
        index, row = _whole_number(arguments, "leaf_index", None), _whole_number(arguments, "row", None)
        log = desk.logs.of(str(arguments.get("log") or ""))
        result = read_record(log, desk.logs.reader, index, row, desk.zone)
        if not str(arguments.get("reason", "")).strip():
            # Raw bytes are shown to people only with a reason, which the audit record above then holds.
            result["payload_base64"] = None
        return result

    def status(actor: Actor, arguments: Arguments) -> Any:
        return {**desk.status.read(desk.alarms.standing(desk.zone)), "demo": desk.demo}

    def metrics(peer: Peer, arguments: Arguments) -> Any:
        # Numbers of the appliance itself and of no record, read every few seconds: neither a session nor a record.
        return {**desk.status.read_metrics(desk.alarms.standing(desk.zone)), "demo": desk.demo}

    def integrity(actor: Actor, arguments: Arguments) -> Any:
        return desk.status.read_integrity()

    def verify_last(actor: Actor, arguments: Arguments) -> Any:
        return desk.status.last_verification()

    def verify_now(actor: Actor, arguments: Arguments) -> Any:
        return call_local(desk.timers_socket, "verify_now", timeout_seconds=VERIFY_TIMEOUT_SECONDS)

    def reindex_start(actor: Actor, arguments: Arguments) -> Any:
        return desk.reindexing.start(actor)

    def reindex_stop(actor: Actor, arguments: Arguments) -> Any:
        return desk.reindexing.stop()

    def reindex_progress(peer: Peer, arguments: Arguments) -> Any:
        # Asked every half second by whoever waits for the run that an audit record names.
        desk.auditor.identify(peer, arguments)
        return desk.reindexing.progress()

    def index_check(actor: Actor, arguments: Arguments) -> Any:
        return desk.index_check.check()

    def retention_plan(actor: Actor, arguments: Arguments) -> Any:
        return desk.retention.plan()

    def retention_run(actor: Actor, arguments: Arguments) -> Any:
        return desk.retention.start(actor)

    def retention_progress(peer: Peer, arguments: Arguments) -> Any:
        desk.auditor.identify(peer, arguments)
        return desk.retention.progress()

    def log_in(peer: Peer, arguments: Arguments) -> Any:
        name = str(arguments.get("name", ""))
        try:
            token, operator = desk.operators.log_in(name, str(arguments.get("password", "")))
        except OperatorError as error:
            desk.auditor.record(Actor(name[:64], "none"), "operator_log_in_refused", {"why": error.code})
            raise
        desk.auditor.record(Actor(operator.name, operator.role), "operator_logged_in", {})
        return {"token": token, "name": operator.name, "role": operator.role}

    def log_out(peer: Peer, arguments: Arguments) -> Any:
        actor = desk.auditor.identify(peer, arguments)
        desk.auditor.record(actor, "operator_logged_out", {})
        desk.operators.log_out(str(arguments.get("token", "")))
        return {}

    def set_up(peer: Peer, arguments: Arguments) -> Any:
        name = str(arguments.get("name", ""))
        desk.auditor.record(Actor(name[:64], "set-up link"), "operator_set_up", {"name": name[:64]})
        operator = desk.operators.set_up(str(arguments.get("secret", "")), name, str(arguments.get("password", "")))
        return {"name": operator.name, "role": operator.role}

    def who_am_i(peer: Peer, arguments: Arguments) -> Any:
        actor = desk.auditor.identify(peer, arguments)
        return {"name": actor.name, "role": actor.role, "demo": desk.demo}

    def setup_state(peer: Peer, arguments: Arguments) -> Any:
        return {"needed": desk.operators.setup_secret() is not None, "demo": desk.demo}

    def setup_secret(peer: Peer, arguments: Arguments) -> Any:
        actor = desk.auditor.identify(peer, {})
        secret = desk.operators.setup_secret()
        if secret is not None:
            desk.auditor.record(actor, "setup_link_shown", {})
        return {"secret": secret}

    of_cases = make_case_handlers(desk.cases, desk.auditor, desk.operators, one_person=desk.one_person)
    return of_cases | {
        "who": _audited(desk, "who", who),
        "search": _audited(desk, "search", find),
        "record": _audited(desk, "record", record),
        "package_create": _audited(desk, "package_create", package_create),
        "package_list": _audited(desk, "package_list", package_list),
        "package_fetch": _audited(desk, "package_fetch", package_fetch),
        "status": _audited(desk, "status", status),
        "metrics": metrics,
        "integrity": _audited(desk, "integrity", integrity),
        "verify_last": _audited(desk, "verify_last", verify_last),
        "verify_now": _audited(desk, "verify_now", verify_now),
        "reindex_start": _audited(desk, "reindex_start", reindex_start),
        "reindex_stop": _audited(desk, "reindex_stop", reindex_stop),
        "reindex_progress": reindex_progress,
        "retention_plan": _audited(desk, "retention_plan", retention_plan),
        "retention_run": _audited(desk, "retention_run", retention_run),
        "retention_progress": retention_progress,
        "index_check": _audited(desk, "index_check", index_check),
        "log_in": log_in,
        "log_out": log_out,
        "set_up": set_up,
        "who_am_i": who_am_i,
        "setup_state": setup_state,
        "setup_secret": setup_secret,
    }
