"""The answer as files: CSV with a dictionary, and a text in Thai and English with what the records cannot
show. Pure."""

import csv
import io
import json
from typing import Any

from archive.package.content import PackageContent, PackageFacts
from archive.package.names import raw_name

CSV_COLUMNS = {
    "candidate": ("Number of the candidate, from 1", "ลำดับผู้ที่เข้าข่าย"),
    "person": ("Name recorded for the account at that time", "ชื่อบุคคลที่บันทึกไว้กับบัญชีในเวลานั้น"),
    "account": ("Account that was logged in", "บัญชีที่เข้าระบบ"),
    "step": ("Link of the chain", "ขั้นของการสืบทอด"),
    "value": ("What this step found", "สิ่งที่พบในขั้นนี้"),
    "certainty": ("How sure this step is", "ระดับความแน่ชัดของขั้นนี้"),
    "why": ("Reason for that certainty", "เหตุผลของระดับความแน่ชัด"),
    "from": ("Start, ISO 8601; empty: not recorded", "เวลาเริ่ม (ISO 8601) ว่างคือไม่ได้บันทึก"),
    "to": ("End, ISO 8601; empty: not recorded", "เวลาสิ้นสุด (ISO 8601) ว่างคือไม่ได้บันทึก"),
    "log": ("Log that holds the record", "บันทึกที่เก็บระเบียน"),
    "leaf_index": ("Leaf of the log", "ลำดับใบในบันทึก"),
    "row": ("Record within the leaf's chunk, from 0", "ลำดับระเบียนในก้อนข้อมูล นับจาก 0"),
    "raw_file": ("The record's bytes as received", "ไบต์ของระเบียนตามที่ได้รับ"),
}

LIMITS_EN = (
    "These records show which address, device and account were in use. They do not show who held a device, what was "
    "said or read, what happened inside a VPN or relay, traffic through other gateways, or what a carrier's own "
    "translation did. "
    "Absence of a record is not proof of absence. No line here says that a person did something."
)
LIMITS_TH = (
    "ระเบียนเหล่านี้แสดงว่าที่อยู่ อุปกรณ์ และบัญชีใดถูกใช้งาน แต่ไม่แสดงว่าใครถืออุปกรณ์ ไม่แสดงเนื้อหา ไม่แสดงสิ่งที่เกิดใน VPN หรือตัวกลาง "
    "ไม่แสดงข้อมูลที่ผ่านเกตเวย์อื่น หรือการแปลงที่อยู่ของผู้ให้บริการเครือข่าย การไม่พบระเบียนมิใช่ข้อพิสูจน์ว่าไม่มีเหตุการณ์ "
    "ไม่มีข้อความใดในที่นี้ระบุว่าบุคคลใดเป็นผู้กระทำ"
)
NO_ANCHOR_EN = (
    "Outside anchors: none. An administrator with the key could have rewritten this before it was handed over."
)
NO_ANCHOR_TH = "พยานภายนอก: ไม่มี ผู้ดูแลระบบที่มีกุญแจอาจเขียนข้อมูลใหม่ได้ก่อนส่งมอบ"


def answer_csv(content: PackageContent) -> bytes:
    """One row per step of each candidate; UTF-8 with BOM, as spreadsheets want it."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(CSV_COLUMNS)
    files = {(record.origin, record.place.leaf, record.place.row): raw_name(record) for record in content.records}
    for number, candidate in enumerate(content.answer["candidates"], 1):
        for step in candidate["steps"]:
            cited = step["leaf_index"] is not None
            writer.writerow(
                [
                    number,
                    candidate["person"] or "",
                    candidate["account"] or "",
                    *(step[name] or "" for name in ("step", "value", "certainty", "why", "from", "to", "log")),
                    step["leaf_index"] if cited else "",
                    step["row"] if cited else "",
                    files[step["log"], step["leaf_index"], step["row"]] if cited else "",
                ]
            )
    return b"\xef\xbb\xbf" + sink.getvalue().encode()


def dictionary_csv() -> bytes:
    """What each column of the CSV means."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(["column", "English", "ไทย"])
    writer.writerows([name, english, thai] for name, (english, thai) in CSV_COLUMNS.items())
    return b"\xef\xbb\xbf" + sink.getvalue().encode()


def answer_text(content: PackageContent) -> bytes:
    """The answer for people, Thai first."""
    answer = content.answer
    asked = answer["asked"]
    question = " ".join(
        f"{name}={asked[name]}"
        for name in ("address", "port", "protocol", "to", "at", "realm")
        if asked[name] is not None
    )
    lines = [
        "คำตอบเรื่องผู้ใช้ที่อยู่อินเทอร์เน็ต / Answer about the user of an internet address",
        "",
        f"คำถาม / Question: {question}",
        f"ช่วงเวลาที่พิจารณา / Window: {asked['from']} - {asked['until']}",
        f"ผล / Result: {answer['certainty']}",
        f"  {answer['sentence']['th']}",
        f"  {answer['sentence']['en']}",
    ]
    if answer["why"]:
        lines.append(f"  {answer['why']}")
    for number, candidate in enumerate(answer["candidates"], 1):
        name = candidate["person"] or "(ไม่มีชื่อบันทึกไว้ / no name recorded)"
        lines += ["", f"{number}. {name} - บัญชี / account {candidate['account'] or '-'} - {candidate['certainty']}"]
        for step in candidate["steps"]:
            place = f"leaf {step['leaf_index']} row {step['row']}" if step["leaf_index"] is not None else "no record"
            period = f"{step['from'] or '?'} - {step['to'] or '?'}" if step["from"] or step["to"] else ""
            lines.append(
                f"   {step['step']}: {step['value'] or '-'} [{step['certainty']}] {place} {period} {step['why']}"
            )
    lines += ["", "ข้อมูลสูญหายในช่วงเวลานี้ / Losses in this window:"]
    lines += [
        f"  {loss['from']} - {loss['until']} {loss['listener']} {loss['how']} {loss['count'] or ''}".rstrip()
        for loss in answer["losses"]
    ] or ["  ไม่มี / none recorded"]
    lines += ["", LIMITS_TH, LIMITS_EN, ""]
    if not content.outside_after:
        lines += [NO_ANCHOR_TH, NO_ANCHOR_EN, ""]
    lines += [f"{name}: {value}" for name, value in _fact_lines(content.facts).items()]
    return ("\n".join(lines) + "\n").encode()


def _fact_lines(facts: PackageFacts) -> dict[str, str]:
    case = facts.case
    approver = str(case.get("approver") or facts.maker)
    if case.get("one_person", True):
        approver += " (one-person mode / โหมดผู้ทำคนเดียว)"
    return {
        "ชุดที่ / Package": facts.identifier,
        "สำนวน / Case": str(case.get("id", "")),
        "เรื่อง / Title": facts.title,
        "เหตุ / Reason": facts.reason,
        "ผู้จัดทำ / Made by": facts.maker,
        "ผู้อนุมัติ / Approved by": approver,
        "จัดทำเมื่อ / Made at": facts.made_at,
        "หน่วยงาน / Office": facts.site_name,
        "ซอฟต์แวร์ / Software": facts.software,
        "ข้อมูลที่แนบ / Included": (
            "the cited records alone, each proven under its log's records roots; what stood beside them is withheld / "
            "เฉพาะระเบียนที่อ้างถึง แต่ละระเบียนพิสูจน์ใต้รากของระเบียน ส่วนข้อมูลข้างเคียงไม่เปิดเผย"
        ),
    }


def answer_json(answer: dict[str, Any]) -> bytes:
    """The answer as the appliance gave it."""
    return (json.dumps(answer, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
