"""What the portal says, in Thai (written first) and English. Sentences are kept whole: Thai does not fall into parts as
English does."""

from typing import Literal

Language = Literal["th", "en"]
LANGUAGES: tuple[Language, ...] = ("th", "en")
DEFAULT_LANGUAGE: Language = "th"

WORDS: dict[str, tuple[str, str]] = {
    "title.login": ("เข้าใช้อินเทอร์เน็ต", "Log in to the internet"),
    "title.status": ("สถานะการใช้งาน", "Your session"),
    "title.terms": ("ประกาศเรื่องข้อมูลของท่าน", "Notice about your data"),
    "title.help": ("ความช่วยเหลือ", "Help"),
    "title.fault": ("เปิดหน้านี้ไม่ได้", "This page cannot be shown"),
    "network": ("อินเทอร์เน็ตของ {site}", "Internet of {site}"),
    "name": ("ชื่อผู้ใช้", "Account name"),
    "password": ("รหัสผ่าน", "Password"),
    "show": ("แสดง", "Show"),
    "hide": ("ซ่อน", "Hide"),
    "show.label": ("แสดงรหัสผ่าน", "Show the password"),
    "login": ("เข้าใช้งาน", "Log in"),
    "checking": ("กำลังตรวจสอบ…", "Checking…"),
    "forgot": ("ลืมรหัสผ่าน", "Forgot password"),
    "no_account": ("ยังไม่มีบัญชี", "No account yet"),
    "help": ("ความช่วยเหลือ", "Help"),
    "notice": ("เราเก็บข้อมูลจราจรอย่างน้อย 90 วันตามกฎหมาย", "The law has us keep traffic data for at least 90 days."),
    "notice.more": ("อ่านรายละเอียด", "Read the details"),
    "back": ("กลับหน้าเข้าใช้งาน", "Back to log-in"),
    "back.status": ("กลับหน้าสถานะ", "Back to my session"),
    "online": ("ใช้อินเทอร์เน็ตได้แล้ว", "You are online"),
    "online.since": ("ตั้งแต่ {time}", "Since {time}"),
    "logout": ("ออกจากระบบ", "Log out"),
    "logout.why": (
        "ใช้เครื่องร่วมกับผู้อื่น โปรดออกจากระบบเมื่อเลิกใช้",
        "If you share this device, log out when you have finished.",
    ),
    "other": ("เข้าใช้ด้วยบัญชีอื่น", "Log in with another account"),
    "my_session": ("การใช้งานครั้งนี้", "My session"),
    "account": ("บัญชี", "Account"),
    "address": ("ที่อยู่ของเครื่องนี้", "Address of this device"),
    "until": ("ใช้ได้ถึง", "Until"),
    "notice_version": ("ประกาศฉบับ", "Notice version"),
    "report": ("แจ้งปัญหา", "Report a problem"),
    "lost": ("เครื่องหาย", "Lost device"),
    "left": ("ออกจากระบบแล้ว", "You have logged out."),
    "error.wrong": (
        "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง ลองใหม่ได้อีก {count} ครั้ง",
        "The name or password is not right. You can try {count} more times.",
    ),
    "error.wrong.one": (
        "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง ลองใหม่ได้อีก 1 ครั้ง",
        "The name or password is not right. You can try one more time.",
    ),
    "error.wrong.last": (
        "ชื่อผู้ใช้หรือรหัสผ่านไม่ถูกต้อง และลองครบจำนวนครั้งแล้ว ลองใหม่ในอีก {minutes} นาที",
        "The name or password is not right, and that was the last try. Try again in {minutes} min.",
    ),
    "error.throttled": (
        "ลองผิดหลายครั้งติดกัน ลองใหม่ในอีก {minutes} นาที หรือติดต่อผู้ดูแลระบบ",
        "Too many wrong tries. Try again in {minutes} min, or ask the administrator.",
    ),
    "error.unavailable": (
        "ระบบตรวจรหัสผ่านขัดข้องชั่วคราว ไม่ใช่ความผิดของท่าน ลองใหม่ในอีก 1 นาที",
        "We cannot check passwords right now. It is not your fault. Try again in a minute.",
    ),
    "error.not_recorded": (
        "รหัสผ่านถูกต้อง แต่ระบบบันทึกการเข้าใช้งานไม่ได้ จึงยังใช้อินเทอร์เน็ตไม่ได้ ลองใหม่ในอีก 1 นาที",
        "The password is right, but the log-in could not be recorded, so you are not online. Try again in a minute.",
    ),
    "error.missing": ("โปรดกรอกทั้งชื่อผู้ใช้และรหัสผ่าน", "Please fill in both the name and the password."),
    "error.form": (
        "หน้านี้เปิดค้างไว้นานเกินไป โปรดกรอกรหัสผ่านแล้วกดเข้าใช้งานอีกครั้ง",
        "This page was open for too long. Please type the password and log in again.",
    ),
    "error.logout_form": (
        "ยังไม่ได้ออกจากระบบ โปรดกดออกจากระบบอีกครั้ง",
        "You are not logged out yet. Please press log out again.",
    ),
    "error.account_disabled": (
        "บัญชีนี้ถูกระงับ โปรดติดต่อผู้ดูแลระบบ",
        "This account is disabled. Please ask the administrator.",
    ),
    "error.account_expired": (
        "บัญชีนี้หมดอายุแล้ว โปรดติดต่อผู้ดูแลระบบ",
        "This account has expired. Please ask the administrator.",
    ),
    "error.account_locked": (
        "บัญชีนี้ถูกล็อกชั่วคราวเพราะใส่รหัสผิดหลายครั้ง รอสักครู่หรือติดต่อผู้ดูแลระบบ",
        "This account is locked for a while after wrong tries. Wait, or ask the administrator.",
    ),
    "error.password_expired": (
        "รหัสผ่านหมดอายุ โปรดตั้งรหัสผ่านใหม่กับผู้ดูแลระบบ",
        "The password has expired. Please have the administrator set a new one.",
    ),
    "error.password_must_change": (
        "ต้องเปลี่ยนรหัสผ่านก่อนใช้งาน โปรดเปลี่ยนที่เครื่องของหน่วยงานหรือติดต่อผู้ดูแลระบบ",
        "The password has to be changed first, on an office computer or with the administrator.",
    ),
    "error.not_allowed_now": (
        "บัญชีนี้ไม่ได้รับอนุญาตให้ใช้งานในเวลานี้",
        "This account may not be used at this hour.",
    ),
    "fault.not_found": ("ไม่มีหน้านี้ในระบบ", "There is no such page."),
    "fault.bad_request": ("ระบบอ่านคำขอนี้ไม่ได้", "This request could not be read."),
    "fault.internal": (
        "ระบบขัดข้อง ไม่ใช่ความผิดของท่าน ลองใหม่ในอีก 1 นาที",
        "Something failed here. It is not your fault. Try again in a minute.",
    ),
    "terms.version": ("ฉบับ {version} ตรวจล่าสุด {checked}", "Version {version}, last checked {checked}"),
    "terms.sources": ("อ้างอิง", "Sources"),
    "help.forgot.title": ("ลืมรหัสผ่าน", "Forgot the password"),
    "help.forgot": (
        "ผู้ดูแลระบบดูรหัสผ่านของท่านไม่ได้ แต่ตั้งใหม่ให้ได้ โปรดนำบัตรประจำตัวไปติดต่อผู้ดูแลระบบ นักเรียนติดต่อครูประจำชั้น",
        "Nobody can read your password, but the administrator can set a new one. Bring your card; pupils ask "
        "their class teacher.",
    ),
    "help.account.title": ("ยังไม่มีบัญชี", "No account yet"),
    "help.account": (
        "บัญชีออกให้เป็นรายบุคคล โปรดนำบัตรประจำตัวไปแสดงต่อผู้ดูแลระบบเพื่อยืนยันตัวตน ห้ามใช้บัญชีของผู้อื่น",
        "Accounts belong to one person. Show your card to the administrator to get one. Do not use another person's.",
    ),
    "help.certificate.title": ("เครื่องเตือนว่าใบรับรองไม่น่าเชื่อถือ", "A warning about the certificate"),
    "help.certificate": (
        "หน่วยงานอาจใช้ใบรับรองที่ออกเอง ถามผู้ดูแลระบบถึงชื่อหรือลายนิ้วมือของใบรับรองก่อนกรอกรหัสผ่าน",
        "The organisation may use a certificate of its own. Ask the administrator for its name or fingerprint "
        "before you type a password.",
    ),
    "help.stuck.title": ("เข้าใช้งานแล้วแต่ยังเปิดเว็บไม่ได้", "Logged in, but pages do not open"),
    "help.stuck": (
        "ปิดแล้วเปิด Wi-Fi ของเครื่องอีกครั้ง ถ้ายังไม่ได้ โปรดแจ้งผู้ดูแลระบบพร้อมเวลาและที่อยู่ของเครื่องจากหน้าสถานะ",
        "Turn Wi-Fi off and on again. If that does not help, tell the administrator the time and the address of your "
        "device from the session page.",
    ),
    "help.problem.title": ("แจ้งปัญหา", "Report a problem"),
    "help.problem": (
        "แจ้งผู้ดูแลระบบว่าเกิดอะไรขึ้น เวลาใด และที่อยู่ของเครื่องนี้คือ {address}",
        "Tell the administrator what happened, at what time, and that the address of this device is {address}.",
    ),
    "help.lost.title": ("เครื่องหายหรือให้ผู้อื่นยืม", "Device lost or lent"),
    "help.lost": (
        "แจ้งผู้ดูแลระบบทันที เพื่อปิดการใช้งานด้วยบัญชีของท่านจากเครื่องนั้นและบันทึกเวลาที่แจ้งไว้",
        "Tell the administrator at once, so that the device is cut off and the time of your report is kept.",
    ),
}


def say(language: Language, key: str, **values: object) -> str:
    """The words of `key`. An unknown key is a mistake of ours and raises KeyError."""
    text = WORDS[key][LANGUAGES.index(language)]
    return text.format(**values) if values else text


def read_language(value: str | None, default: Language = DEFAULT_LANGUAGE) -> Language:
    """`th` or `en`; anything else is the default."""
    return "en" if value == "en" else "th" if value == "th" else default


REJECT_WORDS = {
    "account_disabled": "error.account_disabled",
    "account_expired": "error.account_expired",
    "account_locked": "error.account_locked",
    "password_expired": "error.password_expired",
    "password_must_change": "error.password_must_change",
    "not_allowed_now": "error.not_allowed_now",
}
"""Reasons that are told apart; every other reason reads "name or password", so that a guesser learns nothing."""
