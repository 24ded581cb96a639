"""Alarms: what can be wrong, and what to do about it, in both languages. Pure."""

from dataclasses import dataclass

SEAL_LAG_SECONDS = 60.0
"""Spool files close every ten seconds and heads follow within ten; a minute means that the sealer stands still."""
INDEX_LAG_SECONDS = 300.0
"""The index may lag without losing anything; after five minutes somebody should know."""
WITNESS_LAG_SECONDS = 1_800.0
"""A witness is asked for each new head, and a silent log makes one every five minutes; half an hour bridges a restart
of its machine."""
AUTHORITY_LAG_SECONDS = 3 * 3_600.0
"""Time stamps come by the hour; two that are missed are a coincidence, three are not."""
COPY_LAG_SECONDS = 24 * 3_600.0
"""A copy may be away for a night; what a copy of yesterday does not have is lost with this machine."""
CLOCK_UNSYNCHRONISED_SECONDS = 900.0
"""A time daemon needs some minutes after a start."""
CLOCK_OFFSET_SECONDS = 0.010
"""The reference time of records may be wrong by this much."""
VERIFY_QUICK_LAG_SECONDS = 3 * 3_600.0
"""The archive is verified every hour."""


@dataclass(frozen=True)
class AlarmKind:
    """Texts of an alarm code."""

    english: str
    thai: str
    do_english: str
    do_thai: str


