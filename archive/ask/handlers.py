"""Requests of the ask service. Each identifies the actor, writes the audit record, then answers (docs/CONTRACT.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.ask.alarm_book import AlarmBook
from archive.ask.audit import Actor, Auditor
from archive.ask.coverage import Coverage, measure_coverage
from archive.ask.operators import OperatorError, OperatorStore
from archive.ask.packages import PackageDesk
from archive.ask.record import read_record
from archive.ask.search import DEFAULT_LIMIT, MAX_LIMIT, search
from archive.ask.status import StatusReader
from archive.ask.who import answer_to_json, gather, parse_question
from archive.attribution.answer import answer
from archive.clock import Clock
from archive.errors import AskError
from archive.index.engine import Engine
from archive.index.indexer import Indexer
from archive.local_rpc import Handler, Peer, call_local
from archive.origin import ArchivePaths
from archive.query.parse import parse_query
from archive.time_text import parse_time

DAY_NS = 86_400 * 1_000_000_000
DEFAULT_SINCE = "-1d"
VERIFY_TIMEOUT_SECONDS = 3600.0

Arguments = dict[str, Any]


@dataclass
class Desk:
    """What the handlers share."""

    paths: ArchivePaths
    engine: Engine
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
    packages: PackageDesk

    def coverage(self) -> Coverage:
        now = self.clock.unix_ns()
        return measure_coverage(
            self.engine,
            self.paths.spool,
            self.indexer.next_leaf,
            self.indexer.sealed_size,
            now,
            self.retention_days * DAY_NS,
        )


def _audited(desk: Desk, action: str, answer_it: Callable[[Actor, Arguments], Any]) -> Handler:
    def handle(peer: Peer, arguments: Arguments) -> Any:
        actor = desk.auditor.identify(peer, arguments)
        desk.auditor.record(actor, action, arguments, str(arguments.get("reason", "")))
        return answer_it(actor, arguments)

    return handle


def make_handlers(desk: Desk) -> dict[str, Handler]:
    """Every request the service answers."""

    def who(actor: Actor, arguments: Arguments) -> Any:
        question = parse_question(arguments, desk.clock.unix_ns(), desk.zone)
        coverage = desk.coverage()
        known = gather(desk.engine, coverage, question)
        return answer_to_json(question, answer(question, known), coverage, known.losses, desk.zone)

    def package_create(actor: Actor, arguments: Arguments) -> Any:
        # Parsed before the job begins, so that a bad question is refused at once.
        parse_question(arguments, desk.clock.unix_ns(), desk.zone)
        return desk.packages.create(
            actor,
            lambda: who(actor, arguments),
            str(arguments.get("title", ""))[:200],
            str(arguments.get("reason", ""))[:500],
        )

    def package_list(actor: Actor, arguments: Arguments) -> Any:
        return desk.packages.list()

    def package_fetch(actor: Actor, arguments: Arguments) -> Any:
        return desk.packages.fetch(str(arguments.get("id", "")), int(arguments.get("offset") or 0))

    def find(actor: Actor, arguments: Arguments) -> Any:
        now = desk.clock.unix_ns()
        since = parse_time(str(arguments.get("since") or DEFAULT_SINCE), now_unix_ns=now, zone=desk.zone)
        until = parse_time(str(arguments.get("until") or "now"), now_unix_ns=now, zone=desk.zone)
        limit = int(arguments.get("limit") or DEFAULT_LIMIT)
        if not 1 <= limit <= MAX_LIMIT:
            raise AskError(f"limit {limit}; valid are 1 to {MAX_LIMIT}", code="bad_question")
        if since > until:
            raise AskError("--since lies after --until", code="bad_question")
        coverage = desk.coverage()
        result = search(desk.engine, parse_query(str(arguments.get("query", ""))), since, until, limit, desk.zone)
        return {**result, "indexed_until_unix_ns": coverage.indexed_until_ns}

    def record(actor: Actor, arguments: Arguments) -> Any:
        result = read_record(desk.engine, desk.paths, int(arguments["leaf_index"]), int(arguments["row"]), desk.zone)
        if not str(arguments.get("reason", "")).strip():
            # Raw bytes are shown to people only with a reason, which the audit record above then holds.
            result["payload_base64"] = None
        return result

    def status(actor: Actor, arguments: Arguments) -> Any:
        return {**desk.status.read(desk.alarms.standing(desk.zone)), "demo": desk.demo}

    def verify_last(actor: Actor, arguments: Arguments) -> Any:
        return desk.status.last_verification()

    def verify_now(actor: Actor, arguments: Arguments) -> Any:
        return call_local(desk.timers_socket, "verify_now", timeout_seconds=VERIFY_TIMEOUT_SECONDS)

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
        desk.auditor.identify(peer, {})
        return {"secret": desk.operators.setup_secret()}

    return {
        "who": _audited(desk, "who", who),
        "search": _audited(desk, "search", find),
        "record": _audited(desk, "record", record),
        "package_create": _audited(desk, "package_create", package_create),
        "package_list": _audited(desk, "package_list", package_list),
        "package_fetch": _audited(desk, "package_fetch", package_fetch),
        "status": _audited(desk, "status", status),
        "verify_last": _audited(desk, "verify_last", verify_last),
        "verify_now": _audited(desk, "verify_now", verify_now),
        "log_in": log_in,
        "log_out": log_out,
        "set_up": set_up,
        "who_am_i": who_am_i,
        "setup_state": setup_state,
        "setup_secret": setup_secret,
    }
