"""Contents of packages made by hand, with Thai as people write it: one exact, one with several long names, one with
losses."""

from dataclasses import replace
from typing import Any

from archive.addresses import parse_address
from archive.package.content import (
    CITED,
    CitedRecord,
    IndexRow,
    LogFacts,
    OutsideTime,
    PackageContent,
    PackageFacts,
    Place,
    Surroundings,
)
from archive.time_text import format_iso
from archive.unit_proof import UnitProof

NS = 1_000_000_000
AT = 1_795_136_472 * NS + 410_000_000
ZONE = "Asia/Bangkok"
ORIGIN = "phayan.example/ban-nam-pu"
OFFICE = "โรงเรียนบ้านน้ำปู่ สำนักงานเขตพื้นที่การศึกษาประถมศึกษาญี่ปุ่นฐานุกูล"
TITLE = "ที่ปรึกษากำลังดูแลน้ำดื่มของปู่และผู้ใหญ่บ้านที่อำเภอญี่งอ"
LONG_NAMES = (
    "นางสาวฐานุตรา ญี่ปุ่นกุลชัยวัฒนาศิริพงษ์ไพบูลย์ทรัพย์เจริญยิ่ง ณ อยุธยา",
    "ว่าที่ร้อยตรีหญิงกฤษฎิ์ฐิฏิ์ ปู่น้ำทิพย์สุวรรณกิตติ์วุฒิไกรเกรียงศักดิ์สิทธิ์",
    "Mr. Christopher-Alexander Wolfeschlegelsteinhausenbergerdorff (ที่ปรึกษาโครงการ)",
)


def iso(seconds: float = 0) -> str:
    return format_iso(AT + int(seconds * NS), ZONE)


def step(name: str, value: str, leaf: int | None, certainty: str = "exact", why: str = "as reported") -> dict[str, Any]:
    return {
        "step": name, "value": value, "certainty": certainty, "log": ORIGIN if leaf is not None else "",
        "leaf_index": leaf, "row": 0 if leaf is not None else None, "carried_log": None, "carried_leaf_index": None,
        "carried_row": None, "from": iso(-60), "to": iso(3600), "why": why,
    }  # fmt: skip


def candidate(person: str | None, account: str, leaf: int, certainty: str = "exact") -> dict[str, Any]:
    mapped = "start and end of the translation are recorded"
    return {
        "person": person, "account": account, "device": "02:00:00:00:00:01", "certainty": certainty, "route": None,
        "steps": [
            step("public_address", "203.0.113.5:40000", leaf, certainty, mapped),
            step("inside_address", "10.0.0.7:5000", leaf, "exact", "named by the translation"),
            step("session", f"p-{account}", leaf + 1, "exact", "log-in and log-out enclose the interval"),
            step("device", "02:00:00:00:00:01", leaf + 1),
            step("account", account, leaf + 1, "exact", "the account that logged in"),
            step("person", person or "", leaf + 2 if person else None, "exact" if person else "cannot_know",
                 "as recorded for the account at that time" if person
                 else "no identity is recorded for this account at that time"),
        ],
    }  # fmt: skip


def records_of(candidates: list[dict[str, Any]]) -> list[CitedRecord]:
    found = []
    for one in candidates:
        leaf = one["steps"][0]["leaf_index"]
        nat = {
            "time": AT - 60 * NS - 250_000_000, "outside_address": parse_address("203.0.113.5"),
            "outside_port_low": 40_000, "outside_port_high": 40_000, "inside_address": parse_address("10.0.0.7"),
            "inside_port": 5000, "event": "open", "kind": "session", "quality": "exact", "protocol": 6,
        }  # fmt: skip
        session = {
            "time": AT - 600 * NS, "event": "open", "kind": "portal", "session_id": f"p-{one['account']}",
            "account": one["account"], "station": "02:00:00:00:00:01", "address": parse_address("10.0.0.7"),
            "details": '{"source": "directory"}', "quality": "exact",
        }  # fmt: skip
        found.append(record(leaf, "syslog/udp-5514", [IndexRow("nat", 0, nat)]))
        found.append(record(leaf + 1, "session", [IndexRow("sessions", 0, session)]))
        if one["person"]:
            details = (
                '{"identified_how": "บัตรประจำตัวประชาชนต่อหน้าที่ปรึกษา", "identified_by": "ครูญี่ปุ่น ฐานุกูล", '
                '"identified_when": "2026-05-18"}'
            )
            identity = {
                "time": AT - 86_400 * NS, "event": "account_created", "account": one["account"],
                "person": one["person"], "actor": "malee", "details": details,
            }  # fmt: skip
            found.append(record(leaf + 2, "identity", [IndexRow("identity", 0, identity)]))
    return found


def record(leaf: int, listener: str, rows: list[IndexRow]) -> CitedRecord:
    unit = UnitProof(leaf, 0, 0, 0, 0, 1, leaf + 5, bytes(16), b"payload", ())
    return CitedRecord(
        Place(1, leaf, 0), ORIGIN, CITED, AT - 59 * NS, parse_address("10.0.0.1"), 514, "udp", listener, False, 7,
        [unit], rows,
    )  # fmt: skip


