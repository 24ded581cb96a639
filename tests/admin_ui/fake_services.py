"""An ask service and an account service that answer from a script, over real sockets."""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.errors import AskError
from archive.local_rpc import LocalServer, Peer

TOKEN = "t" * 43
AUDITOR_TOKEN = "a" * 43
MOMENT = "2026-11-20T08:01:12.000000000+07:00"
PASSWORD = "correct horse battery"
SECRET = "one-time-secret"


class Refusal(AskError):
    """A refusal with a Thai sentence of its own."""

    def __init__(self, message: str, message_th: str, code: str) -> None:
        super().__init__(message, code=code)
        self.message_th = message_th


def make_proof() -> dict[str, Any]:
    """A real two-leaf tree (RFC 9162 section 2.1)."""
    leaf, other = json.dumps({"kind": "data", "stream": "collector"}), b"other"
    hashes = [hashlib.sha256(b"\0" + content).digest() for content in (leaf.encode(), other)]
    root = hashlib.sha256(b"\1" + hashes[0] + hashes[1]).digest()
    return {
        "leaf": leaf,
        "leaf_index": 0,
        "tree_size": 2,
        "proof": [base64.b64encode(hashes[1]).decode()],
        "checkpoint": f"test.example/log\n2\n{base64.b64encode(root).decode()}\n\n— test sig\n",
    }


def row(number: int, text: str = "a line") -> dict[str, Any]:
    return {
        "table": "logs",
        "time": MOMENT,
        "received_unix_ns": 1_795_136_472_000_000_000 - number,
        "log": "test.example/log",
        "leaf_index": number,
        "row": 0,
        "summary": {"source": "10.0.0.7:4000", "destination": "198.51.100.7:443", "what": text, "sender": "10.0.0.1"},
        "fields": {"message": text, "hostname": "gw1", "severity": 4},
    }


def who_answer(text: str = "somchai", count: int = 1) -> dict[str, Any]:
    steps = [
        ("public_address", "203.0.113.1:50000", "assumed", "no end of the translation is recorded yet"),
        ("inside_address", "10.0.0.7:4000", "exact", "named by the translation"),
        ("session", text, "exact", "log-in and log-out enclose the interval"),
        ("device", "aa:bb:cc:dd:ee:ff", "exact", "as reported"),
        ("account", text, "exact", "the account that logged in"),
        ("person", text, "exact", "as recorded for the account at that time"),
    ]
    candidate = {
        "person": text,
        "account": text,
        "device": "aa:bb:cc:dd:ee:ff",
        "certainty": "assumed",
        "steps": [
            {
                "step": step,
                "value": value,
                "certainty": certainty,
                "log": "test.example/log",
                "leaf_index": 0,
                "row": 0,
                "from": MOMENT,
                "to": None,
                "why": why,
            }
            for step, value, certainty, why in steps
        ],
    }
    return {
        "format": 1,
        "asked": {
            "address": "203.0.113.1",
            "port": 50000,
            "protocol": 6,
            "to": None,
            "at": MOMENT,
            "from": "2026-11-20T08:00:12.000000000+07:00",
            "until": "2026-11-20T08:02:12.000000000+07:00",
            "tolerance_seconds": 60,
            "realm": None,
        },
        "certainty": "several" if count > 1 else "assumed",
        "sentence": {"en": "English sentence.", "th": "ประโยคไทย"},
        "why": "",
        "indexed_until": MOMENT,
        "losses": [
            {
                "from": MOMENT,
                "until": MOMENT,
                "listener": text,
                "count": 12,
                "how": "kernel_socket_drops",
                "leaf_index": 1,
                "row": 2,
            }
        ],
        "candidates": [candidate] * count,
    }


