"""The RADIUS process: sockets, threads, counters."""

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from archive.clock import Clock, SystemClock
from archive.spool import CLOSE_AFTER_SECONDS, SpoolWriter
from archive.storage.levels import DEFAULT_RESERVE_BYTES
from authgw.accounts.reader import AccountReader
from authgw.directory.ldap import DirectorySettings, LdapDirectory
from authgw.errors import AuthgwError
from authgw.login_gate import open_login_gate
from authgw.radius.accounting import LISTENER, AccountingServer, start_answers
from authgw.radius.admission import Admission
from authgw.radius.authentication import AuthenticationServer
from authgw.radius.clients import ClientTable, LearnedSigners, RadiusClient
from authgw.radius.server import PacketSocket, run_packet_loop

COUNTERS_FILE = "radius.json"
LEARNED_FILE = "radius_signers.json"
"""Which NASes have signed; kept over restarts, because a restart must not be a chance to strip signatures."""
COUNTERS_INTERVAL_SECONDS = 1.0
SPOOL_STREAM = "radius"


@dataclass(frozen=True)
class RadiusSettings:
    """One RADIUS server. Port 0 takes a free port; counters name the port taken. `session_timeout_seconds`
    goes into each accept. Secrets never appear in its text form."""

    listen_address: str
    clients: tuple[RadiusClient, ...]
    spool_directory: Path
    accounts_path: Path
    run_directory: Path
    auth_port: int = 1812
    acct_port: int = 1813
    directory: DirectorySettings | None = None
    session_timeout_seconds: int | None = None
    close_after_seconds: float = CLOSE_AFTER_SECONDS
    reserve_bytes: int = DEFAULT_RESERVE_BYTES
    counts_when_full: bool = False


def run_radius(settings: RadiusSettings, stop: threading.Event, clock: Clock | None = None) -> None:
    """Serve until `stop`. Raises AuthgwError `port_in_use`, `bad_client` or `weak_secret` before anything is
    served.

    After `stop`: no new packet is read, what is in work is answered, the journal is closed durably.
    """
    clock = clock or SystemClock()
    clients = ClientTable(settings.clients)
    auth_socket = PacketSocket(settings.listen_address, settings.auth_port)
    try:
        acct_socket = PacketSocket(settings.listen_address, settings.acct_port)
    except Exception:
        auth_socket.close()
        raise
    settings.run_directory.mkdir(parents=True, exist_ok=True)
    counters_path = settings.run_directory / COUNTERS_FILE
    # State, not a report: what was learned must outlive the run directory.
    learned_path = settings.accounts_path.parent / LEARNED_FILE
    learned = LearnedSigners(_load_learned(learned_path))
    spool = open_login_gate(
        SpoolWriter(
            settings.spool_directory, SPOOL_STREAM, clock=clock, close_after_seconds=settings.close_after_seconds
        ),
        SPOOL_STREAM,
        clock,
        settings.spool_directory,
        settings.reserve_bytes,
        counts=settings.counts_when_full,
    )
    directory = LdapDirectory(settings.directory, clock) if settings.directory else None
    accounts = AccountReader(settings.accounts_path)
    auth = Admission("auth", auth_socket, clients, learned, clock)
    acct = Admission("acct", acct_socket, clients, learned, clock)
    auth_server = AuthenticationServer(auth, spool, accounts, directory, clock, settings.session_timeout_seconds)
    acct_server = AccountingServer(acct, spool)
    auth_server.start()
    answers = start_answers(acct_server)
    loops = [
        threading.Thread(target=run_packet_loop, args=(auth_socket, auth_server.handle, stop), name="radius-auth"),
        threading.Thread(target=run_packet_loop, args=(acct_socket, acct_server.handle, stop), name="radius-acct"),
    ]
    for loop in loops:
        loop.start()
    try:
        stopping = False
        while not stopping:
            _replace_json(counters_path, _counters(clock, auth, acct, auth_socket, acct_socket))
            stopping = stop.wait(COUNTERS_INTERVAL_SECONDS)
            spool.tick()
            spool.note_dropped(LISTENER, acct_socket.dropped())
            spool.note_dropped("radius-auth", auth_socket.dropped())
            if learned.changed:
                learned.changed = False
                _replace_json(learned_path, {"v": 1, "first_seen_unix_ns": learned.first_seen_unix_ns()})
            if not stopping and not all(loop.is_alive() for loop in loops):
                raise AuthgwError("a RADIUS socket loop has ended by itself", code="radius_loop_ended")
    finally:
        stop.set()
        for loop in loops:
            loop.join()
        auth_server.finish()
        acct_server.finish()
        answers.join()
        spool.close()
        accounts.close()
        if directory:
            directory.close()
        _replace_json(counters_path, _counters(clock, auth, acct, auth_socket, acct_socket))
        auth_socket.close()
        acct_socket.close()


def _counters(
    clock: Clock, auth: Admission, acct: Admission, auth_socket: PacketSocket, acct_socket: PacketSocket
) -> dict[str, object]:
    """`written_unix_ns` is a decimal string; `unknown_sources` maps an address to packets dropped from it."""
    sides = ((auth, auth_socket), (acct, acct_socket))
    names = ("auth", "acct")
    return {
        "v": 1,
        "written_unix_ns": str(clock.unix_ns()),
        "pid": os.getpid(),
        "cpu_seconds": round(time.process_time(), 3),
        **{
            n: {"port": s.port, "kernel_dropped": s.dropped(), **a.counters.snapshot()}
            for n, (a, s) in zip(names, sides, strict=True)
        },
        "unknown_sources": auth.unknown_sources() | acct.unknown_sources(),
    }


def _load_learned(path: Path) -> dict[str, int]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["first_seen_unix_ns"]
        return {str(address): int(seen) for address, seen in stored.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, AttributeError, TypeError):
        path.replace(path.with_suffix(".damaged"))
        return {}


def _replace_json(path: Path, content: dict[str, object]) -> None:
    """Replace `path` in one step, so that a reader never sees half of it. A full disk must not stop the
    service."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
