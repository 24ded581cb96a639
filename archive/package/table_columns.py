"""Columns of the package's tables: English, Thai, unit or format in English and Thai. Pure data."""

Column = tuple[str, str, str, str]

_ISO = (
    "ISO 8601 with nine digits and offset; empty: not recorded",
    "ISO 8601 เศษวินาทีเก้าหลักพร้อมส่วนต่างจาก UTC ว่างคือไม่ได้บันทึก",
)
_TEXT = ("text", "ข้อความ")
_OUTSIDE = (
    "text; an apostrophe stands before it where a spreadsheet would convert it, data/answer.json has it bare",
    "ข้อความ มีเครื่องหมาย ' นำหน้าเมื่อโปรแกรมตารางจะคำนวณหรือแปลงค่า ค่าจริงอยู่ใน data/answer.json",
)
_FROM_0 = ("whole number from 0", "จำนวนเต็มนับจาก 0")
_FROM_1 = ("whole number from 1", "จำนวนเต็มนับจาก 1")
_PATH = ("path in the package; empty: bytes withheld or no record", "ที่อยู่แฟ้มในชุด ว่างคือไม่เปิดเผยหรือไม่มีระเบียน")
_COMMAND = ("command line, inside the package's folder", "บรรทัดคำสั่ง สั่งในโฟลเดอร์ของชุด")

ANSWER_COLUMNS: dict[str, Column] = {
    "candidate": ("Number of the candidate", "ลำดับผู้ที่เข้าข่าย", *_FROM_1),
    "person": ("Name recorded for the account at that time", "ชื่อบุคคลที่บันทึกไว้กับบัญชีในเวลานั้น", *_OUTSIDE),
    "account": ("Account that was logged in", "บัญชีที่เข้าระบบ", *_OUTSIDE),
    "step": (
        "Link of the chain",
        "ขั้นของการสืบทอด",
        "public_address, inside_address, session, device, account, person",
        "ที่อยู่สาธารณะ ที่อยู่ภายใน เซสชัน อุปกรณ์ บัญชี บุคคล",
    ),
    "value": ("What this step found", "สิ่งที่พบในขั้นนี้", *_OUTSIDE),
    "certainty": (
        "How sure this step is",
        "ระดับความแน่ชัดของขั้นนี้",
        "exact, assumed, several, pending, not_received, cannot_know, not_ours, expired",
        "แน่ชัด อนุมาน หลายราย รอทำดัชนี ข้อมูลขาดหาย ไม่อาจทราบ ไม่ใช่ของหน่วยงาน พ้นเวลาเก็บ",
    ),
    "why": ("Reason for that certainty", "เหตุผลของระดับความแน่ชัด", *_TEXT),
    "from": ("Start of the step's interval", "เวลาเริ่มของช่วง", *_ISO),
    "to": ("End of the step's interval", "เวลาสิ้นสุดของช่วง", *_ISO),
    "log": ("Origin of the log that holds the record", "ชื่อบันทึกที่เก็บระเบียน", *_TEXT),
    "leaf_index": ("Leaf of the log", "ลำดับใบในบันทึก", *_FROM_0),
    "row": ("Record within the leaf's chunk", "ลำดับระเบียนในก้อนข้อมูล", *_FROM_0),
    "raw_file": ("File with the record's bytes as received", "แฟ้มที่มีไบต์ของระเบียนตามที่ได้รับ", *_PATH),
    "show": ("Command that prints those bytes", "คำสั่งที่แสดงไบต์เหล่านั้น", *_COMMAND),
    "records_row": (
        "Row of data/records.csv that says it",
        "แถวของ data/records.csv ที่ระบุสิ่งนี้",
        "row number as a spreadsheet shows it; the head is row 1",
        "เลขแถวตามโปรแกรมตาราง หัวตารางคือแถว 1",
    ),
}
RECORDS_COLUMNS: dict[str, Column] = {
    "log": ("Number of the log in this package, the oldest 1", "ลำดับบันทึกในชุดนี้ เก่าสุดคือ 1", *_FROM_1),
    "leaf_index": ("Leaf of the log", "ลำดับใบในบันทึก", *_FROM_0),
    "row": ("Record within the leaf's chunk", "ลำดับระเบียนในก้อนข้อมูล", *_FROM_0),
    "offset": (
        "Where the unit begins in the record's payload", "ตำแหน่งเริ่มของหน่วยในข้อมูลของระเบียน",
        "bytes from 0", "ไบต์ นับจาก 0",
    ),
    "kind": (
        "What the row is",
        "ชนิดของแถว",
        "line, session, identity, nat, flow, loss, template, carried_template",
        "บรรทัดบันทึก เซสชัน ข้อมูลบุคคล การแปลงที่อยู่ โฟลว์ ข้อมูลสูญหาย แม่แบบ แม่แบบยกยอด",
    ),
    "raw_file": ("File with the record's bytes as received", "แฟ้มที่มีไบต์ของระเบียนตามที่ได้รับ", *_PATH),
    "show": ("Command that prints those bytes", "คำสั่งที่แสดงไบต์เหล่านั้น", *_COMMAND),
    "received": ("Time of receipt, as the appliance states it", "เวลาที่รับตามคำแถลงของระบบ", *_ISO),
    "fields": (
        "Columns of the index row that are not empty",
        "คอลัมน์ของแถวดัชนีที่ไม่ว่าง",
        "JSON; times as decimal text of nanoseconds since 1970 under <column>_unix_ns",
        "JSON เวลาเป็นนาโนวินาทีนับแต่ ค.ศ. 1970 ในชื่อ <คอลัมน์>_unix_ns",
    ),
}  # fmt: skip