@dataclass
class FakeAsk:
    """Records every request; `text` goes into every value a page could show."""

    demo: bool = False
    needed: bool = False
    text: str = "plain"
    alarms: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=lambda: [row(1), row(2)])
    more: bool = False
    last_verification: dict[str, Any] | None = None
    failure: AskError | None = None
    without_packages: bool = False
    has_cases: bool = True
    one_person: bool = False
    candidates: int = 1
    payload: bytes = b"<134>hello"
    package_states: list[str] = field(default_factory=lambda: ["ready"])
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.requests if name == op]

    def handlers(self) -> dict[str, Any]:
        names = [name.removeprefix("do_") for name in dir(self) if name.startswith("do_")]
        if self.without_packages:
            names = [name for name in names if not name.startswith("package_")]
        return {name: self._handler(name) for name in names}

    def _handler(self, name: str) -> Any:
        def handle(peer: Peer, arguments: dict[str, Any]) -> Any:
            self.requests.append((name, arguments))
            if name not in ("log_in", "set_up", "setup_state", "metrics"):
                # The real service refuses exactly so when the pages forget the token.
                assert arguments.get("from_pages") is True
                if arguments.get("token") not in (TOKEN, AUDITOR_TOKEN):
                    raise Refusal("Please sign in.", "โปรดเข้าสู่ระบบ", "not_signed_in")
                if self.failure is not None and name not in ("who_am_i", "status"):
                    raise self.failure
            return getattr(self, f"do_{name}")(arguments)

        return handle

    def do_who_am_i(self, arguments: dict[str, Any]) -> Any:
        role = "auditor" if arguments["token"] == AUDITOR_TOKEN else "administrator"
        return {"name": self.text if self.text != "plain" else "nok", "role": role, "demo": self.demo}

    def do_setup_state(self, arguments: dict[str, Any]) -> Any:
        return {"needed": self.needed, "demo": self.demo}

    def do_set_up(self, arguments: dict[str, Any]) -> Any:
        if not self.needed or arguments["secret"] != SECRET:
            raise Refusal("This set-up link is not valid.", "ลิงก์ตั้งค่านี้ใช้ไม่ได้", "setup_link")
        self.needed = False
        return {"name": arguments["name"], "role": "administrator"}

    def do_log_in(self, arguments: dict[str, Any]) -> Any:
        if arguments["password"] != PASSWORD:
            raise Refusal("The name or password is not right.", "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง", "wrong_password")
        return {"token": TOKEN, "name": arguments["name"], "role": "administrator"}

    def do_log_out(self, arguments: dict[str, Any]) -> Any:
        return {}

    def do_status(self, arguments: dict[str, Any]) -> Any:
        return {
            "format": 1,
            "now": MOMENT,
            "log": self.text,
            "tree_size": 2,
            "streams": {self.text: {"received": 30, "sealed": 20, "indexed": 10}},
            "received": 1234567,
            "sealed": 20,
            "indexed": 10,
            "seal_lag_seconds": 3.5,
            "index_lag_seconds": 0.5,
            "index_lag_leaves": 1,
            "torn_bytes": 7,
            "kernel_drops": 9,
            "losses": who_answer(self.text)["losses"],
            "listeners": {self.text: {"received_records": 41, "refused_records": 300, "refused_connections": 45}},
            "loss_sums": [
                {
                    "listener": self.text,
                    "how": "sequence_gap",
                    "losses": 9,
                    "count": 99,
                    "losses_24h": 2,
                    "count_24h": 77,
                },
                {
                    "listener": "old",
                    "how": "udp_memory",
                    "losses": 9,
                    "count": None,
                    "losses_24h": 0,
                    "count_24h": None,
                },
            ],
            "exporters": [
                {
                    "realm": "main",
                    "address": self.text,
                    "port": 2055,
                    "version": "ipfix",
                    "observation_domain": 7,
                    "name": self.text,
                    "flows": 7654321,
                    "last": MOMENT,
                    "answers_ports": answers,
                    "code": "no_nat_fields",
                    "text": {"en": f"{self.text} {answers}", "th": f"{self.text} ไทย {answers}"},
                }
                for answers in ("yes", "no", "only_at_end")
            ],
            "warnings": [self.text],
            "silent_sources": {self.text: 1},
            "alarms": self.alarms,
            "processes": {self.text: {"age_seconds": 1.0}, "radius": {"age_seconds": 99.0}},
            "disk": {"total_bytes": 10**12, "free_bytes": 5 * 10**11},
            "demo": self.demo,
        }

    def do_metrics(self, arguments: dict[str, Any]) -> Any:
        numbers = self.do_status(arguments)
        return {**numbers, "alarms": {"verify_defect": 1}, "processes": {"radius": 99.0}}

    def do_search(self, arguments: dict[str, Any]) -> Any:
        rows = [{**r, "summary": {**r["summary"], "what": self.text}} for r in self.rows]
        return {
            "format": 1,
            "since": "2026-11-19T08:01:12.000000000+07:00",
            "until": MOMENT,
            "more": self.more,
            "rows": rows,
            "log": row(1)["log"],
            "indexed_until_unix_ns": 1_795_136_472_000_000_000,
        }

    def do_who(self, arguments: dict[str, Any]) -> Any:
        return who_answer(self.text, self.candidates)

    def do_record(self, arguments: dict[str, Any]) -> Any:
        shown = base64.b64encode(self.payload).decode() if arguments.get("reason") else None
        return {
            "format": 1,
            "log": self.text,
            "leaf_index": arguments["leaf_index"],
            "row": arguments["row"],
            "received": MOMENT,
            "source_address": "10.0.0.1",
            "source_port": 514,
            "transport": self.text,
            "listener": self.text,
            "truncated": False,
            "payload_base64": shown,
            "rows": [{**row(0), "fields": {"message": self.text, "count": 0}}],
            "chunk_sha256_matches_leaf": True,
            "proof": make_proof(),
            "tlog_proof": "c2sp.org/tlog-proof@v1\nindex 0\n",
        }

    def do_integrity(self, arguments: dict[str, Any]) -> Any:
        anchor = {"kind": "witness", "name": self.text, "age_seconds": 5.0, "queue": 0, "interval_seconds": 0}
        return {
            "format": 1,
            "log": self.text,
            "tree_size": 7,
            "checkpoint": f"{self.text}\n7\nAAAA\n",
            "signing_refused": None,
            "leaves_waiting_for_records_root": 0,
            "anchors": [
                {**anchor, "last": MOMENT, "tree_size": 6, "problem": None},
                {**anchor, "kind": "timestamp_authority", "last": None, "tree_size": 0, "problem": self.text},
            ],
            "clock": {"synchronised": True, "offset_ns": -1_500_000, "dispersion_ns": 0, "source": self.text},
            "verifications": {},
        }

    def do_verify_last(self, arguments: dict[str, Any]) -> Any:
        return self.last_verification

    def do_verify_now(self, arguments: dict[str, Any]) -> Any:
        return {"verdict": "intact", "exit_code": 0, "tree_size": 2, "freshness": "unproven", "defects": 0}

    def do_package_list(self, arguments: dict[str, Any]) -> Any:
        return {
            "packages": [
                {
                    "id": f"p{number}",
                    "created": MOMENT,
                    "state": state,
                    "progress": 0.4,
                    "message": self.text,
                    "question": {"address": "203.0.113.1", "port": 50000},
                    "certainty": "exact",
                    "size_bytes": 12_345,
                    "sha256": self.text,
                    "title": self.text,
                }
                for number, state in enumerate(self.package_states)
            ]
        }

    def do_case_list(self, arguments: dict[str, Any]) -> Any:
        def case(number: int, allows: bool) -> dict[str, Any]:
            ground = {"code": "order", "en": self.text, "th": self.text, "allows_package": allows}
            return {"id": f"case-2026-000{number}", "letter": "12/2569", "title": self.text, "ground": ground}

        cases = [case(2, allows=True), case(1, allows=False)] if self.has_cases else []
        return {"format": 1, "one_person": self.one_person, "cases": cases}

    def do_package_create(self, arguments: dict[str, Any]) -> Any:
        return {"id": "p9"}

    def do_package_fetch(self, arguments: dict[str, Any]) -> Any:
        content = bytes(range(256)) * 4
        piece = content[arguments["offset"] : arguments["offset"] + 300]
        return {
            "data_base64": base64.b64encode(piece).decode(),
            "total_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "name": '../../evil".tar\r\nX: y',
        }


