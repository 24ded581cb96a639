"""The words for how sure an answer is, weakest last, and what each says in English and Thai. Pure."""

from enum import StrEnum


class Certainty(StrEnum):
    """Certainty of one step; an answer has that of its weakest step."""

    EXACT = "exact"
    ASSUMED = "assumed"
    SEVERAL = "several"
    PENDING = "pending"
    NOT_RECEIVED = "not_received"
    CANNOT_KNOW = "cannot_know"
    NOT_OURS = "not_ours"
    EXPIRED = "expired"


NO_RECORD = "no_record"
"""Verdict of an answer without candidates where everything was received and indexed: said only when none of the last
five certainties applies."""

_ORDER = list(Certainty)

SENTENCES = {
    "exact": ("The records name one holder.", "ระเบียนระบุผู้ใช้ได้รายเดียว"),
    "assumed": (
        "The records name one holder, but a start or an end was inferred.",
        "ระเบียนระบุผู้ใช้ได้รายเดียว แต่เวลาเริ่มหรือสิ้นสุดบางส่วนเป็นการอนุมาน",
    ),
    "several": (
        "Several holders fit; all are listed.",
        "มีผู้ที่เข้าข่ายหลายราย แสดงไว้ทั้งหมด",
    ),
    "pending": (
        "Part of the interval is not indexed yet; ask again in a minute.",
        "ข้อมูลบางส่วนของช่วงเวลานี้ยังทำดัชนีไม่เสร็จ โปรดถามใหม่ในอีก 1 นาที",
    ),
    "not_received": (
        "Data was lost in this interval, so this cannot be answered for certain.",
        "มีข้อมูลสูญหายในช่วงเวลานี้ จึงตอบให้แน่ชัดไม่ได้",
    ),
    "cannot_know": (
        "The sources that report here do not carry what is needed.",
        "แหล่งข้อมูลที่มีไม่ได้บันทึกสิ่งที่ต้องใช้ในการตอบ",
    ),
    "not_ours": (
        "This address is not one of ours at that time.",
        "ที่อยู่นี้ไม่ใช่ของหน่วยงานในเวลานั้น",
    ),
    "expired": (
        "The records of that time are past their retention period.",
        "ระเบียนของช่วงเวลานั้นพ้นระยะเวลาเก็บรักษาแล้ว",
    ),
    NO_RECORD: (
        "No record, and nothing was lost in this interval.",
        "ไม่พบระเบียน และไม่มีข้อมูลสูญหายในช่วงเวลานี้",
    ),
}


def weakest(values: list[Certainty]) -> Certainty:
    """The weakest of some certainties; `exact` of none."""
    return max(values, key=_ORDER.index, default=Certainty.EXACT)
