"""Can a source answer who had an outside address and port, and if not, why? Decided from what it sent. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Answers(StrEnum):
    """Whether a source can answer a port question."""

    YES = "yes"
    NO = "no"
    AT_END = "only_at_end"


@dataclass(frozen=True)
class Sent:
    """What a source sent in the time looked at; numbers of rows.

    Of flows: `flows`, `with_nat_fields` (a translated address is carried, whatever it says), `translated` (it differs
    from the untranslated one). Of translations: `opens`, `closes`, `updates` of sessions, bindings and blocks, `used`
    (plain flows that show a translation), and `without_port`, those of all of them that do not name the outside port.
    `sampled`: only some packets were looked at.
    """

    flows: int = 0
    with_nat_fields: int = 0
    translated: int = 0
    opens: int = 0
    closes: int = 0
    updates: int = 0
    used: int = 0
    without_port: int = 0
    sampled: bool = False


TEXTS = {
    "nat_events": (
        "It reports each translation when it begins and when it ends.",
        "รายงานการแปลงที่อยู่ทุกครั้งทั้งเมื่อเริ่มและเมื่อสิ้นสุด",
    ),
    "no_closings": (
        "It reports translations when they begin; their ends are inferred.",
        "รายงานการแปลงที่อยู่เมื่อเริ่ม ส่วนเวลาสิ้นสุดเป็นการอนุมาน",
    ),
    "flows_with_ports": (
        "It reports translated ports in flow records, when a connection has ended.",
        "รายงานพอร์ตหลังการแปลงในระเบียนโฟลว์ เมื่อการเชื่อมต่อสิ้นสุดแล้ว",
    ),
    "closings_only": (
        "It reports a translation only when it has ended.",
        "รายงานการแปลงที่อยู่เมื่อสิ้นสุดแล้วเท่านั้น",
    ),
    "updates_only": (
        "It shows translations only at the moments somebody lists them; shorter ones are missed.",
        "เห็นการแปลงที่อยู่เฉพาะขณะที่มีการเรียกดูรายการ การแปลงที่สั้นกว่านั้นไม่ถูกบันทึก",
    ),
    "no_translated_port": (
        "It reports translated addresses without their ports.",
        "รายงานที่อยู่หลังการแปลงแต่ไม่มีหมายเลขพอร์ต",
    ),
    "nothing_translated": (
        "It has fields for translations, and nothing it reports was translated.",
        "มีช่องข้อมูลการแปลงที่อยู่ แต่ไม่มีรายการใดที่ถูกแปลง",
    ),
    "no_nat_fields": (
        "Its records have no fields for translated addresses and ports.",
        "ระเบียนของแหล่งนี้ไม่มีช่องข้อมูลที่อยู่และพอร์ตหลังการแปลง",
    ),
    "sampled": (
        "It reports samples: most connections are never reported.",
        "รายงานแบบสุ่มตัวอย่าง การเชื่อมต่อส่วนใหญ่จึงไม่มีรายงาน",
    ),
}
"""Each reason in English and Thai."""


def decide(sent: Sent) -> tuple[Answers, str]:
    """The verdict and the code of its reason."""
    if sent.sampled:
        return Answers.NO, "sampled"
    events = sent.opens + sent.closes + sent.updates + sent.used
    if events and sent.without_port:
        return Answers.NO, "no_translated_port"
    if sent.opens:
        return Answers.YES, "nat_events" if sent.closes else "no_closings"
    if sent.closes:
        return Answers.AT_END, "closings_only"
    if sent.used:
        return Answers.AT_END, "flows_with_ports"
    if sent.updates:
        return Answers.NO, "updates_only"
    if sent.translated:
        return Answers.NO, "no_translated_port"
    return Answers.NO, "nothing_translated" if sent.with_nat_fields else "no_nat_fields"