@dataclass
class FakeAccounts:
    """Accounts in a list."""

    text: str = "plain"
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def handlers(self) -> dict[str, Any]:
        return {name: self._handler(name) for name in ("user_list", "user_add", "user_disable", "user_set_password")}

    def _handler(self, name: str) -> Any:
        def handle(peer: Peer, arguments: dict[str, Any]) -> Any:
            self.requests.append((name, arguments))
            if name == "user_add" and arguments["name"] == "taken":
                raise Refusal("There is already an account named taken.", "มีบัญชีชื่อ taken อยู่แล้ว", "account_exists")
            if name != "user_list":
                return {}
            return [
                {
                    "name": "somchai",
                    "account": "somchai",
                    "person": self.text if self.text != "plain" else "สมชาย ใจดี",
                    "identified_how": self.text,
                    "identified_by": self.text,
                    "identified_when": "2026-11-20",
                    "disabled": False,
                    "has_password": False,
                },
                {
                    "name": "malee",
                    "account": "malee",
                    "person": "มาลี รักเรียน",
                    "identified_how": "card",
                    "identified_by": "nok",
                    "identified_when": "2026-11-19",
                    "disabled": True,
                    "has_password": True,
                },
            ]

        return handle


def serve(path: Path, service: Any) -> LocalServer:
    server = LocalServer(path, service.handlers())
    # Polled often, so that a test ends at once.
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
