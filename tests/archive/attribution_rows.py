"""Hand-made `nat`, `sessions` and `identity` rows, and the pure answer over them. Moments are seconds after T0."""

from itertools import count
from typing import Any

from archive.addresses import parse_address
from archive.attribution.answer import answer
from archive.attribution.candidate import Answer
from archive.attribution.folding import Row
from archive.attribution.intervals import fold_mappings, fold_sessions
from archive.attribution.question import Known, Question

NS = 1_000_000_000
T0 = 1_795_000_000
NOW = 100_000
OUTSIDE, INSIDE, OTHER_INSIDE = "203.0.113.5", "10.0.0.7", "10.0.0.8"
SERVER, OTHER_SERVER = "198.51.100.80", "198.51.100.81"
NAS = "192.0.2.1"
PORT = 40_000
_leaf = count(1)


def moment_ns(seconds: float) -> int:
    return T0 * NS + int(seconds * NS)


def _record(seconds: float, event: str, realm: str) -> Row:
    return {
        "log": "phayan.test/rows", "leaf_index": next(_leaf), "row": 0, "realm": realm,
        "event": event, "time_unix_ns": moment_ns(seconds),
    }  # fmt: skip


def nat(seconds: float, event: str, inside: str = INSIDE, **given: Any) -> Row:
    """One translation event; `port` sets both ends of the outside range, `to` the destination (None: not carried)."""
    port = given.pop("port", PORT)
    to = given.pop("to", SERVER)
    row = {
        **_record(seconds, event, given.pop("realm", "main")),
        "sender_address": parse_address("192.0.2.254"),
        "outside_address": parse_address(given.pop("outside", OUTSIDE)),
        "outside_port_low": port[0] if isinstance(port, tuple) else port,
        "outside_port_high": port[1] if isinstance(port, tuple) else port,
        "protocol": 6,
        "destination_address": parse_address(to) if to else None,
        "destination_port": 443 if to else None,
        "inside_address": parse_address(inside),
        "inside_port": 5000,
        "kind": "session",
        "quality": "exact",
        "mapping_id": "",
    }
    assert given.keys() <= row.keys()
    return {**row, **given}


def session(seconds: float, event: str, account: str = "somchai", address: str | None = INSIDE, **given: Any) -> Row:
    """One session event of the NAS; address None: not carried."""
    row = {
        **_record(seconds, event, given.pop("realm", "main")),
        "address": parse_address(address) if address else bytes(16),
        "kind": "radius",
        "session_id": f"s-{account}",
        "account": account,
        "station": "a4:bb:cc:dd:ee:ff",
        "nas_address": parse_address(given.pop("nas", NAS)),
        "nas_identifier": "ap-1",
        "login_id": "",
        "ended_why": "User-Request" if event == "close" else "",
        "quality": "exact",
        "dedup_key": "",
        "details": "{}",
        "details_object": {},
    }
    assert given.keys() <= row.keys()
    return {**row, **given}


def nas_restart(seconds: float, event: str = "nas_on", **given: Any) -> Row:
    return session(seconds, event, "", None, session_id="", station="", **given)


def identity(seconds: float, person: str, account: str = "somchai") -> Row:
    return {**_record(seconds, "account_changed", "main"), "account": account, "person": person}


def loss(how: str = "kernel_socket_drops") -> Row:
    return {"how": how, "listener": "syslog/udp-5514", "start_unix_ns": moment_ns(0), "end_unix_ns": moment_ns(1)}


def ask(rows: list[Row], *, at: float = 0, indexed_until: float = NOW, **given: Any) -> Answer:
    """The answer over rows of any table. Question: OUTSIDE and PORT, 10 s around T0, unless `given` says otherwise."""
    asked = {"address": OUTSIDE, "port": PORT, "tolerance_seconds": 10.0}
    names = ("address", "port", "protocol", "to_address", "to_port", "tolerance_seconds", "realm")
    asked |= {name: given.pop(name) for name in names if name in given}
    for name in ("address", "to_address"):
        if isinstance(asked.get(name), str):
            asked[name] = parse_address(asked[name])
    mappings = fold_mappings(r for r in rows if "outside_address" in r)
    sessions = fold_sessions(r for r in rows if "session_id" in r)
    known = Known(
        indexed_until_ns=moment_ns(indexed_until),
        mappings=mappings,
        sessions=sessions,
        identities=[r for r in rows if "person" in r],
        reports_outside=given.pop("reports_outside", bool(mappings)),
        knows_inside=given.pop("knows_inside", bool(sessions)),
        **given,
    )
    return answer(Question(at_unix_ns=moment_ns(at), **asked), known)


MAPPED = (nat(-100, "open"), nat(100, "close"))
LOGGED_IN = (session(-1000, "open"), session(1000, "close"))
NAMED = (identity(-9000, "สมชาย ใจดี"),)
CHAIN = [*MAPPED, *LOGGED_IN, *NAMED]
"""One translation, one session around it, one person."""
