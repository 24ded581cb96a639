"""VERIFY.txt: exact commands for Linux and Windows, in Thai and English. Pure."""

from archive.package.content import TEMPLATE, PackageContent
from archive.package.records_csv import show_command

_STAMP = """\
   The time stamp over the signature, where tagmanifest-sha256.txt.p7s.tsr is in the package / ตราประทับเวลา ถ้ามีในชุด

   openssl ts -reply -in tagmanifest-sha256.txt.p7s.tsr -text | grep 'Time stamp'
   openssl ts -verify -data tagmanifest-sha256.txt.p7s -in tagmanifest-sha256.txt.p7s.tsr \\
       -CAfile data/keys/authorities.pem -partial_chain \\
       -attime $(date +%s -d "$(openssl ts -reply -in tagmanifest-sha256.txt.p7s.tsr -text | \\
       sed -n 's/^Time stamp: //p')")

"""
_CAPTURES = """\
   Flow records; other people's are left out of the datagram, and its lengths and counts are set to what is left. Time
   of receipt and sender are as stated; the destination is not recorded / ระเบียนโฟลว์ ตัดของผู้อื่นออกจากดาตาแกรม
   แล้วปรับความยาวและจำนวนตามที่เหลือ เวลารับและผู้ส่งเป็นตามที่แถลง ส่วนปลายทางไม่ได้บันทึกไว้

"""
_TEXT = """\
ตรวจสอบชุดพยานหลักฐานนี้ / How to verify this package
====================================================

1. Linux (coreutils, openssl, tshark) - run inside this folder / สั่งในโฟลเดอร์นี้

   sha256sum -c --quiet manifest-sha256.txt
   sha256sum -c --quiet tagmanifest-sha256.txt
   openssl cms -verify -binary -inform DER -in tagmanifest-sha256.txt.p7s \\
       -content tagmanifest-sha256.txt -certfile data/keys/package.crt \\
       -CAfile data/keys/package.crt -purpose any -attime {made_unix_seconds} -out /dev/null
   openssl x509 -in data/keys/package.crt -noout -dates -fingerprint -sha256

   The first two print nothing and the third prints "CMS Verification successful" if nothing was changed. -attime is the
   moment at which the package was made: the certificate counts as of then, also after it has run out. Compare the
   fingerprint with the one the office publishes. / คำสั่งสองบรรทัดแรกต้องไม่แสดงข้อความใด บรรทัดที่สามต้องแสดง
   "CMS Verification successful" ค่า -attime คือเวลาที่จัดทำชุด ใบรับรองจึงนับ ณ เวลานั้นแม้จะหมดอายุแล้ว
   แล้วเทียบลายนิ้วมือของใบรับรองกับที่หน่วยงานประกาศไว้

{stamp}{captures}2. Windows (PowerShell; openssl from Git for Windows, tshark from Wireshark)

   Get-Content manifest-sha256.txt, tagmanifest-sha256.txt | ForEach-Object {{
     $h, $f = $_ -split '  ', 2
     if ((Get-FileHash -Algorithm SHA256 $f).Hash.ToLower() -ne $h) {{ "CHANGED: $f" }} }}
   openssl cms -verify -binary -inform DER -in tagmanifest-sha256.txt.p7s -content tagmanifest-sha256.txt `
     -certfile data/keys/package.crt -CAfile data/keys/package.crt -purpose any -attime {made_unix_seconds} -out NUL
   certutil -hashfile tagmanifest-sha256.txt SHA256
   certutil -dump data\\keys\\package.crt
{windows_stamp}
3. Everything else: unknown files, logs, proofs, units, rows, the answer / ตรวจส่วนที่เหลือทั้งหมด

   python3 verify_package.py .

   It needs Python 3.9 or newer and the package "cryptography". --ca FILE names the certificate you trust, --at TIME the
   moment as of which it counts, --policy FILE and --log-key FILE what you know of the log. / ต้องมี Python 3.9 ขึ้นไปและ
   แพ็กเกจ cryptography ใช้ --ca ระบุใบรับรองที่เชื่อถือ --at ระบุเวลาที่ใบรับรองมีผล --policy และ --log-key ระบุสิ่งที่ทราบเกี่ยวกับบันทึก

4. A whole chunk, where the office hands one over beside this package / ก้อนข้อมูลทั้งก้อน ถ้าหน่วยงานส่งมอบแยกต่างหาก

   sha256sum CHUNK        equals "sha256" in data/logs/*/leaves/LEAF.json / ต้องตรงกับ sha256 ในใบ
   zstd -dc CHUNK         one Arrow IPC stream / ข้อมูล Arrow หนึ่งสตรีม

What is in here / มีอะไรบ้าง
   data/answer.csv   one row per step of the answer; data/dictionary.csv explains the columns / ตารางคำตอบ
   data/records.csv  every row the answer rests on, its file and the command that prints it / ตารางระเบียนที่อ้างถึง
   data/records/     cited lines, events and packets as they were received / ระเบียนตามที่ได้รับ
   data/pcap/        cited flow datagrams / ดาตาแกรมโฟลว์
   data/logs/        for each log its key, checkpoint, policy, leaves, proofs, units, outside times / หลักฐานของแต่ละบันทึก
   data/keys/        the certificate of this package, certificates of time stamp authorities / ใบรับรอง

{logs}
   Certificate SHA-256 / ลายนิ้วมือใบรับรอง: {fingerprint}
"""
_WINDOWS_STAMP = """\
   openssl ts -reply -in tagmanifest-sha256.txt.p7s.tsr -text
   openssl ts -verify -data tagmanifest-sha256.txt.p7s -in tagmanifest-sha256.txt.p7s.tsr `
     -CAfile data/keys/authorities.pem -partial_chain -attime SECONDS_SINCE_1970_OF_THAT_TIME
"""


def verify_txt(content: PackageContent, *, has_authorities: bool) -> str:
    """The text of a package made at `made_at`."""
    captures = "".join(
        f"   {command}\n" for command in dict.fromkeys(_capture_commands(content))
    )  # fmt: skip
    return _TEXT.format(
        made_unix_seconds=content.facts.made_unix_ns // 1_000_000_000,
        stamp=_STAMP if has_authorities else "",
        windows_stamp=_WINDOWS_STAMP if has_authorities else "",
        captures=f"{_CAPTURES}{captures}\n" if captures else "",
        logs="\n".join(f"   Log {one.number} / บันทึก: {one.origin}" for one in content.logs),
        fingerprint=content.certificate_sha256,
    )


def _capture_commands(content: PackageContent) -> list[str]:
    return [
        show_command(record)
        for record in content.records
        if record.is_datagram and record.units and record.role != TEMPLATE
    ]
