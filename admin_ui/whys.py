"""Thai for the reasons an answer gives for each step; the service says them in English. Pure data."""

LOSS_TOUCHES = " touches the interval"
"""How the reason of a loss ends; what was lost is listed beside the answer."""
LOSS_TOUCHES_THAI = "มีข้อมูลสูญหายที่กระทบช่วงเวลานี้"

WHYS: dict[str, str] = {
    "more than one holder fits the question": "มีผู้ที่เข้าข่ายมากกว่าหนึ่งราย",
    "not everything received until then is indexed yet": "ข้อมูลที่รับถึงเวลานั้นยังทำดัชนีไม่ครบ",
    "records of that time are past their retention period": "ระเบียนของเวลานั้นพ้นระยะเวลาเก็บรักษาแล้ว",
    "the address is in no uplink's list": "ที่อยู่นี้ไม่อยู่ในรายการของหน่วยงาน",
    "no source reports translations of this address, and no session had it": (
        "ไม่มีแหล่งข้อมูลใดรายงานการแปลงของที่อยู่นี้ และไม่มีเซสชันใดใช้"
    ),
    "everything received in this interval is indexed and nothing fits": ("ข้อมูลที่ได้รับในช่วงนี้ทำดัชนีครบแล้ว และไม่มีระเบียนที่ตรง"),
    "named by the translation": "ระบุไว้ในระเบียนการแปลงที่อยู่",
    "the start of the translation was not recorded": "ไม่มีบันทึกเวลาเริ่มการแปลง",
    "no end of the translation is recorded yet": "ยังไม่มีบันทึกเวลาสิ้นสุดการแปลง",
    "the end was not recorded; taken as the next use of the same port": (
        "ไม่มีบันทึกเวลาสิ้นสุด ถือว่าสิ้นสุดเมื่อพอร์ตเดิมถูกใช้ครั้งถัดไป"
    ),
    "start and end of the translation are recorded": "มีบันทึกเวลาเริ่มและสิ้นสุดการแปลง",
    "no log-in is recorded for this inside address then": "ไม่มีบันทึกการเข้าสู่ระบบของที่อยู่ภายในนี้ในเวลานั้น",
    "no log-in was recorded, only later signs of the session": "ไม่มีบันทึกการเข้าสู่ระบบ พบเพียงสัญญาณของเซสชันภายหลัง",
    "the session began after the translation did": "เซสชันเริ่มหลังการแปลงที่อยู่",
    "no log-out was recorded; taken as ended when the device began anew": (
        "ไม่มีบันทึกการออกจากระบบ ถือว่าสิ้นสุดเมื่ออุปกรณ์เริ่มใหม่"
    ),
    "the session ended before the translation did": "เซสชันสิ้นสุดก่อนการแปลงที่อยู่",
    "log-in and log-out enclose the interval": "เวลาเข้าและออกจากระบบครอบคลุมช่วงที่ถาม",
    "log-in before and a sign of the session after the interval": "เข้าสู่ระบบก่อนหน้า และมีสัญญาณของเซสชันหลังช่วงที่ถาม",
    "no log-out or later sign of the session is recorded yet": "ยังไม่มีบันทึกการออกจากระบบหรือสัญญาณภายหลังของเซสชัน",
    "the address asked for": "ที่อยู่ที่ถาม",
    "randomised: it identifies nothing beyond this session": "เป็นที่อยู่อุปกรณ์แบบสุ่ม ใช้ระบุสิ่งใดนอกเซสชันนี้ไม่ได้",
    "as reported": "ตามที่อุปกรณ์รายงาน",
    "the account that logged in": "บัญชีที่เข้าสู่ระบบ",
    "as recorded for the account at that time": "ตามทะเบียนบัญชี ณ เวลานั้น",
    "as the directory named the account at log-in": "ตามที่ไดเรกทอรีระบุชื่อบัญชีเมื่อเข้าสู่ระบบ",
    "no identity is recorded for this account at that time": "ไม่มีทะเบียนบุคคลของบัญชีนี้ในเวลานั้น",
    "a source here reports a connection only when it has ended": "มีแหล่งข้อมูลที่รายงานการเชื่อมต่อเมื่อสิ้นสุดแล้วเท่านั้น",
    "the source does not report translated ports": "แหล่งข้อมูลไม่ได้รายงานพอร์ตหลังการแปลง",
    "the translation does not carry its destination": "ระเบียนการแปลงที่อยู่ไม่ได้บอกปลายทาง",
    "the source gives no exact times of the translation": "แหล่งข้อมูลไม่ได้ให้เวลาที่แน่ชัดของการแปลงที่อยู่",
    "the source gives no exact times or ports of the block": "แหล่งข้อมูลไม่ได้ให้เวลาหรือพอร์ตที่แน่ชัดของช่วงพอร์ต",
    "the address is a carrier's, which alone knows to whom it gave it then": (
        "เป็นที่อยู่ของผู้ให้บริการ ซึ่งเป็นผู้เดียวที่ทราบว่าเวลานั้นให้ใครใช้"
    ),
    "the address of the session was reported only later": "ที่อยู่ของเซสชันนี้ได้รับรายงานในภายหลัง",
    "what had been open for days is not carried whole into that day": ("สิ่งที่เปิดค้างมาหลายวันไม่ได้ถูกยกยอดเข้าสู่วันนั้นครบถ้วน"),
    "no account is recorded for this session": "ไม่มีบันทึกบัญชีของเซสชันนี้",
    "records of that day were purged; only what a hold keeps is left": "ข้อมูลของวันนั้นถูกลบแล้ว เหลือเพียงส่วนที่มีคำสั่งให้เก็บไว้",
    "the index of that day was dropped to make room; `phayan reindex` brings it back": (
        "ดัชนีค้นหาของวันนั้นถูกลบเพื่อเพิ่มพื้นที่ คำสั่ง `phayan reindex` จะสร้างขึ้นใหม่ให้"
    ),
}