def content(
    candidates: list[dict[str, Any]],
    certainty: str,
    losses: list[dict[str, Any]] | None = None,
    *,
    anchored: bool = True,
) -> PackageContent:
    sentences = {
        "exact": ("ระเบียนชี้ไปยังผู้ถือครองเพียงรายเดียว", "The records lead to one holder."),
        "several": ("มีผู้ถือครองที่เข้าข่ายมากกว่าหนึ่งราย", "More than one holder fits."),
        "not_received": ("มีข้อมูลสูญหายที่กระทบช่วงเวลานี้", "A recorded loss touches the interval."),
    }[certainty]
    answer = {
        "format": 1, "log": ORIGIN, "certainty": certainty, "why": "",
        "sentence": {"th": sentences[0], "en": sentences[1]},
        "asked": {
            "address": "203.0.113.5", "port": 40_000, "protocol": "tcp", "to": "198.51.100.80:443", "at": iso(),
            "from": iso(-60), "until": iso(60), "tolerance_seconds": 60, "realm": None,
        },
        "uplink": {"name": "ทางออกหลัก", "kind": "fixed", "is_ours": True}, "carrier": None, "indexed_until": iso(7200),
        "losses": losses or [], "candidates": candidates,
    }  # fmt: skip
    records = records_of(candidates)
    before = [OutsideTime(1, "witness", "witness.example", AT - 7200 * NS, 90, 91)] if anchored else []
    after = [OutsideTime(1, "timestamp_authority", "tsa-one", AT + 1800 * NS, 400)] if anchored else []
    intervals = {f"1-{one.place.leaf}": (AT - 62 * NS, AT - 55 * NS) for one in records}
    sample = {
        "unix_ns": str(AT - 300 * NS), "monotonic_ns": "1", "synchronised": True, "offset_ns": 1_250_000,
        "dispersion_ns": 3_000_000, "source": "time.example",
    }  # fmt: skip
    return PackageContent(
        facts=facts(),
        answer=answer,
        records=records,
        logs=[LogFacts(1, ORIGIN, 512, ("witness.example",) if anchored else ())],
        zones={},
        losses=losses or [],
        clock=[{"log": 1, "leaf": 95, "kind": "clock", "boot_id": "b", "step": None, "samples": [sample]}],
        outside_before=before,
        outside_after=after,
        certificate_sha256="ab" * 32,
        versions={"software": "phayan 1"},
        withheld={"records_of_cited_chunks": 4117, "units_of_cited_datagrams": 28},
        surroundings=Surroundings(
            intervals,
            outages=[{"log": 1, "leaf": 80, "from": iso(-50), "until": iso(-40)}] if losses else [],
            silent_sources=[{"source": "10.0.0.9", "listener": "syslog/udp-5514", "from": iso(-90), "until": iso(90)}]
            if losses
            else [],
            purged_days=[{"day": "20260801", "log": 1, "leaf": 12}],
        ),
    )


def facts() -> PackageFacts:
    case = {
        "id": "case-2026-0001", "title": TITLE, "letter": "ตช 0039.52/ป 1234", "officer": "พ.ต.ท. ญี่ปุ่น กำลังฐานุ",
        "unit": "กองบังคับการปราบปรามการกระทำความผิดเกี่ยวกับอาชญากรรมทางเทคโนโลยี", "received": iso(86_400),
        "ground": {"code": "order", "en": "request or order", "th": "คำขอ", "allows_package": True},
        "legal_items": [{"number": 2, "en": "traffic data", "th": "ข้อมูลจราจร"}, {"number": 7, "en": "x", "th": "x"}],
        "court_order": "ศาลอาญา ๑๒๓/๒๕๖๙", "override_reason": "",
        "approved": iso(90_000), "approved_by": "ผอ.น้ำทิพย์ ปู่ทอง",
        "one_person": False, "packages": [], "downloads": [],
        "hand_overs": [{"time": iso(95_000), "actor": "malee", "values": {"to": "พ.ต.ท. ญี่ปุ่น", "how": "ด้วยมือ"}}],
    }  # fmt: skip
    return PackageFacts(
        "2026-11-20-abcdef", TITLE, "หนังสือที่ ตช 0039.52/ป 1234", "malee", iso(100_000), OFFICE, "phayan 1",
        AT + 100_000 * NS, ZONE, case,
    )  # fmt: skip


def exact() -> PackageContent:
    return content([candidate("สมชาย ใจดี", "somchai", 100)], "exact")


def several() -> PackageContent:
    accounts = ("=cmd|'/c calc'!A1", "0071234", "1100400123456789012")
    made = [
        candidate(person, account, 100 + 10 * number, "several")
        for number, (person, account) in enumerate(zip(LONG_NAMES, accounts, strict=True))
    ]
    return content(made, "several")


def not_received() -> PackageContent:
    losses = [
        {
            "from": iso(-30 + n), "until": iso(n), "listener": "syslog/udp-5514", "count": 12 * n or None,
            "how": how, "log": ORIGIN, "leaf_index": 100, "row": 0,
        }
        for n, how in enumerate(("writer_restart", "kernel_socket_drops", "sequence_gap"))
    ]  # fmt: skip
    made = content([candidate(None, "somying", 100, "not_received")], "not_received", losses, anchored=False)
    return replace(made, clock=[])