ALARMS: dict[str, AlarmKind] = {
    "seal_lag": AlarmKind(
        "Received records are not being sealed.",
        "ข้อมูลที่ได้รับยังไม่ถูกผนึก",
        "Look at the sealer's message below; free disk space or restart the appliance.",
        "ดูข้อความของโปรเซส sealer ด้านล่าง เพิ่มพื้นที่ดิสก์หรือเริ่มระบบใหม่",
    ),
    "index_lag": AlarmKind(
        "Sealed records are not searchable yet.",
        "ข้อมูลที่ผนึกแล้วยังค้นหาไม่ได้",
        "Nothing is lost. If the lag keeps growing, restart the index process.",
        "ไม่มีข้อมูลสูญหาย หากค้างนานขึ้นเรื่อย ๆ ให้เริ่มโปรเซส index ใหม่",
    ),
    "verify_defect": AlarmKind(
        "Verification found a defect in the archive.",
        "การตรวจสอบพบความผิดปกติในคลังข้อมูล",
        "Run `phayan verify`, keep the disk as it is, tell the director, compare with your last printed checkpoint.",
        "สั่ง `phayan verify` เก็บดิสก์ไว้ตามสภาพ แจ้งผู้อำนวยการ และเทียบกับค่าตรวจสอบที่พิมพ์ไว้ล่าสุด",
    ),
    "verify_overdue": AlarmKind(
        "The archive has not been verified for hours.",
        "ไม่ได้ตรวจสอบคลังข้อมูลมาหลายชั่วโมงแล้ว",
        "Look whether the process timers runs, and verify now on the page Integrity.",
        "ตรวจว่าโปรเซส timers ทำงานอยู่ แล้วสั่งตรวจสอบในหน้า ความสมบูรณ์",
    ),
    "signing_refused": AlarmKind(
        "Nothing is sealed: a head kept outside does not fit this archive.",
        "ระบบหยุดผนึกข้อมูล: หลักฐานที่เก็บไว้ภายนอกไม่ตรงกับคลังข้อมูลนี้",
        "Records are still received. Read the sentence beside this alarm; a person has to choose what to do.",
        "ระบบยังรับข้อมูลอยู่ อ่านข้อความข้างการเตือนนี้ ผู้ดูแลต้องเป็นผู้ตัดสินใจ",
    ),
    "anchor_stale": AlarmKind(
        "A witness or time stamp authority has not confirmed the log for too long.",
        "พยานหรือผู้ให้บริการประทับเวลาไม่ได้รับรองบันทึกมานานเกินไป",
        "Check the network and the service. Until it answers, whoever has the key could rewrite the newest part.",
        "ตรวจเครือข่ายและบริการนั้น จนกว่าจะตอบกลับ ผู้ดูแลที่มีกุญแจอาจแก้ไขข้อมูลส่วนล่าสุดได้",
    ),
    "clock_unsynchronised": AlarmKind(
        "The clock of this machine is not synchronised.",
        "นาฬิกาของเครื่องนี้ไม่ได้เทียบเวลา",
        "Check chrony or the time service. Records are kept; nothing is purged until the clock is right.",
        "ตรวจ chrony หรือบริการเทียบเวลาและเซิร์ฟเวอร์เวลา ข้อมูลยังถูกเก็บ และจะไม่ลบข้อมูลจนกว่านาฬิกาจะถูกต้อง",
    ),
    "clock_offset": AlarmKind(
        "The clock of this machine is wrong by more than 10 milliseconds.",
        "นาฬิกาของเครื่องนี้คลาดเคลื่อนเกิน 10 มิลลิวินาที",
        "Check chrony or the time service; the offset of every minute is sealed with the records.",
        "ตรวจ chrony หรือบริการเทียบเวลา ค่าคลาดเคลื่อนทุกนาทีถูกผนึกไว้กับข้อมูลแล้ว",
    ),
    "kernel_drops": AlarmKind(
        "Datagrams were lost before they could be received.",
        "มีข้อมูลสูญหายก่อนระบบรับได้ทัน",
        "Raise net.core.rmem_max, or send less to this port; the interval is recorded.",
        "เพิ่มค่า net.core.rmem_max หรือลดปริมาณที่ส่งมายังพอร์ตนี้ ช่วงเวลาที่สูญหายถูกบันทึกไว้แล้ว",
    ),
    "udp_memory": AlarmKind(
        "The kernel's memory for UDP ran out; datagrams of any program here were lost.",
        "หน่วยความจำ UDP ของเคอร์เนลเต็ม ข้อมูลที่ส่งมายังเครื่องนี้บางส่วนสูญหาย",
        "Raise the third value of net.ipv4.udp_mem; the interval is recorded.",
        "เพิ่มค่าที่สามของ net.ipv4.udp_mem ช่วงเวลาที่สูญหายถูกบันทึกไว้แล้ว",
    ),
    "receiver_warning": AlarmKind(
        "A receiver may lose records in a burst, or cannot watch all of its sources.",
        "จุดรับข้อมูลอาจรับไม่ทันเมื่อข้อมูลเข้าพร้อมกันมาก หรือเฝ้าดูแหล่งส่งได้ไม่ครบ",
        "Do what the sentence beside this alarm says, then restart the appliance.",
        "ทำตามข้อความที่แสดงข้างการเตือนนี้ แล้วเริ่มระบบใหม่",
    ),
    "source_silent": AlarmKind(
        "A device that sent records regularly has stopped.",
        "อุปกรณ์ที่เคยส่งข้อมูลสม่ำเสมอหยุดส่ง",
        "Check the device, its network and its logging settings. What it does not send cannot be kept.",
        "ตรวจอุปกรณ์ เครือข่าย และการตั้งค่าส่งบันทึก ข้อมูลที่ไม่ได้ส่งมาย่อมเก็บไว้ไม่ได้",
    ),
    "disk_filling": AlarmKind(
        "The disk is filling up.",
        "พื้นที่ดิสก์ใกล้เต็ม",
        "Add disk space before 95 %, when receiving traffic records stops.",
        "เพิ่มพื้นที่ดิสก์ก่อนถึง 95 % ซึ่งระบบจะหยุดรับข้อมูลจราจร",
    ),
    "disk_tight": AlarmKind(
        "The disk is nearly full: the index of the oldest days is being dropped.",
        "พื้นที่ดิสก์เหลือน้อย ระบบกำลังลบดัชนีค้นหาของวันเก่าที่สุด",
        "No record is lost. Add disk space, or a second disk, then run `phayan reindex` to search those days again.",
        "ไม่มีข้อมูลสูญหาย ให้เพิ่มพื้นที่ดิสก์หรือดิสก์ลูกที่สอง แล้วสั่ง `phayan reindex` เพื่อค้นหาวันเหล่านั้นได้อีก",
    ),
    "disk_full": AlarmKind(
        "The disk is full: traffic records are not received any more.",
        "ดิสก์เต็ม ระบบหยุดรับข้อมูลจราจรแล้ว",
        "Add disk space now. Log-ins and accounting go on from the reserve; the interval without records is sealed.",
        "เพิ่มพื้นที่ดิสก์ทันที การเข้าใช้งานยังทำงานจากพื้นที่สำรอง และช่วงเวลาที่ไม่มีข้อมูลถูกผนึกไว้",
    ),
    "disk_too_small": AlarmKind(
        "At the measured rate the disk cannot keep what has to be kept.",
        "ด้วยปริมาณข้อมูลที่วัดได้ ดิสก์มีพื้นที่ไม่พอเก็บให้ครบตามกำหนด",
        "Add disk space or a second disk; `phayan status` shows bytes per day and days left.",
        "เพิ่มพื้นที่ดิสก์หรือดิสก์ลูกที่สอง คำสั่ง `phayan status` แสดงปริมาณต่อวันและจำนวนวันที่เหลือ",
    ),
    "retention_stopped": AlarmKind(
        "Nothing is purged, although days are due.",
        "ระบบหยุดลบข้อมูล ทั้งที่มีข้อมูลครบกำหนดลบแล้ว",
        "Records are kept longer than needed, none is lost. Read the sentence beside this alarm: if the clock jumped, "
        "check it and confirm that it is right.",
        "ข้อมูลถูกเก็บนานกว่ากำหนดแต่ไม่สูญหาย อ่านข้อความข้างการเตือนนี้ หากนาฬิกากระโดดให้ตรวจเวลาแล้วยืนยันว่าถูกต้อง",
    ),
    "case_due": AlarmKind(
        "The answer to a request is due soon.",
        "ใกล้ครบกำหนดตอบคำขอ",
        "Look at the case with `phayan cases show`; close it or note what was handed over.",
        "ดูเรื่องด้วย `phayan cases show` แล้วปิดเรื่องหรือบันทึกการส่งมอบ",
    ),
    "case_overdue": AlarmKind(
        "The answer to a request is overdue.",
        "เลยกำหนดตอบคำขอแล้ว",
        "Answer it, or close the case with the reason; then tell who asked.",
        "ตอบคำขอ หรือปิดเรื่องพร้อมเหตุผล แล้วแจ้งผู้ขอ",
    ),
    "cases_differ": AlarmKind(
        "The working copy of cases and holds said other than the sealed records.",
        "สำเนาใช้งานของเรื่องและการเก็บรักษาไม่ตรงกับข้อมูลที่ผนึกไว้",
        "The sealed records count, and the copy is corrected. Find out who wrote to DIR/cases; look at your cases and "
        "holds. It stands until the appliance is restarted.",
        "ระบบใช้ข้อมูลที่ผนึกไว้และแก้สำเนาแล้ว ให้หาว่าใครเขียนไฟล์ใน DIR/cases และตรวจเรื่องกับการเก็บรักษา การเตือนคงอยู่จนเริ่มระบบใหม่",
    ),
    "copy_stale": AlarmKind(
        "A copy of the archive has not been brought up to date for too long.",
        "สำเนาของคลังข้อมูลไม่ได้รับการปรับปรุงมานานเกินไป",
        "Connect its disk or check the line to it; `phayan copies` shows what is wrong.",
        "ต่อดิสก์สำเนาหรือตรวจเครือข่าย คำสั่ง `phayan copies` แสดงสาเหตุ",
    ),
    "process_down": AlarmKind(
        "A process of the appliance does not report.",
        "โปรเซสของระบบไม่ตอบสนอง",
        "It is restarted by itself; if this alarm stays, read its message in the log.",
        "ระบบจะเริ่มโปรเซสใหม่เอง หากการเตือนยังอยู่ให้ดูข้อความในบันทึก",
    ),
}


@dataclass(frozen=True)
class Condition:
    """Something wrong right now: a code of ALARMS, where, and the particulars."""

    code: str
    source: str
    details: str
